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
// what somebody else has made up in the account's name, or in the server's. What had
// an id keeps it.
func identify(p *packet.Packet, wanted bool) {
	by := packet.Bare(p.To)
	if !strings.HasSuffix(p.Near.Section, unread) {
		p.Body = withoutForged(p.Body, by)
	} else if hasID(p.Body, by) {
		return
	}
	if wanted && isKept(p.Type) && !isFleeting(p) {
		p.Body = withID(p.Body, by)
	}
}

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

// isForged reports whether an element in a message that comes to an account says what
// only the account or its server may: which id it has, and that it has waited here
// (XEP-0203 section 4).
func isForged(el *xml.Element, by string) bool {
	if !el.Is("delay", ns.Delay) {
		return isID(el, by)
	}
	address, err := jid.Parse(el.Attr("from"))
	return err == nil && address.String() == packet.Domain(by)
}

// withoutForged takes these out. That there are some shows by their names, which can
// be written in one way only.
func withoutForged(body []byte, by string) []byte {
	if !bytes.Contains(body, []byte("stanza-id")) && !bytes.Contains(body, []byte("delay")) {
		return body
	}
	rest := make([]byte, 0, len(body))
	found := false
	for el := range xml.Elements(body, ns.Client) {
		if isForged(&el, by) {
			found = true
		} else {
			rest = append(rest, el.Outer()...)
		}
	}
	if !found {
		return body
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
