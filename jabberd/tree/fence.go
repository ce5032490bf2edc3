package tree

import "sync/atomic"

// A fence keeps the order of a key while its packets change from the way
// through the core to the direct one, because a section of this process was
// attached to their host: as long as an earlier packet of a key is with the
// core, or in a group that will go there, the later ones take that way too.
// They cannot wait here instead: the earlier one may come back, and wait for
// its turn behind them.
//
// The core's lock is held by who changes it.
type fence struct {
	changes atomic.Uint64 // of hosts, so far; counted when they are done
	up      atomic.Uint64 // held numbers below it may have the key of what could be handled here; 0 is no fence
	unsent  int           // deliveries in groups whose numbers will belong to it
}

// raise puts the fence up, before hosts change; the lock is held.
func (c *core) raise() {
	for _, g := range c.unsent {
		for _, d := range g.find().out {
			if !d.fenced {
				d.fenced = true
				c.fence.unsent++
			}
		}
	}
	if c.held.count > 0 || c.fence.unsent > 0 {
		c.fence.up.Store(c.next)
	}
}

// behind reports whether an earlier packet of d's key is with the core or on
// its way there. If so d, which could be handled here, has to take that way.
func (c *core) behind(d *delivery) bool {
	if c.fence.up.Load() == 0 || d.untold() {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	up := c.fence.up.Load()
	found := c.unsent[d.key] != nil
	if !found {
		c.held.all(func(n uint64, h *delivery) bool {
			found = n < up && h.key == d.key
			return !found && n < up
		})
	}
	switch {
	case found && !d.fenced:
		d.fenced = true
		c.fence.unsent++
	case !found && d.fenced:
		d.fenced = false
		c.fence.unsent--
	}
	return found
}

// extend moves the fence behind a delivery that belongs to it and has got its
// number; the lock is held.
func (c *core) extend(d *delivery) {
	if d.fenced {
		d.fenced = false
		c.fence.unsent--
		c.fence.up.Store(c.next)
	}
}

// unfence takes the fence away when all before it has ended; the lock is held.
func (c *core) unfence() {
	if up := c.fence.up.Load(); up > 0 && c.fence.unsent == 0 && c.settled() >= up {
		c.fence.up.Store(0)
	}
}
