package sm

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"math/rand/v2"
	"strings"

	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/xmpp/jid"
	"github.com/jabberii/server/plugins/xmpp/ns"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

// Stanza ids (XEP-0359). A message that may come to a client of the account more than
// once has an id by the account, the same each time: it is part of the message in the
// journal and in storage. That is a message to a managed session, which may end with
// the message unacknowledged, and an offline message.

// unread ends the section of the origin that what a session has not taken gets.
const unread = "/unread"

// identify gives a message to an account its id, if it is to have one, and takes out
// what somebody else has made up in the account's name. What had an id keeps it.
func identify(p *packet.Packet, wanted bool) {
	by := packet.Bare(p.To)
	if mentionsID(p.Body) {
		if strings.HasSuffix(p.Near.Section, unread) && hasID(p.Body, by) {
			return
		}
		p.Body = withoutIDs(p.Body, by)
	}
	if wanted && isKept(p.Type) && !isFleeting(p) {
		p.Body = withID(p.Body, by)
	}
}

// mentionsID reports whether there may be an id in the content of a message: the name
// of an element can be written in one way only.
func mentionsID(body []byte) bool { return bytes.Contains(body, []byte("stanza-id")) }

func isID(el *xml.Element, by string) bool {
	if !el.Is("stanza-id", ns.StanzaID) {
		return false
	}
	address, err := jid.Parse(el.Attr("by"))
	return err == nil && address.String() == by
}

func hasID(body []byte, by string) bool {
	for el := range xml.Elements(body, ns.Client) {
		if isID(&el, by) {
			return true
		}
	}
	return false
}

func withoutIDs(body []byte, by string) []byte {
	if !mentionsID(body) || !hasID(body, by) {
		return body
	}
	rest := make([]byte, 0, len(body))
	for el := range xml.Elements(body, ns.Client) {
		if !isID(&el, by) {
			rest = append(rest, el.Outer()...)
		}
	}
	return rest
}

// withID adds an id that nobody can guess.
func withID(body []byte, by string) []byte {
	var id [12]byte // 96 bits, few characters: each costs in the journal, on the way and at the client
	binary.BigEndian.PutUint64(id[:8], rand.Uint64())
	binary.BigEndian.PutUint32(id[8:], rand.Uint32())
	const start, end = "<stanza-id xmlns='" + ns.StanzaID + "'", "'/>"
	out := make([]byte, 0, len(body)+len(start)+len(" by='' id='")+len(by)+16+len(end)+16)
	out = append(append(out, body...), start...)
	out = append(xml.AppendAttr(out, "by", by), " id='"...)
	out = base64.RawURLEncoding.AppendEncode(out, id[:])
	return append(out, end...)
}
