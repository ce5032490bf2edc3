package server

import (
	"sync"
	"sync/atomic"

	"github.com/jabberii/server/jabberd/tree"
)

// A gate holds walks back until the handlers of a process have started. What
// else there is passes, since handlers may ask and log while they start.
type gate struct {
	tree.Peer
	open atomic.Bool
	mu   sync.Mutex
	held []tree.Walk
}

// Walk implements tree.Peer.
func (g *gate) Walk(w *tree.Walk) {
	if g.open.Load() {
		g.Peer.Walk(w)
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.open.Load() {
		g.Peer.Walk(w)
		return
	}
	g.held = append(g.held, *w)
}

// lift lets through what was held back and all that comes.
func (g *gate) lift() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for i := range g.held {
		g.Peer.Walk(&g.held[i])
	}
	g.held = nil
	g.open.Store(true)
}
