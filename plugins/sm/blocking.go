package sm

import (
	"context"

	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/xmpp/jid"
	"github.com/jabberii/server/plugins/xmpp/privacy"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

// blockingIQ answers what a client asks of the block list (XEP-0191), which is a
// part of the default privacy list.
func (s *Service) blockingIQ(ctx context.Context, p *packet.Packet, el *xml.Element) (packet.Verdict, error) {
	name := el.Name()
	switch {
	case packet.Bare(p.From) != p.To:
		return packet.Pass, packet.Refuse("forbidden", "")
	case p.Type == "get" && name == "blocklist":
		return s.blockList(ctx, p)
	case p.Type != "set" || name != "block" && name != "unblock":
		return packet.Pass, packet.Refuse("bad-request", "")
	}
	addresses, err := blockedIn(el)
	switch {
	case err != nil:
		return packet.Pass, err
	case name == "block" && len(addresses) == 0:
		return packet.Pass, packet.Refuse("bad-request", "whom?")
	}
	a := s.accounts.hold(p.To)
	defer s.accounts.release(a)
	t := act{s: s, ctx: ctx, flags: p.Flags}
	err = s.changeLists(&t, a, func(old privacy.Lists) (privacy.Lists, error) {
		if name == "unblock" {
			return old.Unblock(addresses), nil
		}
		return old.Block(addresses)
	})
	if err != nil {
		return packet.Pass, rejected(err)
	}
	a.mu.Lock()
	t.pushAll(a, blocking(name, addresses), func(x *session) bool { return x.blocking })
	a.mu.Unlock()
	if err := t.done(); err != nil {
		return packet.Pass, err
	}
	return s.result(ctx, p, nil)
}

// blockedIn reads the addresses of a request.
func blockedIn(el *xml.Element) ([]string, error) {
	var all []string
	for item := range el.Elements() {
		if !item.Is("item", privacy.BlockingNS) {
			continue
		}
		address, err := jid.Parse(item.Attr("jid"))
		if err != nil {
			return nil, packet.Refuse("jid-malformed", err.Error())
		}
		if all = append(all, address.String()); len(all) > privacy.MaxRules {
			return nil, packet.Refuse("resource-constraint", "these are too many")
		}
	}
	return all, nil
}

// blocking writes a list of addresses.
func blocking(name string, addresses []string) []byte {
	if len(addresses) == 0 {
		return xml.AppendEmpty(nil, name, privacy.BlockingNS)
	}
	body := xml.AppendStart(nil, name, privacy.BlockingNS)
	for _, jid := range addresses {
		body = xml.AppendEmpty(body, "item", "", "jid", jid)
	}
	return xml.AppendEnd(body, name)
}

// blockList answers with the block list. The session is told of changes from then
// on.
func (s *Service) blockList(ctx context.Context, p *packet.Packet) (packet.Verdict, error) {
	a := s.accounts.hold(p.To)
	defer s.accounts.release(a)
	g, err := s.guardOf(ctx, a)
	if err != nil {
		return packet.Pass, err
	}
	a.mu.Lock()
	if x := a.bound(packet.Resource(p.From)); x != nil && !x.blocking {
		x.blocking = true
		s.journalState(x)
	}
	a.mu.Unlock()
	if err := s.commit(); err != nil {
		return packet.Pass, err
	}
	return s.result(ctx, p, blocking("blocklist", g.lists.Blocked()))
}
