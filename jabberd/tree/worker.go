package tree

import (
	"sync"
	"sync/atomic"
	"time"
)

// A worker runs deliveries whose turn has come, one after another, with those
// that they cause: the goroutine of a source, or one of the pool.
type worker struct {
	e   *Engine
	txn *txn

	mu          sync.Mutex
	first, last *delivery // to run, linked by next
	begun       uint64    // how many it has begun
	seen        uint64    // begun, when it was looked at last
	exposed     bool      // others can take its queue; see exposed
	alarm       *time.Timer
	pass        func() // it reads a connection, which another is to do from now on; see lead
}

// push queues deliveries linked by next.
func (w *worker) push(d *delivery) {
	if d == nil {
		return
	}
	w.mu.Lock()
	if w.first == nil {
		w.first = d
	} else {
		w.last.next = d
	}
	for d.next != nil {
		d = d.next
	}
	w.last = d
	w.mu.Unlock()
}

func (w *worker) isIdle() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.first == nil
}

// pop takes the next delivery, and exposes the worker if others wait behind it.
func (w *worker) pop() *delivery {
	w.mu.Lock()
	d := w.first
	if d != nil {
		w.first, d.next = d.next, nil
		w.begun++
	}
	expose := d != nil && w.first != nil && !w.exposed
	w.exposed = w.exposed || expose
	w.mu.Unlock()
	if expose {
		w.e.exposed.add(w)
	}
	return d
}

// run works until nothing is left.
func (w *worker) run() {
	for d := w.pop(); d != nil; d = w.pop() {
		w.e.turn(w, d)
	}
	if w.exposed {
		w.e.exposed.remove(w)
		w.exposed = false
	}
}

// take takes what w has not begun.
func (w *worker) take() *delivery {
	w.mu.Lock()
	defer w.mu.Unlock()
	d := w.first
	w.first, w.last = nil, nil
	return d
}

// handOff gives what w has not begun to the pool, because w is about to wait.
func (w *worker) handOff() {
	w.e.workers.submit(w.take())
	w.yield()
}

// lead works until nothing is left, on the goroutine that reads a connection.
// If that gets stuck, pass is called, which has another goroutine read on. It
// reports whether that was not needed.
func (w *worker) lead(pass func()) bool {
	w.mu.Lock()
	w.pass = pass
	if w.alarm == nil {
		w.alarm = time.AfterFunc(stuckAfter, w.stuck)
	} else {
		w.alarm.Reset(stuckAfter)
	}
	w.mu.Unlock()
	w.e.workers.join()
	w.run()
	w.e.finishGathered()
	w.e.workers.leave()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.alarm.Stop()
	kept := w.pass != nil
	w.pass = nil
	return kept
}

// runFor works until nothing is left, on the goroutine of a source. If that has
// to wait, pass is called, if it is not nil. It reports whether that was not
// needed.
func (w *worker) runFor(pass func()) bool {
	if pass == nil {
		w.run()
		return true
	}
	w.mu.Lock()
	w.pass = pass
	w.mu.Unlock()
	w.run()
	w.mu.Lock()
	defer w.mu.Unlock()
	kept := w.pass != nil
	w.pass = nil
	return kept
}

// stuck is called when w has led for long.
func (w *worker) stuck() {
	w.handOff()
	w.e.flush()
}

func (w *worker) yield() {
	w.mu.Lock()
	pass := w.pass
	w.pass = nil
	w.mu.Unlock()
	if pass != nil {
		pass()
	}
}

// exposed are the workers that have more to do than what they are at. Who is
// stuck in a handler from one tick to the next is relieved of the rest.
type exposed struct {
	mu  sync.Mutex
	set map[*worker]struct{}
}

func (x *exposed) add(w *worker) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.set == nil {
		x.set = map[*worker]struct{}{}
	}
	x.set[w] = struct{}{}
}

func (x *exposed) remove(w *worker) {
	x.mu.Lock()
	defer x.mu.Unlock()
	delete(x.set, w)
}

// relieve gives to the pool what waits behind handlers that are stuck.
func (x *exposed) relieve(p *workers) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for w := range x.set {
		w.mu.Lock()
		stuck := w.begun == w.seen
		w.seen = w.begun
		w.mu.Unlock()
		if stuck {
			p.submit(w.take())
		}
	}
}

func (e *Engine) worker() *worker {
	w, _ := e.idle.Get().(*worker)
	if w == nil {
		w = &worker{e: e}
		w.txn = &txn{w: w}
	}
	return w
}

func (e *Engine) release(w *worker) { e.idle.Put(w) }

// workers is a pool of goroutines that exist while there is work. One that
// waits (for an answer) does not count; one that is stuck otherwise is noticed
// and another started beside it.
type workers struct {
	e      *Engine
	limit  int
	popped atomic.Uint64

	mu          sync.Mutex
	first, last *delivery
	active      int           // goroutines that do not wait
	there       int           // goroutines
	gone        chan struct{} // to be closed when there are none; nil if nobody waits
	watching    bool
}

// stuckAfter is how long a queue may stand still until a worker is added.
const stuckAfter = 5 * time.Millisecond

// submit queues deliveries linked by next.
func (p *workers) submit(d *delivery) {
	if d == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.first == nil {
		p.first = d
	} else {
		p.last.next = d
	}
	several := d.next != nil
	for d.next != nil {
		d = d.next
	}
	p.last = d
	if p.active < p.limit {
		p.start()
		if !several { // who is started takes it; of several he may be stuck in the first
			return
		}
	}
	if !p.watching {
		p.watching = true
		seen := p.popped.Load()
		time.AfterFunc(stuckAfter, func() { p.watch(seen) })
	}
}

// start adds a goroutine; the lock is held.
func (p *workers) start() {
	p.active++
	p.there++
	go p.work()
}

func (p *workers) work() {
	w := p.e.worker()
	defer p.e.release(w)
	for {
		p.mu.Lock()
		d := p.first
		if d == nil {
			p.active--
			p.left()
			p.mu.Unlock()
			return
		}
		p.first = d.next
		d.next = nil
		p.mu.Unlock()
		p.popped.Add(1)
		w.push(d)
		w.run()
		p.e.finishGathered()
		p.e.flushSoon()
	}
}

// join and leave are for a goroutine that is none of the pool.
func (p *workers) join() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.there++
}

func (p *workers) leave() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.left()
}

// left says that a goroutine has ended; the lock is held.
func (p *workers) left() {
	if p.there--; p.there == 0 && p.gone != nil {
		close(p.gone)
		p.gone = nil
	}
}

// watch adds a worker if none took anything since seen.
func (p *workers) watch(seen uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.popped.Load()
	switch {
	case p.first == nil:
		p.watching = false
		return
	case now == seen:
		p.start()
	}
	time.AfterFunc(stuckAfter, func() { p.watch(now) })
}

// waiting is called by a worker around a wait that may be long.
func (p *workers) waiting(begins bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !begins {
		p.active++
		return
	}
	p.active--
	if p.first != nil && p.active < p.limit {
		p.start()
	}
}

// drained returns a channel that is closed when no goroutine is left.
func (p *workers) drained() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	gone := make(chan struct{})
	if p.there == 0 {
		close(gone)
		return gone
	}
	p.gone = gone
	return gone
}
