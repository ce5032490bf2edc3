package c2s

import (
	"context"
	"sync"

	"github.com/jabberii/server/jabberd/module"
)

var _ module.Finisher = (*Service)(nil)

// Together are the connections that packets which came together go to: what is
// for one client leaves in one write.
type together struct {
	mu    sync.Mutex
	conns []*conn
	spare []*conn // room for the next
}

// maxSpare is for how many connections room is kept.
const maxSpare = 1024

// gather has what was appended for a connection written when all that came
// together is handled. It is called within Handle.
func (s *Service) gather(ctx context.Context, c *conn) {
	g, ok := s.env.(module.Gatherer)
	if !ok {
		c.tryFlush()
		return
	}
	s.together.mu.Lock()
	s.together.conns = append(s.together.conns, c)
	s.together.mu.Unlock()
	g.Gather(ctx)
}

// Finish implements module.Finisher.
func (s *Service) Finish() bool {
	g := &s.together
	g.mu.Lock()
	conns := g.conns
	g.conns, g.spare = g.spare, nil
	g.mu.Unlock()
	for _, c := range conns {
		c.tryFlush()
	}
	clear(conns)
	if cap(conns) <= maxSpare {
		g.mu.Lock()
		g.spare = conns[:0]
		g.mu.Unlock()
	}
	return true
}
