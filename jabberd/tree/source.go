package tree

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
)

const defaultWindow = 64

// errStopped is the error of a delivery after the server has begun to stop.
var errStopped = errors.New("the server is stopping")

// A source is where packets enter; see module.Source.
type source struct {
	e      *Engine
	config module.SourceConfig

	mu      sync.Mutex
	credits int
	waiting chan struct{} // closed when a credit comes back; nil if nobody waits
	closed  bool
}

func (e *Engine) newSource(c module.SourceConfig) *source {
	if c.Window <= 0 {
		c.Window = defaultWindow
	}
	return &source{e: e, config: c, credits: c.Window}
}

// Deliver implements module.Source.
func (s *source) Deliver(ctx context.Context, p *packet.Packet, tag uint64) error {
	patient, err := s.spend(ctx)
	if err != nil {
		return err
	}
	e := s.e
	d := e.pool.get(p)
	d.source, d.tag, d.hop, d.patient = s, tag, s.config.Hop, patient
	if s.config.Hop {
		if until, ok := ctx.Deadline(); ok {
			d.deadline = e.clock.after(time.Until(until))
		}
	}
	w := e.worker()
	defer e.release(w)
	e.deliver(w, d)
	switch {
	case !s.config.Own:
		w.handOff()
	case !w.runFor(s.config.Pass):
		e.flush()
		return module.ErrPassed
	case !s.config.Batch:
		e.flush()
	}
	return nil
}

// spend takes a credit, waiting for one if there is none. It reports whether
// there is time for it to come back: nobody is told, and there are others.
func (s *source) spend(ctx context.Context) (patient bool, err error) {
	for {
		s.mu.Lock()
		if s.e.stopping.Load() {
			s.mu.Unlock()
			return false, errStopped
		}
		if s.credits > 0 {
			s.credits--
			patient = s.config.Settled == nil && s.credits > s.config.Window/2
			s.mu.Unlock()
			return patient, nil
		}
		if s.waiting == nil {
			s.waiting = make(chan struct{})
		}
		wait := s.waiting
		s.mu.Unlock()
		s.e.flush()
		select {
		case <-wait:
		case <-ctx.Done():
			return false, ctx.Err()
		}
	}
}

// settle gives the credit back and tells the source.
func (s *source) settle(d *delivery) {
	s.mu.Lock()
	s.credits++
	if s.waiting != nil {
		close(s.waiting)
		s.waiting = nil
	}
	tell := s.config.Settled != nil && !s.closed
	s.mu.Unlock()
	if tell {
		s.config.Settled([]packet.Outcome{{Tag: d.tag, Result: d.result, Reason: d.reason}})
	}
}

// Flush implements module.Source.
func (s *source) Flush() { s.e.flush() }

// Close implements module.Source.
func (s *source) Close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
}
