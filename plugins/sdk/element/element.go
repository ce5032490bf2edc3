// Package element turns packets into XML elements and elements into packets,
// for modules that speak XML with the world.
//
// The start tag of an element is in the fields of its packet, its content is the
// body. Both sides agree on what a body may leave out: it declares all prefixes
// that it uses, and a child without xmlns is in the namespace of the element,
// which for stanzas is that of whichever stream they are on.
package element

import (
	"bytes"

	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/xmpp/jid"
	"github.com/jabberii/server/plugins/xmpp/stanza"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

// Append appends p as an element. Its namespace is spelled out unless it is
// that of stanzas, which is right on a stream that has it as its default.
func Append(dst []byte, p *packet.Packet) []byte {
	dst = append(append(dst, '<'), p.Name...)
	for _, a := range [...]struct{ name, value string }{
		{"xmlns", p.NS}, {"to", p.To}, {"from", p.From}, {"type", p.Type}, {"id", p.ID}, {"xml:lang", p.Lang},
	} {
		if a.value != "" {
			dst = xml.AppendAttr(dst, a.name, a.value)
		}
	}
	dst = append(dst, p.Attrs...)
	if len(p.Body) == 0 {
		return append(dst, "/>"...)
	}
	dst = append(append(dst, '>'), p.Body...)
	return xml.AppendEnd(dst, p.Name)
}

// Packet makes a packet of kind Normal of an element, of which it copies what it
// needs, with its addresses prepared by names. If an address is malformed, the
// packet lacks it and the error is a *packet.Reject with jid-malformed.
func Packet(t *xml.Token, names *jid.Cache) (packet.Packet, error) {
	p := packet.Packet{
		Kind: packet.Normal, Name: t.Name, Type: t.Type, ID: string(t.ID),
		Lang: t.Lang, Attrs: string(t.Rest), Body: bytes.Clone(t.Body),
	}
	if !stanza.IsNS(t.NS) {
		p.NS = t.NS
	}
	var bad error
	p.To, bad = prepared(t.To, names, bad)
	p.From, bad = prepared(t.From, names, bad)
	return p, bad
}

// prepared returns an address in its prepared form, and the error of it unless
// there was one before.
func prepared(address []byte, names *jid.Cache, before error) (string, error) {
	if address == nil {
		return "", before
	}
	j, err := names.ParseBytes(address)
	if err != nil {
		if before == nil {
			before = packet.Refuse("jid-malformed", err.Error())
		}
		return "", before
	}
	return j.String(), before
}
