package stanza

import (
	"github.com/jabberii/server/plugins/xmpp/jid"
	"github.com/jabberii/server/plugins/xmpp/ns"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

// ErrorType tells the sender what can be done about an error, RFC 6120, 8.3.2.
type ErrorType string

// The types of errors.
const (
	Auth     ErrorType = "auth"     // try again after giving credentials
	Cancel   ErrorType = "cancel"   // don't try again
	Continue ErrorType = "continue" // go on, it was a warning
	Modify   ErrorType = "modify"   // try again after changing what was sent
	Wait     ErrorType = "wait"     // try again later
)

// Condition says what is wrong, RFC 6120, 8.3.3.
type Condition string

// All conditions, with the type of error that is usual for each.
const (
	BadRequest            Condition = "bad-request"             // modify
	Conflict              Condition = "conflict"                // cancel
	FeatureNotImplemented Condition = "feature-not-implemented" // cancel
	Forbidden             Condition = "forbidden"               // auth
	Gone                  Condition = "gone"                    // cancel; may have a URI
	InternalServerError   Condition = "internal-server-error"   // cancel
	ItemNotFound          Condition = "item-not-found"          // cancel
	JIDMalformed          Condition = "jid-malformed"           // modify
	NotAcceptable         Condition = "not-acceptable"          // modify
	NotAllowed            Condition = "not-allowed"             // cancel
	NotAuthorized         Condition = "not-authorized"          // auth
	PolicyViolation       Condition = "policy-violation"        // modify
	RecipientUnavailable  Condition = "recipient-unavailable"   // wait
	Redirect              Condition = "redirect"                // modify; may have a URI
	RegistrationRequired  Condition = "registration-required"   // auth
	RemoteServerNotFound  Condition = "remote-server-not-found" // cancel
	RemoteServerTimeout   Condition = "remote-server-timeout"   // wait
	ResourceConstraint    Condition = "resource-constraint"     // wait
	ServiceUnavailable    Condition = "service-unavailable"     // cancel
	SubscriptionRequired  Condition = "subscription-required"   // auth
	UndefinedCondition    Condition = "undefined-condition"     // cancel; explained by App
	UnexpectedRequest     Condition = "unexpected-request"      // wait
)

// Defined reports whether RFC 6120 has the condition.
func (c Condition) Defined() bool { return c.Type() != "" }

// Type is the type of error that RFC 6120 recommends for the condition, "" for
// a condition that it has not.
func (c Condition) Type() ErrorType {
	switch c {
	case BadRequest, JIDMalformed, NotAcceptable, PolicyViolation, Redirect:
		return Modify
	case Conflict, FeatureNotImplemented, Gone, InternalServerError, ItemNotFound, NotAllowed,
		RemoteServerNotFound, ServiceUnavailable, UndefinedCondition:
		return Cancel
	case Forbidden, NotAuthorized, RegistrationRequired, SubscriptionRequired:
		return Auth
	case RecipientUnavailable, RemoteServerTimeout, ResourceConstraint, UnexpectedRequest:
		return Wait
	}
	return ""
}

// Error is a stanza error. As a Go error it reads "condition: text".
type Error struct {
	Condition Condition
	Type      ErrorType // "" is the usual one for the condition
	Text      string    // for people, may be empty
	Lang      string    // of the text
	By        jid.JID   // who says so, if it isn't the one the stanza was sent to
	URI       string    // with Gone and Redirect: where to go instead
	App       []byte    // an element that says more, self-contained; nil is none
}

// Error is the condition and the text.
func (e *Error) Error() string {
	if e.Text == "" {
		return string(e.Condition)
	}
	return string(e.Condition) + ": " + e.Text
}

// Append writes the element error, as it stands in the body of a stanza.
func (e *Error) Append(dst []byte) []byte {
	condition, kind := e.Condition, e.Type
	if !condition.Defined() {
		condition = UndefinedCondition
	}
	if kind == "" {
		kind = condition.Type()
	}
	uri := e.URI
	if condition != Gone && condition != Redirect {
		uri = ""
	}
	dst = xml.AppendStart(dst, "error", "", "type", string(kind), "by", e.By.String())
	dst = xml.AppendElement(dst, string(condition), ns.StanzaErrors, uri)
	if e.Text != "" {
		dst = xml.AppendElement(dst, "text", ns.StanzaErrors, e.Text, "xml:lang", e.Lang)
	}
	dst = append(dst, e.App...)
	return xml.AppendEnd(dst, "error")
}

// ParseError finds the error in the body of a stanza of type error. Whatever is
// missing or not known there, it returns an error that can be sent on: without
// a condition it is undefined-condition.
func ParseError(body []byte) *Error {
	e := &Error{Condition: UndefinedCondition}
	el, ok := xml.Find(body, ns.Client, "error", ns.Client)
	if !ok {
		e.Type = Cancel
		return e
	}
	e.Type = errorType(el.Attr("type"))
	if by, err := jid.Parse(el.Attr("by")); err == nil {
		e.By = by
	}
	found := false
	for child := range el.Elements() {
		switch {
		case child.NS() != ns.StanzaErrors:
			if e.App == nil && child.NS() != ns.Client {
				e.App = child.Append(nil)
			}
		case child.Name() == "text":
			if e.Text == "" {
				e.Text, e.Lang = child.Text(), child.Lang()
			}
		case !found && Condition(child.Name()).Defined():
			found = true
			e.Condition = Condition(child.Name())
			if e.Condition == Gone || e.Condition == Redirect {
				e.URI = child.Text()
			}
		}
	}
	if e.Type == "" {
		e.Type = e.Condition.Type()
	}
	return e
}

// errorType is the type of error that this is, "" if none.
func errorType(s string) ErrorType {
	switch t := ErrorType(s); t {
	case Auth, Cancel, Continue, Modify, Wait:
		return t
	}
	return ""
}
