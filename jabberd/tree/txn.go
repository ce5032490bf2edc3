package tree

import (
	"context"
	"sync"
	"time"

	"github.com/jabberii/server/jabberd/packet"
)

// A txn is the handling of one packet by one handler: the context that Handle
// is given, and what it delivers until it returns. It is reused for the next
// packet unless somebody may still hold it.
type txn struct {
	w      *worker
	d      *delivery     // nil when no handler is running
	p      packet.Packet // as handlers see it, and may change it
	until  int64         // when its time is up; coarse clock
	out    []*delivery
	answer *packet.Packet

	mu      sync.Mutex
	done    chan struct{} // made when asked for
	timer   *time.Timer
	escaped bool // a context was made from it
	waits   bool // its goroutine does not count as working; see module.Waiter
	ended   error
}

type txnKey struct{}

// txnOf returns the transaction that ctx belongs to, nil if none.
func txnOf(ctx context.Context) *txn {
	t, ok := ctx.(*txn)
	if !ok {
		t, _ = ctx.Value(txnKey{}).(*txn)
	}
	if t == nil || t.d == nil {
		return nil
	}
	return t
}

// begin makes the transaction ready for a delivery.
func (w *worker) begin(d *delivery) *txn {
	t := w.txn
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.escaped {
		t = &txn{w: w}
		w.txn = t
	}
	t.d, t.until = d, d.deadline
	return t
}

// end closes the transaction: contexts made from it are done.
func (t *txn) end() {
	t.mu.Lock()
	t.d = nil
	escaped, waits := t.escaped, t.waits
	t.waits = false
	t.mu.Unlock()
	if waits {
		t.w.e.workers.waiting(false)
	}
	t.answer = nil
	if escaped {
		t.stop(context.Canceled)
	}
}

func (t *txn) stop(why error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ended != nil {
		return
	}
	t.ended = why
	if t.done != nil {
		close(t.done)
		t.timer.Stop()
	}
}

// Deadline returns when the packet's time is up.
func (t *txn) Deadline() (time.Time, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.d == nil {
		return time.Time{}, false
	}
	return t.w.e.clock.time(t.until), true
}

// Done returns a channel that is closed when the packet's time is up or Handle
// has returned.
func (t *txn) Done() <-chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.escaped = true
	if t.done == nil {
		t.done = make(chan struct{})
		if t.ended != nil || t.d == nil {
			close(t.done)
			t.timer = time.NewTimer(0)
			return t.done
		}
		left := time.Until(t.w.e.clock.time(t.until))
		t.timer = time.AfterFunc(left, func() { t.stop(context.DeadlineExceeded) })
	}
	return t.done
}

// Err returns why Done is closed.
func (t *txn) Err() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.ended
}

// Value returns the transaction itself to the engine.
func (t *txn) Value(key any) any {
	t.mu.Lock()
	t.escaped = true
	t.mu.Unlock()
	if _, ok := key.(txnKey); ok {
		return t
	}
	return nil
}
