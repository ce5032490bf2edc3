package sm

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sdk/journal"
)

// An act is the handling of one packet, or something that sm does of its own
// accord: what it comes to is put into the tree through it.
//
// In Handle a stanza of a client without stream management leads to packets in
// the same transaction, so that the connection's hold on it lasts until they
// have ended. A stanza of a managed session is in the journal, which holds it
// instead: what it leads to leaves at once, and the journal is told when that
// has ended.
type act struct {
	s     *Service
	ctx   context.Context // of Handle, or of the service
	alone bool            // it is not of Handle: there is no transaction
	flags packet.Flags    // Redelivered, if the packet is

	x      *session // whose stanza it is, nil if it is none of a client
	number uint64   // of the stanza, 0 if the session is not managed
	errand *errand  // of its own accord: counts what was delivered

	stored string          // key of the offline message that goes down
	later  []packet.Packet // for connections, when no lock is held
	wake   []*session      // managed, with something to send
	full   []*session      // whose queue takes no more
	write  journal.Pos     // behind the last record that has to be written first; 0 if none has
}

// normal puts a stanza into the tree. No lock is held. p is not kept.
func (t *act) normal(p *packet.Packet) {
	p.Kind, p.Host, p.Section = packet.Normal, "", ""
	p.Flags = t.flags & packet.Redelivered
	p.Far = packet.Token{}
	t.deliver(p)
}

func (t *act) deliver(p *packet.Packet) {
	switch {
	case t.number != 0:
		t.s.routeManaged(t.x, p, t.number)
	case t.errand != nil:
		t.errand.deliver(p)
	default:
		t.s.env.Deliver(t.ctx, p) // in Handle, it does not fail
	}
}

// down sends a stanza to sessions of an account, which is locked. p is changed,
// but not kept. A session whose queue is full ends instead.
func (t *act) down(a *account, targets []*session, p *packet.Packet) {
	var room [8]*session
	managed := room[:0]
	for _, x := range targets {
		switch {
		case !x.isManaged():
		case t.s.isFull(x):
			t.full = append(t.full, x)
		default:
			managed = append(managed, x)
		}
	}
	t.s.repeats.note(a.jid, p)
	if len(managed) > 0 {
		t.enqueue(managed, len(targets), p)
	}
	p.Kind, p.Flags, p.Seq = packet.Session, packet.Down, 0
	for _, x := range targets {
		if !x.isManaged() && !x.conn.IsZero() {
			if x != t.x {
				x.strange = t.s.clock.now()
			}
			t.direct(x, p)
		}
	}
}

// direct sends what is not counted to the connection of a session. The account
// is locked.
func (t *act) direct(x *session, p *packet.Packet) {
	p.Host, p.Section, p.Near, p.Far = x.conn.Host, x.conn.Section, x.token, x.conn
	if t.alone {
		t.later = append(t.later, *p)
		return
	}
	t.s.env.Deliver(t.ctx, p)
}

// isAgain reports whether the act may have been done before, by a process that
// died while it was about it.
func (t *act) isAgain() bool { return t.flags&packet.Redelivered != 0 }

// records notes that a record has to be written before the act is done.
func (t *act) records(at journal.Pos) { t.write = max(t.write, at+1) }

// done does what had to wait until no lock is held.
func (t *act) done() error {
	var err error
	switch {
	case t.write == 0:
	case t.alone:
		err = t.s.commitTo(t.write - 1)
	default:
		err = t.s.gather(t.ctx, t.wake...)
		t.wake = nil
	}
	for i := range t.later {
		t.deliver(&t.later[i])
	}
	if err == nil && len(t.wake) > 0 {
		for _, x := range t.wake {
			t.s.drain(x)
		}
		t.s.source.Flush()
	}
	for _, x := range t.full {
		t.s.overflow(x)
	}
	return err
}

// An errand counts what sm delivers of its own accord, and says when all of it
// has ended.
type errand struct {
	s      *Service
	source module.Source
	left   atomic.Int64
	ended  func()

	refused func() // told of each packet that was not claimed; may be nil
}

// patience is how long something that sm does of its own accord may take.
const patience = 30 * time.Second

// errandWindow is more than an errand ever delivers, so that it never waits.
const errandWindow = 1 << 30

// errand begins an errand. ended is called once, from any goroutine.
func (s *Service) errand(ended func()) *errand {
	e := &errand{s: s, ended: ended}
	e.left.Store(1)
	e.source = s.env.Source(module.SourceConfig{Window: errandWindow, Settled: func(o []packet.Outcome) {
		for i := range o {
			if o[i].Result != packet.Claimed && e.refused != nil {
				e.refused()
			}
		}
		e.settle(len(o))
	}})
	return e
}

func (e *errand) deliver(p *packet.Packet) {
	e.left.Add(1)
	// When the server is about to stop it fails: then the errand never ends,
	// and is done again after the next start.
	e.source.Deliver(e.s.ctx, p, 0)
}

// end says that nothing more is delivered.
func (e *errand) end() { e.settle(1) }

func (e *errand) settle(n int) {
	if e.left.Add(-int64(n)) == 0 {
		e.source.Close()
		e.ended()
	}
}
