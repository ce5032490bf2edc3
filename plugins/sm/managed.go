package sm

import (
	"context"
	"time"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sdk/journal"
	"github.com/jabberii/server/plugins/xmpp/ns"
)

// Managed is what a session has beside the rest once its client has enabled
// stream management (XEP-0198): the stanzas that the client has not
// acknowledged, and how many of its own the server has. All of it is in the
// journal before anybody is told of it.
//
// Stanzas to the client are numbered from 1 over the life of the session. On
// a connection, Seq goes on from one to the next too, so that what is sent
// again after a death is dropped there if it has been seen.
type managed struct {
	id   [16]byte      // what resumes it, with the token
	max  time.Duration // how long it may be resumed; 0 is not at all
	lost moment        // when its connection was lost

	received uint64      // stanzas of the client: h, but for its 32 bits
	counted  journal.Pos // behind the record of the last
	refused  uint64      // Seq of the last on this connection that a handler before sm has refused
	owes     bool        // the client has asked how many; it is told once they are in the journal
	pending  []inbound   // of these, those whose handling has not ended

	acked   uint64 // stanzas that the client has
	queue   queue  // those after
	written uint64 // the last that was given to the connection
	given   uint64 // the last that the client may have, also from processes before
	first   uint64 // the last before the connection
	sending bool   // somebody is in drain
	asked   moment // when the client was asked for an acknowledgement that it owes; 0 is not
	urgent  uint64 // the last that goes to the client though it is inactive, with all before it
	late    uint64 // it is to be asked once it was given this one, however few there are; 0 is none

	hello  *packet.Packet // enabled or resumed, goes before all stanzas of the connection
	helloH uint64         // received when it was made
	kind   helloKind
	after  moment // hello must not go before

	excess uint32 // requests behind hello that the client must not make, not refused yet

	downward module.Source // to the connection
	outward  module.Source // stanzas of the client
}

// helloKind says how the client came to be managed on its connection.
type helloKind uint8

const (
	noHello helloKind = iota
	isEnabled
	isResumed
	isBound // with its session, by Bind 2
)

// The Seq of what opens a connection. Stanzas follow.
const (
	seqBound = 1 + iota
	seqHello
)

// maxPending is how many stanzas of a client may be under way at once.
const maxPending = 1024

// inbound is a stanza of the client that is being handled.
type inbound struct {
	number uint64
	left   int // things that have to end
	place  journal.Pos
}

func (m *managed) resumable() bool { return m.max > 0 }

// end returns when a session without a connection ends.
func (m *managed) end() moment { return m.lost + moment(m.max/tick) + 1 }

// last returns the number of the last stanza.
func (m *managed) last() uint64 { return m.acked + uint64(m.queue.len()) }

// isLate reports whether the client was given what it is to be asked for.
func (m *managed) isLate() bool { return m.late != 0 && m.written >= m.late }

// newManaged makes the stream management of a session.
func (s *Service) newManaged(x *session) *managed {
	m := &managed{}
	m.queue.pool = &s.rooms
	m.downward = s.env.Source(module.SourceConfig{Window: errandWindow, Own: true, Batch: true})
	m.outward = s.env.Source(module.SourceConfig{Window: errandWindow, Own: true, Batch: true, Settled: func(o []packet.Outcome) {
		x.account.mu.Lock()
		defer x.account.mu.Unlock()
		for i := range o {
			s.ended(x, o[i].Tag)
		}
	}})
	return m
}

// receive counts a stanza of the client and puts it into the journal, with the
// Seq that it had on the connection. The account is locked, but for the time
// that the client has too many under way.
func (s *Service) receive(ctx context.Context, x *session, p *packet.Packet, seq uint64) (uint64, journal.Pos, error) {
	m := x.managed
	for len(m.pending) >= maxPending && !x.ended {
		s.finishBeforeWaiting(x.account)
		if err := s.await(ctx, x.account); err != nil {
			return 0, 0, err
		}
	}
	place, err := s.journalIn(x, m.received+1, seq, p)
	if err != nil {
		return 0, 0, err
	}
	m.received++
	m.counted = place + 1
	m.pending = append(m.pending, inbound{number: m.received, left: 1, place: place})
	return m.received, place, nil
}

// routeManaged puts into the tree what a stanza of a managed session leads to.
func (s *Service) routeManaged(x *session, p *packet.Packet, number uint64) {
	a := x.account
	a.mu.Lock()
	for i := range x.managed.pending {
		if in := &x.managed.pending[i]; in.number == number {
			in.left++
			break
		}
	}
	a.mu.Unlock()
	// If it fails the server is stopping, and the stanza stays in the journal.
	x.managed.outward.Deliver(s.ctx, p, number)
}

// ended says that one thing that a stanza led to has ended. The account is
// locked.
func (s *Service) ended(x *session, number uint64) {
	m := x.managed
	for i := range m.pending {
		in := &m.pending[i]
		if in.number != number {
			continue
		}
		if in.left--; in.left == 0 {
			m.pending = append(m.pending[:i], m.pending[i+1:]...)
			s.journalDone(x, number)
			x.account.signal()
		}
		return
	}
}

// enqueue puts a stanza behind those that managed sessions of an account wait
// to have acknowledged. It goes to so many sessions in all. The account is
// locked.
func (t *act) enqueue(managed []*session, all int, p *packet.Packet) {
	q := queued{p: *p, at: time.Now().UnixMilli(), stored: t.stored}
	if all > 1 {
		q.copies = &copies{held: len(managed), taken: len(managed) < all}
	}
	for _, x := range managed {
		if x.inactive {
			t.s.supersede(x, p)
		}
	}
	place, err := t.s.journalOut(managed, &q)
	if err != nil {
		t.s.env.Log().Error("journal: " + err.Error())
	}
	q.place = place
	t.records(place)
	for _, x := range managed {
		m := x.managed
		m.queue.push(&q)
		if x.inactive {
			t.s.pressing(x, p)
		}
		if !x.conn.IsZero() {
			t.wake = append(t.wake, x)
		}
	}
}

// isFull reports whether the queue of a managed session takes no more.
func (s *Service) isFull(x *session) bool {
	limits := &s.args().Management
	return x.isManaged() && (x.managed.queue.len() >= limits.Queue || x.managed.queue.bytes >= int(limits.Size))
}

// drain gives to the connection of a managed session what is in the journal
// and was not given yet, in order. No lock is held. Whoever comes while
// somebody is at it can go on: that one sees what is new. What it comes to
// leaves the process with the next Flush, which follows the end of Handle.
func (s *Service) drain(x *session) {
	a, m := x.account, x.managed
	a.mu.Lock()
	defer a.mu.Unlock()
	if m.sending {
		return
	}
	m.sending = true
	defer func() { m.sending = false }()
	p, _ := s.parcels.Get().(*packet.Packet)
	if p == nil {
		p = new(packet.Packet)
	}
	defer func() {
		*p = packet.Packet{}
		s.parcels.Put(p)
	}()
	for s.next(x, p) {
		a.mu.Unlock()
		err := m.downward.Deliver(s.ctx, p, 0)
		a.mu.Lock()
		if err != nil {
			return // the server is stopping; what waits is in the journal
		}
	}
}

// next finds what goes to the connection next. The account is locked.
func (s *Service) next(x *session, p *packet.Packet) bool {
	m := x.managed
	if x.conn.IsZero() || x.ended {
		return false
	}
	switch {
	case m.hello != nil:
		if x.given {
			return false // spoolPage drains
		}
		if s.clock.now() < m.after {
			s.clock.wake(x, m.after)
			return false
		}
		*p, m.hello = *m.hello, nil
		p.Seq = seqHello
	case m.excess > 0:
		m.excess--
		*p = failure(x.jid, "unexpected-request")
	case m.owes && m.counted <= s.journal.Durable():
		m.owes = false
		*p = packet.Packet{To: x.jid, Name: "a", NS: ns.StreamManagement, Attrs: " h='" + count(m.received) + "'"}
	case x.hasToGo() && m.queue.at(int(m.written-m.acked)).place < s.journal.Durable():
		*p = m.queue.at(int(m.written - m.acked)).p
		m.written++
		m.given = max(m.given, m.written)
		p.Seq = seqHello + m.written - m.first
		p.Flags = 0
		if !x.hasToGo() && s.isToAsk(m) { // in one go: it costs a packet less
			s.ask(x)
			p.Flags = packet.WantsAck
		}
	case s.isToAsk(m):
		s.ask(x)
		*p = packet.Packet{To: x.jid, Name: "r", NS: ns.StreamManagement}
	default:
		if m.written > m.acked && m.asked == 0 {
			s.clock.wake(x, s.clock.now()+requestDelay)
		}
		return false
	}
	p.Kind, p.Flags = packet.Session, p.Flags&(packet.WantsAck|packet.Recheck)|packet.Down
	p.Host, p.Section, p.Near, p.Far = x.conn.Host, x.conn.Section, x.token, x.conn
	return true
}

// isToAsk reports whether the client is to be asked for an acknowledgement now
// that it was given all that there is. The account is locked.
func (s *Service) isToAsk(m *managed) bool {
	return m.asked == 0 && m.written > m.acked && (m.isLate() || m.written-m.acked >= uint64(s.args().Management.Request))
}

// ack takes the client's count of the stanzas that it has, of which 32 bits
// are known, and reports whether it can be, and whether some of them were in
// storage: forgetStored comes next. The account is locked.
func (s *Service) ack(x *session, h uint32) (stored, ok bool) {
	m := x.managed
	n := uint64(h - uint32(m.acked))
	if n > m.given-m.acked {
		return false, false
	}
	if n == 0 {
		return false, true
	}
	keys := m.queue.drop(int(n))
	x.account.take(keys)
	m.acked += n
	m.written = max(m.written, m.acked)
	s.journalAck(x)
	x.account.signal()
	return len(keys) > 0, true
}
