// Package tree is the delivery tree and the engine that takes packets through
// it: kind, host, section, chain.
//
// To follow a packet, read walk.go from deliver down. A packet enters through a
// source (source.go) or a handler's transaction (txn.go), waits for its turn in
// the queue of its order key (key.go), finds its branch by host (host.go), goes
// through each section's chain as a walk, and ends claimed, bounced
// (bounce.go) or dropped; then whoever holds it is told (delivery.go).
//
// The same engine runs in every process. The core's has only hops: it hands a
// walk over to the process of a link and goes on when the verdict comes
// (hop.go). A plugin's engine has handlers, and the core as the one process
// that it hands to (core.go); what is delivered there to sections that run
// wholly in the same process is handled at once by the same worker, with the
// same result. With everything linked into one program, one engine is both.
package tree

import (
	"cmp"
	"context"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
)

// A Config is what an Engine is made from.
type Config struct {
	Process string          // the name that links have for this process; "" is the core or the only one
	ID      uint64          // identity of this process, random, kept for its life; not 0
	Core    bool            // it decides: it routes, bounces and tells outcomes
	Modules []module.Module // what it links
	Data    string          // folder that relative paths start from

	// Fallback takes the log entries that no section claims. It must not
	// deliver packets. Nil drops them.
	Fallback func(entry *packet.Packet)

	// Own makes, in the core, the handler of packet.ServerHost: what the server
	// itself has to answer as storage, and stanzas to it. Handle must not wait.
	// Nil answers nothing.
	Own func(module.Env) packet.Handler

	// Taken is how many packets of one process the core takes at once; 0 is a
	// million. Credits bound what sources have under way, but it is the process
	// that counts them. What it sends beyond is refused.
	Taken int64

	// Idle says that nothing was started nor will be, and Explain is all that is
	// asked of the engine: packets and questions of handlers find nobody.
	Idle bool
}

// An Engine is the delivery tree of one process. Its methods may be called
// from many goroutines, but Make, Arrange, Start, Run and Stop once each and
// in this order.
type Engine struct {
	config   Config
	sections []*section
	kinds    [packet.NumKinds]hosts
	keys     *keys
	workers  *workers
	clock    *clock
	pool     deliveryPool
	idle     sync.Pool // of *worker
	exposed  exposed
	counts   counts
	log      logs
	stale    stales
	core     *core                  // plugin: the way to the core; nil in the core
	passing  *section               // plugin: stands for what it does not handle itself; see pipeOf
	peers    atomic.Pointer[[]Peer] // those that are there

	gatherings atomic.Pointer[[]*gathering] // of the handlers here that gather; Make replaces it while the clock ticks

	mu       sync.Mutex
	remotes  map[string]*Remote
	made     Made
	attached map[attached]*Remote // while the server ran, and by whom
	dead     []Dead

	explains explains

	ready    chan struct{} // closed by Run
	stop     chan struct{} // closed when everything has ended
	stopping atomic.Bool
	cancel   context.CancelFunc
	runs     sync.WaitGroup
	started  [Ranks][]packet.Handler // by rank, in the order of their start
}

// New returns an engine without sections.
func New(c Config) *Engine {
	c.Taken = cmp.Or(c.Taken, 1<<20)
	e := &Engine{
		config: c, keys: newKeys(), clock: newClock(),
		remotes: map[string]*Remote{}, attached: map[attached]*Remote{},
		ready: make(chan struct{}), stop: make(chan struct{}), cancel: func() {},
	}
	e.workers = &workers{e: e, limit: max(2, runtime.GOMAXPROCS(0))}
	e.peers.Store(new([]Peer))
	e.gatherings.Store(new([]*gathering))
	e.log.e = e
	e.stale.log, e.stale.changes = &e.log, make(chan struct{}, 1)
	if !c.Core {
		e.core, e.passing = newCore(e), &section{}
	}
	e.attachOwn()
	go e.clock.run(e.stop, e.tick)
	return e
}

// tick is called at each tick of the clock.
func (e *Engine) tick(now int64) {
	e.exposed.relieve(e.workers)
	e.mu.Lock()
	remotes := make([]*Remote, 0, len(e.remotes))
	for _, r := range e.remotes {
		remotes = append(remotes, r)
	}
	e.mu.Unlock()
	for _, r := range remotes {
		r.expire(now)
	}
	if e.hasGathered() {
		go e.flush() // which may take long; the clock goes on
	}
	e.flushSoon() // what nobody waits for, or somebody was stuck before doing so
}

// flush finishes what handlers have gathered, and sends what has gathered for
// other processes. Whoever has handled packets calls it before anything that
// waits; who has only sent records calls send or flushSoon.
func (e *Engine) flush() {
	e.finishGathered()
	e.send()
}

func (e *Engine) send() {
	for _, p := range *e.peers.Load() {
		p.Flush()
	}
}

func (e *Engine) flushSoon() {
	for _, p := range *e.peers.Load() {
		p.FlushSoon()
	}
}

// meet notes that one peer is there in the place of another; both may be nil.
func (e *Engine) meet(old, now Peer) {
	for {
		have := e.peers.Load()
		peers := slices.DeleteFunc(slices.Clone(*have), func(p Peer) bool { return p == old })
		if now != nil {
			peers = append(peers, now)
		}
		if e.peers.CompareAndSwap(have, &peers) {
			return
		}
	}
}

// Remote returns another process by the name that links have for it.
func (e *Engine) Remote(process string) *Remote {
	e.mu.Lock()
	defer e.mu.Unlock()
	r := e.remotes[process]
	if r == nil {
		r = &Remote{e: e, name: process}
		e.remotes[process] = r
	}
	return r
}

// counts are what the engine counts.
type counts struct {
	in                        [packet.NumKinds]atomic.Uint64
	claimed, refused, dropped [packet.NumKinds]atomic.Uint64
	skipped                   atomic.Uint64 // log entries
}

func (c *counts) entered(p *packet.Packet) { c.in[p.Kind].Add(1) }

func (c *counts) outcome(d *delivery) {
	switch {
	case d.skipped:
		c.skipped.Add(1)
	case d.result == packet.Claimed:
		c.claimed[d.p.Kind].Add(1)
	case d.result == packet.Refused:
		c.refused[d.p.Kind].Add(1)
	case d.result == packet.Dropped:
		c.dropped[d.p.Kind].Add(1)
	}
}

// A Count says how many packets of a kind entered, and how those that ended
// did. Observers' copies are not counted.
type Count struct {
	Kind    packet.Kind `json:"kind"`
	Entered uint64      `json:"entered"`
	Claimed uint64      `json:"claimed"`
	Refused uint64      `json:"refused"`
	Dropped uint64      `json:"dropped"`
	Skipped uint64      `json:"skipped"` // entries of the log that each section has skipped, as filters do; they are not lost
}

// Counts returns the counts of each kind in this process.
func (e *Engine) Counts() [packet.NumKinds]Count {
	var all [packet.NumKinds]Count
	for k := range all {
		all[k] = Count{packet.Kind(k), e.counts.in[k].Load(), e.counts.claimed[k].Load(), e.counts.refused[k].Load(), e.counts.dropped[k].Load(), 0}
	}
	all[packet.Log].Skipped = e.counts.skipped.Load()
	return all
}
