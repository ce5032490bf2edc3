package tree

import (
	"context"

	"github.com/jabberii/server/jabberd/module"
)

var _ module.Waiter = (*env)(nil)

// Wait implements module.Waiter.
func (v *env) Wait(ctx context.Context) {
	t := txnOf(ctx)
	if t == nil {
		return
	}
	t.mu.Lock()
	first := !t.waits && t.d != nil
	t.waits = t.waits || first
	t.mu.Unlock()
	if first {
		t.w.handOff()
		v.e.send()
		v.e.workers.waiting(true)
	}
}
