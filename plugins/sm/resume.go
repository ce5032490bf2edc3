package sm

import (
	"context"
	"crypto/subtle"
	"strconv"

	"github.com/jabberii/server/jabberd/packet"
)

// resume gives a session another connection (XEP-0198 section 5). p.From is
// the account that has authenticated there.
func (s *Service) resume(ctx context.Context, x *session, p *packet.Packet) (packet.Verdict, error) {
	if x != nil {
		return s.resumeAgain(ctx, x, p)
	}
	name := attribute(p, "previd")
	h, err := strconv.ParseUint(attribute(p, "h"), 10, 32)
	if err != nil {
		return s.failed(ctx, p, "bad-request", "")
	}
	if x = s.resumed(name, packet.Bare(p.From)); x == nil {
		attrs := ""
		if e, ok := s.expired.find(name); ok && e.jid == packet.Bare(p.From) {
			attrs = " h='" + count(e.received) + "'"
		}
		return s.failed(ctx, p, "item-not-found", attrs)
	}
	a, m := x.account, x.managed
	a.mu.Lock()
	if x.ended {
		a.mu.Unlock()
		return s.failed(ctx, p, "item-not-found", "")
	}
	stored, ok := s.ack(x, uint32(h))
	if !ok {
		app := tooHigh(h, m.given)
		a.mu.Unlock()
		return packet.Claim, s.env.Deliver(ctx, streamEnd(p.Near, packet.Token{}, p.From, "undefined-condition", app))
	}
	old := x.conn
	s.connect(x, p)
	a.mu.Unlock()
	if !old.IsZero() {
		s.env.Deliver(ctx, streamEnd(old, x.token, x.jid, "conflict", nil))
	}
	if err := s.commit(); err != nil {
		return packet.Pass, err
	}
	if stored {
		s.forgetStored(ctx, a)
	}
	s.drain(x)
	return packet.Claim, nil
}

// connect gives a session the connection that p came by: what is not
// acknowledged goes to it again. The account is locked.
func (s *Service) connect(x *session, p *packet.Packet) {
	m := x.managed
	conn := p.Near.Own()
	s.sessions.connect(x, x.conn, conn)
	x.base += x.seq
	x.conn, x.seq, x.heard = conn, p.Seq, s.clock.now()
	m.written, m.first = m.acked, m.acked
	m.asked, m.late, m.after, m.lost, m.owes, m.refused, m.excess = 0, 0, 0, 0, false, 0, 0
	m.kind, m.helloH = isResumed, m.received
	x.inactive = false // XEP-0352 section 6
	x.recheck = false  // a change would have ended it
	s.greet(x)
	s.journalState(x)
}

// resumeAgain handles a resume on a connection that has a session. It is
// misuse, unless it is the one that has given it the session: then it comes
// again because nobody could say that it was done.
func (s *Service) resumeAgain(ctx context.Context, x *session, p *packet.Packet) (packet.Verdict, error) {
	a := x.account
	a.mu.Lock()
	isNew, managed := s.isNew(x, p), x.isManaged()
	if isNew && managed {
		x.managed.excess++
	}
	a.mu.Unlock()
	switch {
	case !isNew:
	case managed:
		s.drain(x)
	default:
		return s.failed(ctx, p, "unexpected-request", "")
	}
	return packet.Claim, nil
}

// resumed returns the session of an account that a name resumes, nil if there
// is none.
func (s *Service) resumed(name, jid string) *session {
	token, id, ok := parseName(name)
	if !ok {
		return nil
	}
	x := s.sessions.find(token)
	if x == nil || x.account.jid != jid {
		return nil
	}
	x.account.mu.Lock()
	defer x.account.mu.Unlock()
	m := x.managed
	if m == nil || !m.resumable() || subtle.ConstantTimeCompare(m.id[:], id[:]) == 0 {
		return nil
	}
	return x
}

// An expiry says how many stanzas a session had received that has ended, so that a
// client which comes too late to resume it knows which to send again.
type expiry struct {
	jid      string
	received uint64
}
