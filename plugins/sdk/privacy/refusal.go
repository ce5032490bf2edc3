package privacy

import (
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/xmpp/ns"
	"github.com/jabberii/server/plugins/xmpp/privacy"
	"github.com/jabberii/server/plugins/xmpp/vcard"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

const (
	private = "jabber:iq:private"
	last    = "jabber:iq:last"
)

// Refusal is what the session manager tells somebody who is kept away from an
// account and makes a request of it, or of one of its sessions: the same as it
// tells any stranger, of an account with nobody there, or of one that does not
// exist. He is not to learn that he is blocked (XEP-0191 section 3.3).
func Refusal(request *packet.Packet) *packet.Reject {
	el, ok := xml.First(request.Body, ns.Client)
	toSession := packet.Resource(request.To) != ""
	switch {
	case !ok && !toSession:
		return packet.Refuse("bad-request", "")
	case ok && el.NS() == last && (!toSession || request.Type == "get" && el.Name() == "query"):
		return packet.Refuse("forbidden", "")
	case ok && !toSession && isOwners(el.NS()):
		return packet.Refuse("forbidden", "")
	}
	return packet.Refuse("service-unavailable", "")
}

// IsOwners reports whether a request is one that every handler which knows it
// refuses to strangers, in its own words: nobody has to keep it away from them.
func IsOwners(request *packet.Packet) bool {
	el, ok := xml.First(request.Body, ns.Client)
	switch {
	case !ok:
		return true
	case vcard.IsTemp(&el), vcard.Is4(&el):
		return request.Type == "set"
	}
	return el.NS() == last || el.NS() == private || isOwners(el.NS())
}

// isOwners reports whether only an account's own clients make requests of a
// namespace of the session manager's.
func isOwners(space string) bool {
	switch space {
	case ns.Roster, ns.Carbons, privacy.NS, privacy.BlockingNS:
		return true
	}
	return false
}
