package sm

import (
	"context"

	"github.com/jabberii/server/jabberd/packet"
)

// clientSubscription does what a client wants of a subscription (RFC 6121
// section 3 and appendix A.2). It is between accounts, so that both addresses
// are bare.
func (s *Service) clientSubscription(t *act, a *account, p *packet.Packet) error {
	other := packet.Bare(p.To)
	if other == "" {
		return packet.Refuse("bad-request", "a subscription is to somebody")
	}
	if other == a.jid {
		return nil
	}
	route := false
	var before subscription
	err := t.change(a, other, func(c contact) (contact, error) {
		before = c.state
		if t.isAgain() {
			c.state, route = c.state.outboundAgain(p.Type)
		} else {
			c.state, route = c.state.outbound(p.Type)
		}
		if p.Type == "subscribe" || c.state&(from|approved) != 0 {
			c.listed = true
		}
		if c.state&pendingIn == 0 {
			c.request = nil
		}
		return c, nil
	}, func(old, c *contact) { t.push(a, old, c) })
	if err != nil || !route {
		return err
	}
	// Who gains the presence sees it, who loses it sees that it is gone.
	q := *p
	q.To, q.From = other, a.jid
	var out []packet.Packet
	a.mu.Lock()
	switch {
	case p.Type == "subscribed" && (before&from == 0 || t.isAgain()):
		out = a.presences(out, other, true)
	case p.Type == "unsubscribed" && before&from != 0:
		out = a.presences(out, other, false)
	}
	a.mu.Unlock()
	t.normal(&q)
	for i := range out {
		out[i].Near, out[i].Seq = p.Near, p.Seq
		t.normal(&out[i])
	}
	return nil
}

// subscriptionFrom does what somebody wants of a subscription with an account
// (RFC 6121 section 3 and appendix A.3).
func (s *Service) subscriptionFrom(ctx context.Context, p *packet.Packet) (packet.Verdict, error) {
	jid, other := packet.Bare(p.To), packet.Bare(p.From)
	if jid == other {
		return packet.Claim, nil
	}
	a := s.accounts.hold(jid)
	defer s.accounts.release(a)
	a.mu.Lock()
	known := len(a.sessions) > 0
	a.mu.Unlock()
	if !known && p.Type == "subscribe" {
		if there, err := s.exists(ctx, jid); err != nil || !there {
			return packet.Claim, err
		}
	}
	t := act{s: s, ctx: ctx, flags: p.Flags}
	var deliver bool
	var answer string
	var before, after subscription
	err := t.change(a, other, func(c contact) (contact, error) {
		before = c.state
		if t.isAgain() {
			c.state, deliver, answer = c.state.inboundAgain(p.Type)
		} else {
			c.state, deliver, answer = c.state.inbound(p.Type)
		}
		after = c.state
		switch {
		case c.state&pendingIn == 0:
			c.request = nil
		case p.Type == "subscribe" && deliver:
			c.request = p.Body
		}
		return c, nil
	}, func(old, c *contact) {
		if deliver {
			t.tell(a, p)
		}
		t.push(a, old, c)
	})
	if err != nil {
		return packet.Pass, err
	}
	var out []packet.Packet
	if answer != "" {
		out = append(out, packet.Packet{To: other, From: jid, Name: "presence", Type: answer})
	}
	a.mu.Lock()
	switch {
	case after&from != 0 && (before&from == 0 || answer != "" && t.isAgain()):
		out = a.presences(out, other, true)
	case before&from != 0 && after&from == 0:
		out = a.presences(out, other, false)
	}
	a.mu.Unlock()
	for i := range out {
		t.normal(&out[i])
	}
	return packet.Claim, t.done()
}

// tell shows a presence that has changed a subscription to the sessions of the
// account: a request to all that are available, anything else to those also
// that have asked for the roster. The account is locked.
func (t *act) tell(a *account, p *packet.Packet) {
	var targets []*session
	for _, x := range a.sessions {
		if x.presence != nil || x.interested && p.Type != "subscribe" {
			targets = append(targets, x)
		}
	}
	q := *p
	q.To, q.From = a.jid, packet.Bare(p.From)
	t.down(a, targets, &q)
}
