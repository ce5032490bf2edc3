package sm

import (
	"context"
	"strconv"

	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

// A stanza that does not come here, since c2s cannot send it on or a handler
// before has refused it, counts like any other: for the client it is one that it
// has sent, and its error one that it gets (XEP-0198 section 4). c2s says so in
// its place.

// refusedName is what stands in the journal for such a stanza. Its type is the
// stanza's name. No stanza of a client has the name.
const refusedName = "refused"

// refusedBefore takes a stanza that was refused before it came here. x is nil
// while the connection has no session.
func (s *Service) refusedBefore(ctx context.Context, x *session, p *packet.Packet) (packet.Verdict, error) {
	if x == nil {
		return packet.Claim, s.answerUnbound(ctx, p)
	}
	t := act{s: s, ctx: ctx, flags: p.Flags, x: x}
	a := x.account
	a.mu.Lock()
	seq, isNew := s.seqOfRefused(x, p)
	if !isNew {
		a.mu.Unlock()
		return packet.Claim, nil
	}
	q := packet.Packet{Kind: packet.Session, To: p.To, From: x.jid, Name: refusedName, Type: p.Name, ID: p.ID, Attrs: p.Attrs, Body: p.Body}
	if x.isManaged() {
		n, place, err := s.receive(ctx, x, &q, seq)
		if err != nil {
			a.mu.Unlock()
			return packet.Pass, err
		}
		t.number = n
		t.records(place)
	}
	a.mu.Unlock()
	return packet.Claim, s.handleClient(&t, x, &q)
}

// seqOfRefused returns the Seq that is journaled with a refused stanza, and
// whether it was not heard of before. One that c2s has refused is in the order of
// what the connection says. Those that a handler has refused come later, in an
// order of their own. The account is locked.
func (s *Service) seqOfRefused(x *session, p *packet.Packet) (seq uint64, isNew bool) {
	if !s.isNew(x, p) {
		return 0, false
	}
	if p.Attrs == "" {
		return p.Seq, true
	}
	el, _ := xml.First([]byte("<x"+p.Attrs+"/>"), "")
	seq, err := strconv.ParseUint(el.Attr("seq"), 10, 64)
	if err != nil || x.isManaged() && seq <= x.managed.refused {
		return 0, false
	}
	if x.isManaged() {
		x.managed.refused = seq
	}
	return seq, true
}

// tellRefused sends the client the error of a refused stanza, if it is one that
// is answered.
func (s *Service) tellRefused(t *act, x *session, p *packet.Packet) {
	if len(p.Body) > 0 {
		s.answerError(t, x, p, p.Type, p.Body)
	}
}

// answerUnbound tells a connection without a session of a refused stanza.
func (s *Service) answerUnbound(ctx context.Context, p *packet.Packet) error {
	if len(p.Body) == 0 {
		return nil
	}
	return s.env.Deliver(ctx, &packet.Packet{
		Kind: packet.Session, Flags: packet.Down, Host: p.Near.Host, Section: p.Near.Section, Far: p.Near,
		From: p.To, To: p.From, Name: p.Name, Type: "error", ID: p.ID, Body: p.Body,
	})
}
