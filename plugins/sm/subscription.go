package sm

// A subscription is the state between an account and one contact, as the
// account's roster has it (RFC 6121 section 3 and appendix A).
type subscription uint8

// What a subscription is made of. Approved is no state of the RFC's nine: it
// says that a request of the contact is granted when it comes (section 3.4).
const (
	to         subscription = 1 << iota // the account sees the contact's presence
	from                                // the contact sees the account's
	pendingOut                          // the account has asked
	pendingIn                           // the contact has asked
	approved

	none subscription = 0
	both              = to | from
)

// String returns the value of the attribute subscription.
func (s subscription) String() string {
	switch s & both {
	case to:
		return "to"
	case from:
		return "from"
	case both:
		return "both"
	}
	return "none"
}

// outbound is what becomes of s when the account sends a presence of a type to
// the contact, and whether the contact is told (appendix A.2).
func (s subscription) outbound(kind string) (next subscription, route bool) {
	switch kind {
	case "subscribe":
		if s&to == 0 {
			s |= pendingOut
		}
		return s, true
	case "unsubscribe":
		return s &^ (to | pendingOut), true
	case "subscribed":
		switch {
		case s&pendingIn != 0:
			return s&^(pendingIn|approved) | from, true
		case s&from == 0:
			return s | approved, false
		}
	case "unsubscribed":
		return s &^ (from | pendingIn | approved), s&(from|pendingIn) != 0
	}
	return s, false
}

// inbound is what becomes of s when the contact sends a presence of a type,
// whether the account's clients are told, and what the server answers on its
// behalf, "" being nothing (appendix A.3).
func (s subscription) inbound(kind string) (next subscription, deliver bool, answer string) {
	switch kind {
	case "subscribe":
		switch {
		case s&from != 0:
			return s, false, "subscribed"
		case s&approved != 0:
			return s&^(approved|pendingIn) | from, false, "subscribed"
		case s&pendingIn != 0:
			return s, false, ""
		}
		return s | pendingIn, true, ""
	case "unsubscribe":
		return s &^ (from | pendingIn | approved), s&(from|pendingIn) != 0, ""
	case "subscribed":
		if s&pendingOut == 0 {
			return s, false, ""
		}
		return s&^pendingOut | to, true, ""
	case "unsubscribed":
		return s &^ (to | pendingOut), s&(to|pendingOut) != 0, ""
	}
	return s, false, ""
}

// outboundAgain is outbound for a presence that comes again after a death: s may
// be what it has made of the state already. Then it goes on again, which tells
// the contact nothing new.
func (s subscription) outboundAgain(kind string) (next subscription, route bool) {
	next, route = s.outbound(kind)
	return next, route || kind == "subscribed" && s&from != 0 || kind == "unsubscribed"
}

// inboundAgain is inbound in the same way.
func (s subscription) inboundAgain(kind string) (next subscription, deliver bool, answer string) {
	next, _, answer = s.inbound(kind)
	switch kind {
	case "subscribe":
		return next, next&pendingIn != 0, answer
	case "subscribed":
		return next, next&to != 0, answer
	}
	return next, true, answer
}

// isSubscription reports whether a presence of this type manages subscriptions.
func isSubscription(kind string) bool {
	switch kind {
	case "subscribe", "subscribed", "unsubscribe", "unsubscribed":
		return true
	}
	return false
}
