package tree

import (
	"sync"
	"sync/atomic"
	"time"
)

// A worker runs deliveries whose turn has come, one after another, with those
// that they cause: the goroutine of a source, or one of the pool.
type worker struct {
	e           *Engine
	first, last *delivery // to run, linked by next
	txn         *txn
}

// push queues deliveries linked by next.
func (w *worker) push(d *delivery) {
	if d == nil {
		return
	}
	if w.first == nil {
		w.first = d
	} else {
		w.last.next = d
	}
	for d.next != nil {
		d = d.next
	}
	w.last = d
}

func (w *worker) pop() *delivery {
	d := w.first
	if d != nil {
		w.first = d.next
		d.next = nil
	}
	return d
}

// run works until nothing is left.
func (w *worker) run() {
	for d := w.pop(); d != nil; d = w.pop() {
		w.e.turn(w, d)
	}
}

// handOff gives what w has not begun to the pool, because w is about to wait.
func (w *worker) handOff() {
	if w.first != nil {
		w.e.workers.submit(w.first)
		w.first, w.last = nil, nil
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
	for d.next != nil {
		d = d.next
	}
	p.last = d
	if p.active < p.limit {
		p.start()
		return
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
			if p.there--; p.there == 0 && p.gone != nil {
				close(p.gone)
				p.gone = nil
			}
			p.mu.Unlock()
			return
		}
		p.first = d.next
		d.next = nil
		p.mu.Unlock()
		p.popped.Add(1)
		w.push(d)
		w.run()
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
