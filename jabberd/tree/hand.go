package tree

import (
	"fmt"
	"runtime/debug"
	"sync/atomic"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
)

// An ending takes the verdict of a module.Hop on a walk.
type ending struct {
	e     *Engine
	k     *walk
	name  module.Name
	ended atomic.Bool
}

// hand gives a walk to the module.Hop of its step. Where it goes on is handed,
// whenever the verdict comes.
func (e *Engine) hand(w *worker, k *walk) {
	end := &ending{e: e, k: k}
	if in := k.d.inbound; in != nil && in.name.Num != 0 {
		end.name = in.name
	}
	t := w.begin(k.d)
	t.until = min(k.d.deadline, k.expires)
	defer func() {
		e.forget(t)
		t.end()
		if r := recover(); r != nil {
			end.End(packet.Pass, fmt.Errorf("panic: %v\n%s", r, debug.Stack()))
		}
	}()
	k.s.steps[k.step].hop.Hop(t, k.p, end)
}

// Name implements module.Ending.
func (x *ending) Name() module.Name { return x.name }

// End implements module.Ending.
func (x *ending) End(v packet.Verdict, err error) {
	if !x.ended.Swap(true) {
		x.e.outside(func(w *worker) { x.e.handed(w, x.k, v, err) })
	}
}

// handed goes on with a walk behind a module.Hop.
func (e *Engine) handed(w *worker, k *walk, v packet.Verdict, err error) {
	here := k.d.inbound != nil // the core is told what became of it
	if err != nil {
		e.log.failure(k.d, k.s, &k.s.links[k.s.steps[k.step].link], err)
	} else if v == packet.Pass {
		if k.step++; here {
			e.goOn(w, k)
		} else {
			e.walk(w, k)
		}
		return
	}
	if here {
		e.conclude(w, k, v, err)
	} else {
		e.end(w, k, v, err)
	}
}
