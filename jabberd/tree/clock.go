package tree

import (
	"sync/atomic"
	"time"
)

// tick is how coarse the engine's clock is: deadlines are met to this much.
const tick = 100 * time.Millisecond

// A clock is a coarse one that costs a load to read.
type clock struct {
	start time.Time
	now   atomic.Int64 // since start, in ns; at least 1
}

func newClock() *clock {
	c := &clock{start: time.Now()}
	c.now.Store(1)
	return c
}

// run advances the clock until stop is closed, and calls f at each tick.
func (c *clock) run(stop <-chan struct{}, f func(now int64)) {
	t := time.NewTicker(tick)
	defer t.Stop()
	for {
		select {
		case <-stop:
			return
		case <-t.C:
			now := int64(time.Since(c.start)) + 1
			c.now.Store(now)
			f(now)
		}
	}
}

// after returns the coarse time in d.
func (c *clock) after(d time.Duration) int64 { return c.now.Load() + int64(d) }

// left returns how long it is until t, at least 1 ns.
func (c *clock) left(t int64) time.Duration { return max(time.Duration(t-c.now.Load()), 1) }

// time returns t on the wall.
func (c *clock) time(t int64) time.Time { return c.start.Add(time.Duration(t)) }
