package sm

import (
	"context"

	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/xmpp/ns"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

// discoverHost says what a host is.
func (s *Service) discoverHost(ctx context.Context, p *packet.Packet, el *xml.Element) (packet.Verdict, error) {
	features := []string{ns.DiscoInfo, ns.DiscoItems, ns.Ping, ns.Roster}
	if s.args().Offline.Max > 0 {
		features = append(features, "msgoffline")
	}
	return s.discover(ctx, p, el, "server", "im", features)
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
	return s.discover(ctx, p, el, "account", "registered", []string{ns.DiscoInfo, ns.DiscoItems, ns.Ping})
}

func (s *Service) discover(ctx context.Context, p *packet.Packet, el *xml.Element, category, kind string, features []string) (packet.Verdict, error) {
	switch {
	case p.Type != "get" || el.Name() != "query":
		return packet.Pass, packet.Refuse("bad-request", "")
	case el.Attr("node") != "":
		return packet.Pass, packet.Refuse("item-not-found", "")
	case el.NS() == ns.DiscoItems:
		return s.result(ctx, p, xml.AppendEmpty(nil, "query", ns.DiscoItems))
	}
	body := xml.AppendStart(nil, "query", ns.DiscoInfo)
	body = xml.AppendEmpty(body, "identity", "", "category", category, "type", kind, "name", "jabberd")
	for _, f := range features {
		body = xml.AppendEmpty(body, "feature", "", "var", f)
	}
	return s.result(ctx, p, xml.AppendEnd(body, "query"))
}
