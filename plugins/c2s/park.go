package c2s

import (
	"context"
	"time"
)

// tick is how often connections are looked at. One that has said nothing for a
// whole tick is parked: it has neither goroutine nor buffer until it says
// something.
const tick = time.Second / 2

// past is a deadline that has passed.
var past = time.Unix(1, 0)

// look has goroutines that wait for their clients in vain park them.
func (s *Service) look(ctx context.Context) {
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			now := s.ticks.Add(1)
			s.lookOnce(now)
			s.lookForQuiet(now)
			if n := s.parked.Swap(0); n > 0 {
				s.env.Log().Debug("connections have become quiet", "connections", n)
			}
		}
	}
}

func (s *Service) lookOnce(now uint32) {
	if s.lot == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.awake {
		if now-c.heard.Load() > 1 {
			c.t.SetReadDeadline(past)
		}
	}
}

// waken and asleep keep the set of connections that have a goroutine.
func (s *Service) waken(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.awake[c] = struct{}{}
}

func (s *Service) asleep(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.awake, c)
}

// park has the connection wait without a goroutine. If it returns false, the
// caller is to go on.
func (c *conn) park() bool {
	c.s.asleep(c)
	c.t.SetReadDeadline(time.Time{})
	c.t.Rest()
	c.mu.Lock()
	c.parked = true
	c.mu.Unlock()
	if c.leaving.Load() { // its end has come too early to wake it
		return !c.unpark()
	}
	c.s.parked.Add(1)
	if c.t.Park(c) == nil {
		return true
	}
	return !c.unpark() // who closed the connection may have woken it
}

// unpark reports whether the caller is the one to go on with the connection.
func (c *conn) unpark() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	wasParked := c.parked
	c.parked = false
	return wasParked
}

// Wake starts the goroutine of a parked connection.
func (c *conn) Wake() {
	if c.unpark() {
		go c.run()
	}
}
