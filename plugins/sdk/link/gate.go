package link

import (
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/xmpp/jid"
	"github.com/jabberii/server/plugins/xmpp/stanza"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

// A gate judges packets of the peer, which is trusted to speak for its hosts and
// for no others: so its XML has to be as well-formed as that from a socket. It is
// for one goroutine.
type gate struct {
	names   *jid.Cache
	admit   func(domain string) bool
	scanner *xml.Scanner
	most    int // bytes of a body
	buf     []byte
}

func newGate(l *Link) *gate {
	return &gate{names: l.Names, admit: l.Admit, most: l.Packet, scanner: xml.NewScanner(xml.Limits{Bytes: l.Packet + startTag})}
}

// startTag is how much the start tag may take beside the body.
const startTag = 16 << 10

// crossing are the marks that cross from one tree to another.
const crossing = packet.Redelivered | packet.Bounced | packet.FromLog

// enter makes of what the peer sent the packet that enters the tree, in place.
func (g *gate) enter(p *packet.Packet) *packet.Reject {
	p.Flags &= crossing
	p.Host, p.Section, p.Near, p.Far, p.Seq = "", "", packet.Token{}, packet.Token{}, 0
	if p.Hops < 255 {
		p.Hops++
	}
	if stanza.IsNS(p.NS) {
		p.NS = ""
	}
	switch {
	case p.Kind != packet.Normal || !stanza.IsName(p.Name) || p.NS != "":
		return packet.Refuse(string(stanza.BadRequest), "the link takes stanzas only")
	case len(p.Body) > g.most:
		return packet.Refuse(string(stanza.PolicyViolation), "the packet is larger than the other server takes")
	case p.To == "" || p.From == "":
		return packet.Refuse(string(stanza.BadRequest), "a stanza on a link has both addresses")
	}
	if r := g.addresses(p); r != nil {
		return r
	}
	if !g.admit(packet.Domain(p.From)) {
		return packet.Refuse(string(stanza.NotAllowed), "the other server does not speak for "+packet.Domain(p.From))
	}
	return g.content(p)
}

// addresses puts prepared addresses in the place of those of the peer.
func (g *gate) addresses(p *packet.Packet) *packet.Reject {
	for _, a := range [...]*string{&p.To, &p.From} {
		j, err := g.names.Parse(*a)
		if err != nil {
			return packet.Refuse(string(stanza.JIDMalformed), err.Error())
		}
		*a = j.String()
	}
	return nil
}

// content checks that the packet is one element and no more.
func (g *gate) content(p *packet.Packet) *packet.Reject {
	b := append(append(append(g.buf[:0], '<'), p.Name...), p.Attrs...)
	for _, a := range [...]struct{ name, value string }{{"type", p.Type}, {"id", p.ID}, {"xml:lang", p.Lang}} {
		if a.value != "" {
			b = xml.AppendAttr(b, a.name, a.value)
		}
	}
	b = xml.AppendEnd(append(append(b, '>'), p.Body...), p.Name)
	if g.buf = b; cap(b) > 1<<20 {
		g.buf = nil
	}
	t, err := g.scanner.Document(b)
	switch {
	case err != nil:
		return packet.Refuse(string(stanza.BadRequest), "the packet is no XML element: "+err.Error())
	case t.To != nil || t.From != nil || t.NS != "" || len(t.Body) != len(p.Body) || t.Type != p.Type || string(t.ID) != p.ID || t.Lang != p.Lang:
		return packet.Refuse(string(stanza.BadRequest), "the packet is not the element that it says it is")
	}
	return nil
}
