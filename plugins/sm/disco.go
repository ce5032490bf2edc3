package sm

import (
	"context"

	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sdk/disco"
	"github.com/jabberii/server/plugins/xmpp/ns"
	"github.com/jabberii/server/plugins/xmpp/privacy"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

// discoverHost says what a host is: what the chain has brought, and what sm does.
func (s *Service) discoverHost(ctx context.Context, p *packet.Packet, el *xml.Element) (packet.Verdict, error) {
	var a disco.Answer
	a.Identity("server", "im", "jabberd")
	a.Feature(ns.DiscoInfo, ns.DiscoItems, ns.Ping, ns.Roster, ns.Carbons, ns.Caps, privacy.NS, privacy.BlockingNS)
	if s.args().Caps.Optimize {
		a.Feature(capsOptimize)
	}
	if s.args().Offline.Max > 0 {
		a.Feature("msgoffline")
	}
	return s.discover(ctx, p, el, &a)
}

// discoverAccount says what an account is, to itself and to those who see its
// presence; to others it does not exist (XEP-0030 section 8).
func (s *Service) discoverAccount(ctx context.Context, p *packet.Packet, el *xml.Element) (packet.Verdict, error) {
	jid := packet.Bare(p.To)
	if packet.Bare(p.From) != jid {
		sees, err := s.sees(ctx, jid, packet.Bare(p.From))
		if err != nil {
			return packet.Pass, err
		}
		if !sees {
			return packet.Pass, unavailable()
		}
	}
	var a disco.Answer
	a.Identity("account", "registered", "jabberd")
	a.Feature(ns.DiscoInfo, ns.DiscoItems, ns.Ping, lastSpace, ns.StanzaID)
	if disco.IsWhole(el.Attr("node")) {
		for _, session := range s.shownTo(p.From, jid) {
			a.Item(session, "", "")
		}
	}
	return s.discover(ctx, p, el, &a)
}

// discover answers with what is sm's own and what modules before it have put
// into the query.
func (s *Service) discover(ctx context.Context, p *packet.Packet, el *xml.Element, a *disco.Answer) (packet.Verdict, error) {
	node := el.Attr("node")
	switch {
	case p.Type != "get" || el.Name() != "query":
		return packet.Pass, packet.Refuse("bad-request", "")
	case !disco.IsWhole(node) && (node != disco.Commands || el.NS() != ns.DiscoItems):
		return packet.Pass, packet.Refuse("item-not-found", "")
	}
	a.Take(el)
	if p.From == p.To && disco.OfHost(p) && el.NS() == ns.DiscoInfo {
		s.keepOwn(ctx, p.To, a)
		return packet.Claim, nil
	}
	if el.NS() == ns.DiscoItems {
		return s.result(ctx, p, a.AppendItems(nil, node))
	}
	return s.result(ctx, p, a.AppendInfo(nil, node))
}
