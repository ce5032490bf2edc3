// Package carbons implements the rules of message carbons (XEP-0280 version
// 1.0.1): which messages of a conversation are copied to the account's other
// clients, and what a copy looks like.
//
//	if carbons.Eligible(carbons.Sent, p.Type, p.To, p.Body) {
//		copy.Body = carbons.Append(nil, carbons.Sent, message)
//	}
//
// A copy comes from the account's bare address and goes to the full address of
// one client; its type is that of the message.
package carbons

import (
	"strings"

	"github.com/jabberii/server/plugins/xmpp/ns"
	"github.com/jabberii/server/plugins/xmpp/stanza"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

// A Side is the part that an account has in a message, and the name of the
// element in a copy.
type Side string

// The sides.
const (
	Sent     Side = "sent"
	Received Side = "received"
)

// Namespaces of what makes a message part of a conversation, or of a room.
const (
	mucUser    = "http://jabber.org/protocol/muc#user"
	conference = "jabber:x:conference" // XEP-0249
)

// Eligible reports whether a message is copied (section 6.1), by its type, the
// address of the other side, and its content.
//
// An error is eligible if what it answers was, which nobody can see in it: it
// counts as one that was, unless it is of a room. So a server that goes by this
// copies a little more than urn:xmpp:carbons:rules:0 promises.
func Eligible(side Side, kind, other string, body []byte) bool {
	if kind == stanza.TypeGroupchat {
		return false
	}
	talk := kind == stanza.TypeChat || kind == stanza.TypeError
	room, invited := false, false
	for el := range xml.Elements(body, ns.Client) {
		switch space := el.NS(); {
		case el.Is("private", ns.Carbons), el.Is("no-copy", ns.Hints):
			return false
		case el.Is("body", ns.Client):
			talk = talk || kind == "" || kind == stanza.TypeNormal
		case space == ns.Receipts, space == ns.ChatStates, space == ns.ChatMarkers:
			talk = true
		case space == conference:
			invited = true
		case el.Is("x", mucUser):
			room = true
			_, mediated := el.Find("invite", mucUser)
			invited = invited || mediated
		}
	}
	switch {
	case invited && kind != stanza.TypeError:
		return true
	case room && (kind == stanza.TypeError || side == Received && strings.Contains(other, "/")):
		return false // the room tells each client itself
	}
	return talk
}

// Append writes the content of a copy of a message, which is written out with
// its namespace (XEP-0297).
func Append(dst []byte, side Side, message []byte) []byte {
	dst = xml.AppendStart(dst, string(side), ns.Carbons)
	dst = xml.AppendStart(dst, "forwarded", ns.Forward)
	dst = append(dst, message...)
	dst = xml.AppendEnd(dst, "forwarded")
	return xml.AppendEnd(dst, string(side))
}

// Copied returns the message that this is the content of a copy of, and whether
// it is one. Who gets it has to look at who sent it: only one's own account may.
func Copied(body []byte) (message xml.Element, ok bool) {
	el, ok := xml.First(body, ns.Client)
	if !ok || !el.Is(string(Sent), ns.Carbons) && !el.Is(string(Received), ns.Carbons) {
		return message, false
	}
	if el, ok = el.Find("forwarded", ns.Forward); !ok {
		return message, false
	}
	return el.Find("message", ns.Client)
}
