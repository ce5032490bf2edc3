package tree

import (
	"sync"
	"sync/atomic"

	"github.com/jabberii/server/jabberd/packet"
)

// A delivery is one packet in the tree, from when it enters until it and all
// that handling it delivered have ended. It is pooled.
type delivery struct {
	p    packet.Packet // as it was delivered
	key  uint64        // its order key
	next *delivery     // behind it, in the queue of its key or of a worker

	branch *branch
	walks  []*walk // one a counted section
	first  walk    // the first of them: a copy costs no allocation
	one    [4]*walk
	left   atomic.Int32 // walks that have not ended

	// open counts what must end before the delivery is settled: its own walks,
	// and each delivery that it caused.
	open  atomic.Int32
	cause *delivery

	failed  bool // a handler gave an error; that nobody claimed is none
	skipped bool // a log entry that no section has kept
	result  packet.Result
	reason  *packet.Reject
	answer  *packet.Packet // XDB

	deadline int64 // coarse clock
	entry    bool  // a log entry; see logs.admit
	replica  bool  // it copies to one store what another has changed
	observer bool  // a copy for a section that observes
	passes   bool  // plugin: it was to pass through when its turn came; see pipeOf
	hop      bool  // it was handed over by another tree, which wants its verdict; see module.SourceConfig
	fenced   bool  // plugin: its number, when it gets one, belongs to the fence

	serial bool             // XDB: a change of what several stores have: others of its owner wait until it is settled
	asker  uint64           // then, the order key of asker and owner; key is that of the owner's changes
	fell   bool             // XDB: a store that was asked before had nothing
	parts  []*packet.Packet // XDB: the answers of stores that had nothing, or of all that have a part
	alone  chan struct{}    // closed when its turn has come; nothing else becomes of it

	// Who is told of its end; at most one is set.
	source *source
	tag    uint64
	waiter *question // Ask
	from   *Remote   // core: the process that holds it
	num    uint64    // its number there; in a plugin, the number that it is held under

	// What names it for a handler that may have seen it before.
	origin uint64
	mark   uint64 // of the walks of this delivery; see Walk.Part
	named  uint64 // the number at origin

	patient bool // nobody waits for its settlement; of an entry: nor for itself

	inbound *inbound // plugin: it answers a walk of the core
	group   *group   // plugin: it is part of what answers one
}

// A walk is a packet on its way through one section.
type walk struct {
	d       *delivery
	s       *section
	step    int
	p       *packet.Packet // as it goes on: the delivery's, or, once a handler has changed it, one of its own
	ended   bool
	claimed bool
	reject  *packet.Reject

	id      uint64 // of the hop under way
	sent    bool   // to the process as it is now
	deaths  uint8  // of processes while it was with them
	showing bool   // the hop shows an answer to watchers
	expires int64
}

type deliveryPool struct{ pool sync.Pool }

func (l *deliveryPool) get(p *packet.Packet) *delivery {
	d, _ := l.pool.Get().(*delivery)
	if d == nil {
		d = &delivery{}
	}
	d.p = *p
	if p.Kind == packet.Log {
		d.p.Flags |= packet.FromLog
	}
	d.open.Store(1)
	return d
}

func (l *deliveryPool) put(d *delivery) {
	*d = delivery{}
	l.pool.Put(d)
}

// done ends one of the things that d waits for, and settles d and what it
// waited on in turn.
func (e *Engine) done(d *delivery) {
	for d != nil && d.open.Add(-1) == 0 {
		cause := d.cause
		e.settle(d)
		d = cause
	}
}

func (e *Engine) settle(d *delivery) {
	if !d.observer {
		e.counts.outcome(d)
	}
	if d.serial {
		e.workers.submit(e.keys.leave(d.key, e.pipeOf))
		e.workers.submit(e.keys.leave(d.asker, e.pipeOf))
	}
	switch {
	case d.replica && d.failed:
		e.stale.failed(d)
	case d.entry:
		e.log.settled()
	case d.waiter != nil:
		d.waiter.end(d)
	default:
		d.tell()
	}
	e.pool.put(d)
}

// tell tells whoever holds d how it ended, once.
func (d *delivery) tell() {
	source, from := d.source, d.from
	d.source, d.from = nil, nil
	switch {
	case source != nil:
		source.settle(d)
	case from != nil:
		from.settle(d)
	}
}

// causeOf makes child something that d waits for and inherits from it.
func (d *delivery) causeOf(child *delivery) {
	child.cause, child.patient = d, d.patient
	child.p.Hops = d.p.Hops + 1
	child.p.Flags |= d.p.Flags & (packet.Redelivered | packet.FromLog)
	if child.deadline == 0 {
		child.deadline = d.deadline
	}
	d.open.Add(1)
}

// holder returns the process whose number names d: the one that holds it, for a
// bounce the one that holds what it answers. Nil if it has no such name.
func (d *delivery) holder() *Remote {
	for up := d; up != nil && up.origin == d.origin; up = up.cause {
		if up.from != nil {
			return up.from
		}
	}
	return nil
}

// untold reports whether d is a log entry of whose end nobody is told.
func (d *delivery) untold() bool {
	return d.p.Kind == packet.Log && d.source == nil && d.waiter == nil
}

// fromLog reports whether d is a log entry or caused by one.
func (d *delivery) fromLog() bool { return d.p.Flags&packet.FromLog != 0 }
