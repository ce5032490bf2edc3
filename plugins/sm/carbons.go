package sm

import (
	"context"

	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/xmpp/carbons"
	"github.com/jabberii/server/plugins/xmpp/ns"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

// carbonsIQ lets a session have copies of what the account's others say and
// get, or no longer (XEP-0280 sections 4 and 5).
func (s *Service) carbonsIQ(ctx context.Context, p *packet.Packet, el *xml.Element) (packet.Verdict, error) {
	wanted := el.Is("enable", ns.Carbons)
	switch {
	case packet.Bare(p.From) != p.To:
		return packet.Pass, packet.Refuse("forbidden", "")
	case p.Type != "set" || !wanted && !el.Is("disable", ns.Carbons):
		return packet.Pass, packet.Refuse("bad-request", "")
	}
	a := s.accounts.lock(p.To)
	if a == nil {
		return packet.Pass, unavailable()
	}
	x := a.bound(packet.Resource(p.From))
	if x != nil && x.carbons != wanted {
		x.carbons = wanted
		s.journalState(x)
	}
	a.mu.Unlock()
	if x == nil {
		return packet.Pass, unavailable()
	}
	if err := s.commit(); err != nil {
		return packet.Pass, err
	}
	return s.result(ctx, p, nil)
}

// copied appends the sessions that get a copy of a message: those that want
// copies, but for the one that sent it and those that it went to. The account
// is locked.
func (a *account) copied(side carbons.Side, p *packet.Packet, to, targets []*session) []*session {
	for _, x := range a.sessions {
		if x.carbons && x.jid != p.From && !contains(to, x) {
			targets = append(targets, x)
		}
	}
	if len(targets) == 0 {
		return nil
	}
	other := p.From
	if side == carbons.Sent {
		other = p.To
	}
	if !carbons.Eligible(side, p.Type, other, p.Body) || p.Type == "error" && a.hasEntered(packet.Bare(other)) {
		return nil
	}
	return targets
}

// contains is slices.Contains, which would have list escape.
func contains(list []*session, x *session) bool {
	for _, y := range list {
		if x == y {
			return true
		}
	}
	return false
}

// hasEntered reports whether a session of the account has shown its presence to
// a room. The account is locked.
func (a *account) hasEntered(room string) bool {
	for _, x := range a.sessions {
		for jid := range x.directed {
			if packet.Bare(jid) == room {
				return true
			}
		}
	}
	return false
}

// copy gives sessions a copy of a message. One that comes again is not copied
// again. The account is locked.
func (t *act) copy(a *account, side carbons.Side, p *packet.Packet, targets []*session) {
	if len(targets) == 0 {
		return
	}
	q := packet.Packet{From: a.jid, Name: "message", Type: p.Type}
	if hasOrigin(p) {
		q.Near, q.Seq = p.Near, p.Seq
		q.Near.Section += "/" + string(side)
		if t.flags&packet.Redelivered != 0 && t.s.repeats.has(a.jid, &q) {
			return
		}
	}
	q.Body = carbons.Append(make([]byte, 0, len(p.Body)+len(p.Attrs)+400), side, writeMessage(nil, p, p.Body))
	for _, x := range targets {
		one := q
		one.To = x.jid
		t.down(a, []*session{x}, &one)
	}
}

// writeMessage writes a message out, with this content.
func writeMessage(b []byte, p *packet.Packet, body []byte) []byte {
	b = xml.AppendStart(b, "message", ns.Client, "to", p.To, "from", p.From, "type", p.Type, "id", p.ID, "xml:lang", p.Lang)
	b = append(b[:len(b)-1], p.Attrs...)
	b = append(append(b, '>'), body...)
	return xml.AppendEnd(b, "message")
}

// copySent copies a message of a client to the account's other sessions. A
// message to the account itself is copied where it arrives.
func (s *Service) copySent(t *act, p *packet.Packet) error {
	a := t.x.account
	if packet.Bare(p.To) == a.jid {
		return nil
	}
	for {
		var room [8]*session
		a.mu.Lock()
		targets := a.copied(carbons.Sent, p, nil, room[:0])
		x := s.full(targets)
		if x == nil {
			t.copy(a, carbons.Sent, p, targets)
			a.mu.Unlock()
			return nil
		}
		a.mu.Unlock()
		if err := s.makeRoom(t.ctx, x); err != nil {
			return err
		}
	}
}

// copyKept copies a message that is kept to sessions that see it in no other
// way: those that are available and take no messages to the account.
func (s *Service) copyKept(ctx context.Context, p *packet.Packet) error {
	a := s.accounts.lock(packet.Bare(p.To))
	if a == nil {
		return nil
	}
	t := act{s: s, ctx: ctx, flags: p.Flags}
	var room, seen [8]*session
	targets := seen[:0]
	for _, x := range a.copied(carbons.Received, p, nil, room[:0]) {
		if x.presence != nil && !a.isSpooling(x) {
			targets = append(targets, x)
		}
	}
	t.copy(a, carbons.Received, p, targets)
	a.mu.Unlock()
	return t.done()
}

// isCopy reports whether a stanza to a session is a copy.
func isCopy(p *packet.Packet) bool {
	if p.Name != "message" || p.From != packet.Bare(p.To) {
		return false
	}
	_, ok := carbons.Copied(p.Body)
	return ok
}
