package tree

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
)

// Marks of a walk beside its section and link; see Walk.Part.
const (
	bounceMark = 1 << 63
	showMark   = 1 << 62
)

// A Remote is another process, as the engine sees it. In the core: one that
// walks are handed over to, and that delivers. In a plugin: the core.
//
// The methods that are named On take the records that came from it. They are
// called by one goroutine, in the order in which the records came, and do not
// wait. Records may be reused afterwards, what they point to may not.
type Remote struct {
	e    *Engine
	name string

	mu       sync.Mutex
	peer     Peer // nil while it is away
	open     bool // its handlers have started
	id       uint64
	gone     *packet.Reject // it will not come back
	nextWalk uint64
	walks    ring[walk] // handed over and not answered, by ID
	single   uint64     // suspects up to this ID go one at a time; 0 is none
	scratch  Walk
	told     Settlement

	settled atomic.Uint64 // the process's numbers below are settled
	taken   atomic.Int64  // its packets that are not settled

	reader  *worker     // plugin: has the walks that came since the last Rest
	came    int         // how many these were
	strayed atomic.Bool // it sent what is not for a core, and that was logged
}

// A Dead is a packet that was bounced because processes died with it.
type Dead struct {
	Process string        `json:"process"`
	At      time.Time     `json:"at"`
	Deaths  int           `json:"deaths"`
	Packet  packet.Packet `json:"packet"`
}

// maxDead is how many such packets are kept; the oldest go first.
const maxDead = 1000

// DeadPackets returns the packets that processes died with, oldest first.
func (e *Engine) DeadPackets() []Dead {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]Dead(nil), e.dead...)
}

// stray reports a record that only a core sends, and that a plugin has sent to
// this one. It is not taken.
func (r *Remote) stray(record string) bool {
	if r.e.core != nil {
		return false
	}
	if !r.strayed.Swap(true) {
		r.e.log.stray(r.name, record)
	}
	return true
}

// hop hands a walk over to the process of its step.
func (r *Remote) hop(w *worker, k *walk) {
	st := &k.s.steps[k.step]
	r.mu.Lock()
	refuse := r.gone
	away := r.peer == nil && r.id != 0
	switch {
	case refuse != nil:
	case away && st.onCrash == module.CrashBounce:
		refuse = packet.Refuse("service-unavailable", "the service is away")
	case !r.open && r.walks.count >= k.s.queue:
		refuse = packet.Refuse("resource-constraint", "the service is away and too much waits for it")
	}
	if (refuse != nil || away) && st.onCrash == module.CrashPass {
		r.mu.Unlock()
		k.step++
		r.e.walk(w, k)
		return
	}
	if refuse != nil {
		r.mu.Unlock()
		r.e.end(w, k, packet.Pass, refuse)
		return
	}
	if st.timeout > 0 {
		k.expires = r.e.clock.after(st.timeout)
	}
	r.nextWalk++
	k.id, k.sent = r.nextWalk, false
	r.walks.put(k.id, k)
	if r.open && r.single == 0 {
		r.send(k)
	}
	r.mu.Unlock()
}

// send tells the process of a walk; the lock is held.
func (r *Remote) send(k *walk) {
	d := k.d
	rec := &r.scratch
	*rec = Walk{
		ID: k.id, Origin: d.origin, Num: d.named, Part: d.mark | uint64(k.s.index)<<16 | uint64(k.s.steps[k.step].link),
		Section: k.s.index, Link: uint16(k.s.steps[k.step].link), Timeout: r.e.clock.left(k.expires), Packet: *k.p,
	}
	if from := d.holder(); from != nil {
		rec.Settled = from.settled.Load()
	}
	if k.deaths > 0 {
		rec.Packet.Flags |= packet.Redelivered
	}
	if k.showing {
		rec.Answer = d.answer
		rec.Part |= showMark
	}
	k.sent = true
	if d.entry && d.patient {
		r.peer.WalkLater(rec)
		return
	}
	r.peer.Walk(rec)
}

// Up says that the process is there: peer is the way to it, id its identity. It
// is called before the first record of the process is given to the methods On.
// The process is told of the hosts that were attached while the server ran. In
// the core, walks wait until Open.
func (r *Remote) Up(peer Peer, id uint64) {
	if r.e.core != nil {
		r.e.core.up(peer, id)
		return
	}
	hosts := r.e.attachedBy(nil)
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range hosts {
		peer.Host(&hosts[i])
	}
	again := r.id != 0 && r.id != id
	r.e.meet(r.peer, peer)
	r.peer, r.id = peer, id
	suspects := uint64(0)
	if again {
		r.walks.all(func(n uint64, k *walk) bool {
			if k.sent {
				k.deaths++
				k.sent = false
			}
			if k.deaths >= 2 {
				suspects = n
			}
			return true
		})
	}
	if suspects > 0 {
		r.single = suspects
	}
}

// Open says that the handlers of the process have started. What waits is handed
// over; what an earlier process had and did not answer is marked.
func (r *Remote) Open() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.open = r.peer != nil
	r.pump()
	if r.peer != nil {
		r.peer.Flush()
	}
}

// Down says that the connection to the process is lost. In the core that means
// that the process is as good as dead: whoever calls it ends the process and
// starts another.
func (r *Remote) Down() {
	if r.e.core != nil {
		r.e.core.down()
		return
	}
	for _, h := range r.e.attachedBy(r) {
		h.Gone = true
		r.e.changeHost(h, r)
	}
	r.mu.Lock()
	r.e.meet(r.peer, nil)
	r.peer, r.open = nil, false
	culprit := r.culprit()
	others := r.takeAll(func(k *walk) bool { return k.s.steps[k.step].onCrash != module.CrashWait })
	r.mu.Unlock()
	if culprit != nil {
		r.bury(culprit)
	}
	if len(others) > 0 {
		r.e.outside(func(w *worker) {
			for _, k := range others {
				r.hop(w, k) // which does what the link says
			}
		})
	}
}

// culprit takes the suspect that was alone with the process when it died; the
// lock is held.
func (r *Remote) culprit() *walk {
	if r.single == 0 {
		return nil
	}
	var found *walk
	r.walks.all(func(n uint64, k *walk) bool {
		if k.sent {
			found = k
		}
		return found == nil
	})
	if found == nil || found.deaths < 2 {
		return nil
	}
	return r.walks.take(found.id)
}

// bury bounces a packet that the process died with three times, and keeps it.
func (r *Remote) bury(k *walk) {
	e := r.e
	e.mu.Lock()
	e.dead = append(e.dead, Dead{Process: r.name, At: time.Now(), Deaths: int(k.deaths) + 1, Packet: *k.p})
	if len(e.dead) > maxDead {
		e.dead = e.dead[1:]
	}
	e.mu.Unlock()
	e.log.buried(r.name, k)
	e.outside(func(w *worker) {
		e.end(w, k, packet.Pass, packet.Refuse("internal-server-error", "a process died while it handled this"))
	})
}

// pump sends what is due; the lock is held.
func (r *Remote) pump() {
	if !r.open {
		return
	}
	r.walks.all(func(n uint64, k *walk) bool {
		if r.single > 0 && n > r.single {
			r.single = 0 // all suspects are through
		}
		if !k.sent {
			r.send(k)
		}
		return r.single == 0 // one at a time
	})
	if r.walks.count == 0 {
		r.single = 0
	}
}

// Dead says that the process is gone and will not come back: what waits for
// it, and all that comes, is bounced.
func (r *Remote) Dead(reason string) {
	refuse := packet.Refuse("service-unavailable", reason)
	r.mu.Lock()
	r.e.meet(r.peer, nil)
	r.gone, r.peer, r.open = refuse, nil, false
	walks := r.takeAll(func(*walk) bool { return true })
	r.mu.Unlock()
	r.e.giveUp(walks, refuse)
}

// expire gives up the walks whose time is up.
func (r *Remote) expire(now int64) {
	r.mu.Lock()
	walks := r.takeAll(func(k *walk) bool { return k.expires < now })
	if len(walks) > 0 && r.single > 0 {
		r.pump()
	}
	r.mu.Unlock()
	r.e.giveUp(walks, packet.Refuse("remote-server-timeout", "the service did not answer in time"))
}

func (r *Remote) takeAll(which func(*walk) bool) []*walk {
	var walks []*walk
	r.walks.all(func(n uint64, k *walk) bool {
		if which(k) {
			walks = append(walks, r.walks.take(n))
		}
		return true
	})
	return walks
}

func (e *Engine) giveUp(walks []*walk, refuse *packet.Reject) {
	if len(walks) == 0 {
		return
	}
	e.outside(func(w *worker) {
		for _, k := range walks {
			k.showing = false
			e.end(w, k, packet.Pass, refuse)
		}
	})
}

// outside runs f as a worker of the goroutine that calls it. In the core
// nothing that follows can wait; elsewhere it is left to the pool.
func (e *Engine) outside(f func(*worker)) {
	w := e.worker()
	defer e.release(w)
	f(w)
	e.follow(w)
	e.flush()
}

// follow does what follows from records, or what others have said, or leaves it
// to the pool.
func (e *Engine) follow(w *worker) {
	if e.config.Core && len(e.config.Modules) == 0 {
		w.run()
		return
	}
	w.handOff()
}

// OnCommit takes verdicts and deliveries of the process.
func (r *Remote) OnCommit(c *Commit) {
	e := r.e
	w := e.worker()
	r.settled.Store(c.Settled)
	for i := range c.Deliveries {
		r.enter(w, &c.Deliveries[i])
	}
	for i := range c.Stops {
		r.stop(w, &c.Stops[i])
	}
	e.follow(w)
	e.release(w)
}

// Rest is called when all records that have come were handed over: the walks
// among them are handled. It does not wait, unless a handler does: then, or
// before, pass is called, from any goroutine, which has another goroutine hand
// over what comes. Rest reports whether that was not needed.
func (r *Remote) Rest(pass func()) bool {
	e := r.e
	w := r.reader
	r.came = 0
	if w == nil || w.isIdle() {
		e.flush()
		return true
	}
	r.reader = nil
	kept := w.lead(pass)
	e.flush()
	if kept {
		r.reader = w
	} else {
		e.release(w)
	}
	return kept
}

// enter puts a delivery of the process into the tree.
func (r *Remote) enter(w *worker, rec *Delivery) {
	e := r.e
	entry := rec.Num == 0 && rec.Packet.Kind == packet.Log
	patient := false
	if entry {
		now := false
		if now, patient = e.log.admit(&rec.Packet); !now {
			return
		}
	}
	d := e.pool.get(&rec.Packet)
	d.entry, d.patient = entry, patient
	if rec.Timeout > 0 {
		d.deadline = e.clock.after(rec.Timeout)
	}
	var refused *packet.Reject
	if rec.Num != 0 {
		d.from, d.num, d.hop, d.patient = r, rec.Num, rec.Hop, rec.Patient
		d.origin, d.named = r.id, rec.Num
		if r.taken.Add(1) > e.config.Taken {
			refused = packet.Refuse("resource-constraint", "its process has too many packets under way")
		}
	}
	if rec.Cause != 0 && !r.caused(d, rec.Cause) && !entry {
		refused = packet.Refuse("remote-server-timeout", "what led to it was given up before")
	}
	if refused != nil {
		e.counts.entered(&d.p)
		d.result, d.reason = packet.Dropped, refused
		e.done(d)
		return
	}
	e.deliver(w, d)
}

// caused has d be part of what led to it: a walk, whose verdict comes in the same
// commit. It returns false if that walk was given up: its sender has been told
// so, and nothing of its handling is to be.
func (r *Remote) caused(d *delivery, id uint64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	cause := r.walks.get(id)
	if cause == nil {
		return false
	}
	cause.d.open.Add(1)
	d.cause = cause.d
	d.p.Flags |= cause.d.p.Flags & packet.FromLog
	d.p.Hops = max(d.p.Hops, cause.d.p.Hops+1)
	return true
}

// stop takes a verdict. One for a walk that was given up is discarded.
func (r *Remote) stop(w *worker, rec *Stop) {
	r.mu.Lock()
	k := r.walks.take(rec.Walk)
	if k != nil && r.single > 0 {
		r.pump()
	}
	r.mu.Unlock()
	if k == nil {
		return
	}
	if k.showing {
		k.showing = false
		if rec.Answer != nil {
			k.d.answer = rec.Answer
		}
		r.e.ended(w, k.d)
		return
	}
	r.e.verdict(w, k, rec)
}

// verdict goes on with a walk after what another process said.
func (e *Engine) verdict(w *worker, k *walk, rec *Stop) {
	switch {
	case rec.Reject != nil:
		e.end(w, k, packet.Pass, rec.Reject)
		return
	case rec.Verdict == packet.Pass:
		if rec.Changed != nil {
			p := *rec.Changed
			p.Kind, p.Flags, p.Hops = k.p.Kind, k.p.Flags, k.p.Hops
			k.p = &p
		}
		for k.step++; k.step < len(k.s.steps) && k.s.steps[k.step].link < int(rec.Link); k.step++ {
		}
		e.walk(w, k)
		return
	case rec.Answer != nil:
		k.d.answer = rec.Answer
	}
	e.end(w, k, rec.Verdict, nil)
}

// settle tells the process how one of its deliveries ended.
func (r *Remote) settle(d *delivery) {
	r.taken.Add(-1)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.peer == nil || r.id != d.origin {
		return
	}
	r.told = Settlement{Num: d.num, Result: d.result, Reason: d.reason, Answer: d.answer}
	if d.patient {
		r.peer.SettleLater(&r.told)
		return
	}
	r.peer.Settle(&r.told)
}

func (r *Remote) tellHost(h *HostChange) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.peer != nil {
		r.peer.Host(h)
	}
}

// OnHost takes a request to attach or detach (in the core), or the news of
// one (in a plugin).
func (r *Remote) OnHost(h *HostChange) {
	e := r.e
	if e.core != nil {
		e.core.onHost(h)
		return
	}
	answer := *h
	if err := e.changeHost(*h, r); err != nil {
		answer.Refused = err.Error()
	}
	r.tellHost(&answer)
}
