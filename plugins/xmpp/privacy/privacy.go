// Package privacy is the model of privacy lists (XEP-0016) and of the block list
// (XEP-0191), which is a part of the default one: what an account does not let
// in, and whom it does not want to reach. It has no I/O and no state; all its
// values are replaced, never changed, and may be read by many at once.
package privacy

import (
	"slices"
	"strings"
)

// Namespaces of the two extensions, and of the error that says that a stanza is
// to somebody who is blocked.
const (
	NS         = "jabber:iq:privacy"
	BlockingNS = "urn:xmpp:blocking"
	ErrorsNS   = "urn:xmpp:blocking:errors"
)

// A Stanza is what a rule may be about, as a bit.
type Stanza uint8

// The stanzas that a rule may name, and all others.
const (
	Message     Stanza = 1 << iota // to the account
	IQ                             // to the account
	PresenceIn                     // that somebody is there or not, to the account
	PresenceOut                    // the same of the account
	Other                          // what only a rule for all is about: other presence, and what else the account sends
	All         = Message | IQ | PresenceIn | PresenceOut | Other
)

// Inbound says which kind of stanza for an account this is.
func Inbound(name, kind string) Stanza {
	switch {
	case name == "message":
		return Message
	case name == "iq":
		return IQ
	case kind == "" || kind == "unavailable":
		return PresenceIn
	}
	return Other
}

// Outbound says which kind of stanza of an account this is.
func Outbound(name, kind string) Stanza {
	if name == "presence" && (kind == "" || kind == "unavailable") {
		return PresenceOut
	}
	return Other
}

// A Match is how a rule says whom it is about.
type Match uint8

// The ways.
const (
	Everybody    Match = iota
	JID                // an address, an account, a domain
	Group              // contacts in a group of the roster
	Subscription       // contacts whose subscription is none, to, from or both
)

// A Rule is an item of a list.
type Rule struct {
	Match   Match
	Value   string // prepared, if it is an address
	Deny    bool   // else it allows
	Order   uint32
	Stanzas Stanza
}

// blocks reports whether the rule is what the block list is made of.
func (r *Rule) blocks() bool { return r.Match == JID && r.Deny && r.Stanzas == All }

// A List has rules in their order, of which the first that matches counts. Who
// matches none is let in.
type List struct {
	Name  string
	Rules []Rule
}

// A Contact is what a roster says of an address: the zero Contact is in none.
type Contact struct {
	Subscription string // "" is none
	Groups       []string
}

// Denies reports whether a list keeps a stanza from or to an address away. roster
// is asked if a rule is about contacts; it may be nil if AsksRoster says no. A
// nil List denies nothing.
func (l *List) Denies(s Stanza, address string, roster func(bare string) Contact) bool {
	if l == nil {
		return false
	}
	var contact Contact
	known := false
	for i := range l.Rules {
		r := &l.Rules[i]
		if r.Stanzas&s == 0 {
			continue
		}
		if (r.Match == Group || r.Match == Subscription) && !known {
			bare, _, _ := strings.Cut(address, "/")
			contact, known = roster(bare), true
		}
		if r.matches(address, &contact) {
			return r.Deny
		}
	}
	return false
}

func (r *Rule) matches(address string, c *Contact) bool {
	switch r.Match {
	case JID:
		return matchesJID(r.Value, address)
	case Group:
		return slices.Contains(c.Groups, r.Value)
	case Subscription:
		return r.Value == c.Subscription || r.Value == "none" && c.Subscription == ""
	}
	return true
}

// matchesJID reports whether a rule's address is the one given, its account, its
// domain with the resource, or its domain (XEP-0016 section 2.1).
func matchesJID(value, address string) bool {
	bare, resource, _ := strings.Cut(address, "/")
	domain := bare[strings.IndexByte(bare, '@')+1:]
	if value == address || value == bare || value == domain {
		return true
	}
	rest, ok := strings.CutPrefix(value, domain)
	return ok && resource != "" && len(rest) == len(resource)+1 && rest[0] == '/' && rest[1:] == resource
}

// AsksRoster reports whether a rule is about contacts. A nil List asks nothing.
func (l *List) AsksRoster() bool {
	return l != nil && slices.ContainsFunc(l.Rules, func(r Rule) bool { return r.Match == Group || r.Match == Subscription })
}
