package tree

import (
	"errors"
	"sync"

	"github.com/jabberii/server/jabberd/packet"
)

// core is a plugin's way to the core: what it holds until the core says how it
// ended, and what it has said of the walks that the core handed over.
//
// mu orders what goes out: it is the order in which packets of one key were
// delivered.
type core struct {
	e *Engine

	mu     sync.Mutex
	peer   Peer
	epoch  uint64 // counts the cores that there were
	next   uint64
	held   ring[delivery]
	unsent map[uint64]*group // order keys with packets in a group that is not complete
	memory map[uint64]*memory
	recs   Commit
	free   *inbound // for the next, linked by next
	frees  int
	asks   map[uint64]chan error // host changes that wait for the core
	hosts  map[attached]struct{} // what this process has attached while it ran
	fence  fence
}

func newCore(e *Engine) *core {
	return &core{e: e, next: 1, unsent: map[uint64]*group{}, memory: map[uint64]*memory{}, asks: map[uint64]chan error{}, hosts: map[attached]struct{}{}}
}

// A memory is what was said of the walks of one origin's packets, so that a new
// core which hands one over again gets the same verdict and nothing is done
// twice. The origin says how far back anybody may ask.
type memory struct {
	said  ring[said]
	free  *said // for the next, linked by more
	frees int
}

type said struct {
	part uint64
	stop Stop
	in   *inbound // it is being handled, and nothing said yet
	more *said    // of other walks of the packet
}

func (m *memory) find(num, part uint64) *said {
	for s := m.said.get(num); s != nil; s = s.more {
		if s.part == part {
			return s
		}
	}
	return nil
}

// outward gives a delivery to the core, now or with the group that it is part
// of. It does nothing and returns false if hosts have changed since the caller
// saw so many changes, and the delivery may be one for this process now.
func (e *Engine) outward(d *delivery, changes uint64) bool {
	c := e.core
	if d.untold() {
		c.entry(d)
		return true
	}
	c.mu.Lock()
	if c.fence.changes.Load() != changes {
		c.mu.Unlock()
		return false
	}
	g := d.group.find()
	if d.waiter != nil {
		g = nil // questions leave at once
	}
	if earlier := c.unsent[d.key].find(); earlier != nil && earlier != g && d.waiter == nil {
		g = join(g, earlier)
		if d.group == nil {
			d.group = g
			g.open++
		}
	}
	if g == nil {
		c.hold(d)
		c.recs = Commit{Stops: c.recs.Stops[:0], Deliveries: append(c.recs.Deliveries[:0], c.record(d, 0)), Settled: c.settled()}
		c.send()
		c.mu.Unlock()
		return true
	}
	g.out = append(g.out, d)
	c.unsent[d.key] = g
	g.open--
	c.flush(g)
	c.mu.Unlock()
	return true
}

// entry sends a log entry: nobody is told of its end.
func (c *core) entry(d *delivery) {
	c.mu.Lock()
	if c.peer == nil {
		c.mu.Unlock()
		c.e.log.fallback(&d.p)
	} else {
		c.recs = Commit{Stops: c.recs.Stops[:0], Deliveries: append(c.recs.Deliveries[:0], Delivery{Packet: d.p}), Settled: c.settled()}
		if d.entry && d.patient {
			c.peer.CommitLater(&c.recs)
		} else {
			c.send()
		}
		c.mu.Unlock()
	}
	d.group.handled(c.e, d)
	c.e.done(d)
}

// hold numbers a delivery; the lock is held.
func (c *core) hold(d *delivery) {
	d.num = c.next
	c.next++
	c.held.put(d.num, d)
	c.extend(d)
}

func (c *core) record(d *delivery, cause uint64) Delivery {
	r := Delivery{Num: d.num, Cause: cause, Ask: d.waiter != nil, Hop: d.hop, Patient: d.patient, Packet: d.p}
	if d.deadline != 0 {
		r.Timeout = c.e.clock.left(d.deadline)
	}
	return r
}

// settled returns the number below which nothing is held.
func (c *core) settled() uint64 {
	if c.held.count == 0 {
		return c.next
	}
	return c.held.base
}

// send sends c.recs, if the core is there; the lock is held.
func (c *core) send() {
	if c.peer != nil {
		c.peer.Commit(&c.recs)
	}
}

// up says that a core is there. What is held is sent to it again.
func (c *core) up(peer Peer, id uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	defer peer.Flush()
	c.e.meet(c.peer, peer)
	c.peer = peer
	c.epoch++
	for a := range c.hosts { // a new core does not know
		c.next++
		peer.Host(&HostChange{ID: c.next, Section: a.section, Host: a.host})
	}
	if c.held.count == 0 {
		return
	}
	again := Commit{Settled: c.settled()}
	c.held.all(func(_ uint64, d *delivery) bool {
		r := c.record(d, 0)
		if c.epoch > 1 {
			r.Packet.Flags |= packet.Redelivered
		}
		again.Deliveries = append(again.Deliveries, r)
		return true
	})
	peer.Commit(&again)
}

func (c *core) down() {
	c.mu.Lock()
	c.e.meet(c.peer, nil)
	c.peer = nil
	asks := c.asks
	c.asks = map[uint64]chan error{}
	c.mu.Unlock()
	for _, ask := range asks {
		ask <- errors.New("the core is away")
	}
}

// OnSettle takes how a delivery that this process holds has ended.
func (r *Remote) OnSettle(s *Settlement) {
	c := r.e.core
	if r.stray("settlement") {
		return
	}
	c.mu.Lock()
	d := c.held.take(s.Num)
	c.unfence()
	c.mu.Unlock()
	if d != nil {
		d.result, d.reason, d.answer = s.Result, s.Reason, s.Answer
		c.e.done(d)
	}
}

// changeHost asks the core to attach or detach, and waits for it.
func (c *core) changeHost(h HostChange) error {
	c.mu.Lock()
	if c.peer == nil {
		c.mu.Unlock()
		return errors.New("the core is away")
	}
	h.ID = c.next
	c.next++
	ask := make(chan error, 1)
	c.asks[h.ID] = ask
	c.peer.Host(&h)
	c.mu.Unlock()
	c.e.send()
	err := <-ask
	c.mu.Lock()
	defer c.mu.Unlock()
	if h.Gone {
		delete(c.hosts, attached{h.Section, h.Host})
	} else if err == nil {
		c.hosts[attached{h.Section, h.Host}] = struct{}{}
	}
	return err
}

func (c *core) onHost(h *HostChange) {
	if h.ID == 0 {
		if int(h.Section) < len(c.e.sections) {
			c.mu.Lock()
			c.raise()
			c.e.applyHost(h)
			c.fence.changes.Add(1)
			c.mu.Unlock()
		}
		return
	}
	c.mu.Lock()
	ask := c.asks[h.ID]
	delete(c.asks, h.ID)
	c.mu.Unlock()
	if ask == nil {
		return
	}
	if h.Refused != "" {
		ask <- errors.New(h.Refused)
		return
	}
	ask <- nil
}
