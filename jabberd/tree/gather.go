package tree

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/jabberii/server/jabberd/module"
)

var _ module.Gatherer = (*env)(nil)

// A gathering is what one handler has claimed and finishes with what else came
// together: when whoever has handled it flushes.
type gathering struct {
	finisher module.Finisher
	some     atomic.Bool

	mu      sync.Mutex
	packets []*delivery // that have not ended
	spare   []*delivery // room for the next
}

// Gather implements module.Gatherer.
func (v *env) Gather(ctx context.Context) {
	t, g := txnOf(ctx), v.l.gathering
	if t == nil || g == nil {
		return
	}
	t.d.open.Add(1)
	t.d.group.expect(1)
	g.mu.Lock()
	g.packets = append(g.packets, t.d)
	g.some.Store(true)
	g.mu.Unlock()
}

// finishGathered has handlers finish what they have gathered, and ends those
// packets; what one of them delivers another may gather in turn. Who comes while
// somebody else is at it does not wait.
func (e *Engine) finishGathered() {
	for again := true; again; {
		again = false
		for _, g := range *e.gatherings.Load() {
			if g.some.Load() && g.finish(e) {
				again = true
			}
		}
	}
}

func (e *Engine) hasGathered() bool {
	return slices.ContainsFunc(*e.gatherings.Load(), func(g *gathering) bool { return g.some.Load() })
}

// finish reports whether what was gathered has ended.
func (g *gathering) finish(e *Engine) bool {
	g.mu.Lock()
	packets := g.packets
	g.packets, g.spare = g.spare, nil
	g.some.Store(false)
	g.mu.Unlock()
	if len(packets) == 0 {
		return false
	}
	if !g.finisher.Finish() {
		g.mu.Lock()
		g.packets = slices.Concat(packets, g.packets)
		g.some.Store(true)
		g.mu.Unlock()
		return false
	}
	for _, d := range packets {
		d.group.release()
		e.done(d)
	}
	clear(packets)
	if cap(packets) <= maxFrees {
		g.mu.Lock()
		g.spare = packets[:0]
		g.mu.Unlock()
	}
	return true
}
