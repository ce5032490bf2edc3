package packet

// A Reject is an error meant for the sender: a defined stanza error condition
// (RFC 6120 section 8.3.3) and a text that gives nothing away.
type Reject struct {
	Condition string // service-unavailable, not-allowed, ...
	Text      string // for people, in English; may be empty
	Type      string // cancel, modify, auth, wait, continue; "" is the condition's usual one
}

// Error returns the condition and the text.
func (r *Reject) Error() string {
	if r.Text == "" {
		return r.Condition
	}
	return r.Condition + ": " + r.Text
}

// Refuse returns a Reject with a condition and a text.
func Refuse(condition, text string) *Reject { return &Reject{Condition: condition, Text: text} }

// ErrorType returns the error type of r: its own, else the one that RFC 6120
// section 8.3.3 gives for its condition, else cancel.
func (r *Reject) ErrorType() string {
	if r.Type != "" {
		return r.Type
	}
	switch r.Condition {
	case "bad-request", "jid-malformed", "not-acceptable", "redirect", "undefined-condition", "policy-violation":
		return "modify"
	case "forbidden", "not-authorized", "registration-required", "subscription-required":
		return "auth"
	case "recipient-unavailable", "remote-server-timeout", "resource-constraint", "unexpected-request":
		return "wait"
	}
	return "cancel"
}
