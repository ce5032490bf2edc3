package sm

import (
	"context"

	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sdk/sessions"
	"github.com/jabberii/server/plugins/xmpp/ns"
	"github.com/jabberii/server/plugins/xmpp/privacy"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

// iq handles an IQ to an account: to one of its sessions, or to the account,
// for which the server answers (RFC 6121 section 8.5).
func (s *Service) iq(ctx context.Context, p *packet.Packet) (packet.Verdict, error) {
	if packet.Resource(p.To) != "" {
		if asksLast(p) {
			if err := s.mayAskLast(ctx, p); err != nil {
				return packet.Pass, err
			}
		}
		return s.iqToSession(ctx, p)
	}
	if p.Type != "get" && p.Type != "set" {
		return packet.Claim, nil // an answer to nothing that was asked
	}
	el, ok := xml.First(p.Body, ns.Client)
	if !ok {
		return packet.Pass, packet.Refuse("bad-request", "")
	}
	switch el.NS() {
	case ns.Roster:
		return s.rosterIQ(ctx, p, &el)
	case ns.DiscoInfo, ns.DiscoItems:
		return s.discoverAccount(ctx, p, &el)
	case ns.Ping:
		return s.pingAccount(ctx, p, &el)
	case ns.Carbons:
		return s.carbonsIQ(ctx, p, &el)
	case privacy.BlockingNS:
		return s.blockingIQ(ctx, p, &el)
	case privacy.NS:
		return s.listsIQ(ctx, p, &el)
	case lastSpace:
		return s.lastActivity(ctx, p)
	case ns.Session:
		return s.oldSession(ctx, p)
	}
	return packet.Pass, nil
}

// iqToSession delivers an IQ to the session that it is to. Nobody is told that
// an answer finds none.
func (s *Service) iqToSession(ctx context.Context, p *packet.Packet) (packet.Verdict, error) {
	for {
		a := s.accounts.lock(packet.Bare(p.To))
		var x *session
		if a != nil {
			x = a.bound(packet.Resource(p.To))
		}
		switch {
		case x == nil:
			if a != nil {
				a.mu.Unlock()
			}
			if p.Type != "get" && p.Type != "set" {
				return packet.Claim, nil
			}
			return packet.Pass, unavailable()
		case s.isFull(x):
			a.mu.Unlock()
			if err := s.makeRoom(ctx, x); err != nil {
				return packet.Pass, err
			}
			continue
		}
		t := act{s: s, ctx: ctx, flags: p.Flags}
		t.down(a, []*session{x}, p)
		a.mu.Unlock()
		return packet.Claim, t.done()
	}
}

// host handles a stanza to a host itself.
func (s *Service) host(ctx context.Context, p *packet.Packet) (packet.Verdict, error) {
	if p.Name != "iq" || p.Type != "get" && p.Type != "set" || packet.Resource(p.To) != "" {
		return packet.Pass, nil
	}
	el, ok := xml.First(p.Body, ns.Client)
	if !ok {
		return packet.Pass, packet.Refuse("bad-request", "")
	}
	switch el.NS() {
	case ns.DiscoInfo, ns.DiscoItems:
		return s.discoverHost(ctx, p, &el)
	case sessions.NS:
		return s.administer(ctx, p, &el)
	case ns.Ping:
		return s.ping(ctx, p, &el)
	case ns.Session:
		return s.oldSession(ctx, p)
	}
	return packet.Pass, nil
}

// oldSession does what the session of RFC 3921 is for: nothing. Clients still
// ask for it.
func (s *Service) oldSession(ctx context.Context, p *packet.Packet) (packet.Verdict, error) {
	if packet.Local(p.To) != "" && packet.Bare(p.From) != p.To {
		return packet.Pass, unavailable()
	}
	if p.Type != "set" {
		return packet.Pass, packet.Refuse("bad-request", "")
	}
	return s.result(ctx, p, nil)
}

// ping says that somebody is there (XEP-0199).
func (s *Service) ping(ctx context.Context, p *packet.Packet, el *xml.Element) (packet.Verdict, error) {
	if p.Type != "get" || el.Name() != "ping" {
		return packet.Pass, packet.Refuse("bad-request", "")
	}
	return s.result(ctx, p, nil)
}

// pingAccount is ping for an account: to those who do not see its presence it
// does not exist.
func (s *Service) pingAccount(ctx context.Context, p *packet.Packet, el *xml.Element) (packet.Verdict, error) {
	if packet.Bare(p.From) != p.To {
		sees, err := s.sees(ctx, p.To, packet.Bare(p.From))
		if err == nil && !sees {
			err = unavailable()
		}
		if err != nil {
			return packet.Pass, err
		}
	}
	return s.ping(ctx, p, el)
}

// result answers a request.
func (s *Service) result(ctx context.Context, p *packet.Packet, body []byte) (packet.Verdict, error) {
	return packet.Claim, s.env.Deliver(ctx, &packet.Packet{
		Kind: packet.Normal, To: p.From, From: p.To, Name: "iq", Type: "result", ID: p.ID, Body: body,
	})
}
