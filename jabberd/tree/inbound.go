package tree

import (
	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
)

// An inbound is a walk that the core handed over: the delivery that it is
// attached to answers it. It is reused when it is answered, unless its group was
// joined with others.
type inbound struct {
	name    module.Name
	id      uint64 // the hop's at the core
	epoch   uint64 // which core that was
	section uint32
	link    uint16         // the first to ask
	shown   *packet.Packet // an answer that is only shown
	stop    Stop
	first   int   // the step that it began with
	group   group // with what handling it delivers
	next    *inbound
}

// A group is what must reach the core in one frame: the verdict on a walk, and
// what handling it delivered, also through sections of this process. Groups
// that deliver packets of the same key are joined, so that their order stays.
type group struct {
	core   *core
	open   int // deliveries that are not handled yet
	stops  []*inbound
	out    []*delivery
	joined *group // what it became part of
	parts  bool   // others became part of it
}

// find returns the group that g is part of now, nil for nil.
func (g *group) find() *group {
	for g != nil && g.joined != nil {
		g = g.joined
	}
	return g
}

// join makes two groups one; a may be nil.
func join(a, b *group) *group {
	if a == nil {
		return b
	}
	b.open += a.open
	b.stops = append(b.stops, a.stops...)
	b.out = append(b.out, a.out...)
	a.joined, b.parts = b, true
	a.stops, a.out = nil, nil
	return b
}

// expect says that n more deliveries belong to the group.
func (g *group) expect(n int) {
	if g == nil || n == 0 {
		return
	}
	g.core.mu.Lock()
	g.find().open += n
	g.core.mu.Unlock()
}

// handled says that a delivery of the group was handled here.
func (g *group) handled(e *Engine, d *delivery) {
	if g == nil {
		return
	}
	c := e.core
	c.mu.Lock()
	defer c.mu.Unlock()
	g = g.find()
	if d.inbound != nil {
		g.stops = append(g.stops, d.inbound)
	}
	g.open--
	c.flush(g)
}

// flush sends a group if it is complete; the lock is held.
func (c *core) flush(g *group) {
	if g.open > 0 {
		return
	}
	c.recs.Stops, c.recs.Deliveries = c.recs.Stops[:0], c.recs.Deliveries[:0]
	for _, d := range g.out {
		delete(c.unsent, d.key)
		c.hold(d)
		c.recs.Deliveries = append(c.recs.Deliveries, c.record(d, c.causeID(d)))
	}
	for _, in := range g.stops {
		in.stop.Walk = in.id
		c.remember(in)
		if in.epoch == c.epoch {
			c.recs.Stops = append(c.recs.Stops, in.stop)
		}
	}
	c.recs.Settled = c.settled()
	c.send()
	if len(g.stops) == 1 && !g.parts && g == &g.stops[0].group {
		c.reuse(g.stops[0])
		return
	}
	g.out, g.stops = nil, nil
}

// fresh returns an inbound for a walk; the lock is held.
func (c *core) fresh(rec *Walk) *inbound {
	in := c.free
	if in == nil {
		in = &inbound{group: group{core: c}}
	} else {
		c.free, in.next = in.next, nil
		c.frees--
	}
	in.name = module.Name{Origin: rec.Origin, Num: rec.Num, Part: rec.Part, Settled: rec.Settled}
	in.id, in.epoch, in.section, in.link, in.shown = rec.ID, c.epoch, rec.Section, rec.Link, rec.Answer
	in.group.open = 1
	return in
}

// maxFrees is how many answered inbounds are kept for the next ones.
const maxFrees = 1024

// reuse takes back an inbound that was answered alone; the lock is held. Its
// deliveries do not ask for their group any more.
func (c *core) reuse(in *inbound) {
	if c.frees >= maxFrees {
		return
	}
	clear(in.group.out)
	clear(in.group.stops)
	*in = inbound{group: group{core: c, out: in.group.out[:0], stops: in.group.stops[:0]}, next: c.free}
	c.free = in
	c.frees++
}

// causeID returns the walk whose handling delivered d, 0 if this core did not
// hand it over.
func (c *core) causeID(d *delivery) uint64 {
	for up := d.cause; up != nil; up = up.cause {
		if up.inbound != nil {
			if up.inbound.epoch == c.epoch {
				return up.inbound.id
			}
			return 0
		}
	}
	return 0
}

// remember keeps a verdict for a core that may hand the walk over again; the
// lock is held.
func (c *core) remember(in *inbound) {
	if in.name.Num == 0 {
		return
	}
	if s := c.memory[in.name.Origin].find(in.name.Num, in.name.Part); s != nil {
		s.stop, s.in = in.stop, nil
	}
}

// OnWalk takes a walk that the core hands over.
func (r *Remote) OnWalk(rec *Walk) {
	e, c := r.e, r.e.core
	if r.stray("walk") {
		return
	}
	c.mu.Lock()
	if rec.Num != 0 && c.known(rec) {
		c.mu.Unlock()
		return
	}
	if int(rec.Section) >= len(e.sections) {
		c.recs = Commit{Stops: append(c.recs.Stops[:0], Stop{Walk: rec.ID, Reject: packet.Refuse("internal-server-error", "")}), Deliveries: c.recs.Deliveries[:0], Settled: c.settled()}
		c.send()
		c.mu.Unlock()
		return
	}
	in := c.fresh(rec)
	if rec.Num != 0 {
		c.memory[rec.Origin].note(rec, in)
	}
	c.mu.Unlock()

	d := e.pool.get(&rec.Packet)
	d.inbound, d.group, d.patient = in, &in.group, true
	d.origin, d.named, d.mark = rec.Origin, rec.Num, rec.Part&^showMark
	d.deadline = e.clock.after(rec.Timeout)
	d.key = e.keys.of(&d.p)
	if s := e.sections[rec.Section]; s.observe {
		d.key = s.observerKey(d.key)
	}
	d = e.keys.enter(d, e.pipeOf)
	if r.came++; r.came > alone && e.workers.limit > 2 {
		e.workers.submit(d)
		return
	}
	if r.reader == nil {
		r.reader = e.worker()
	}
	r.reader.push(d) // Rest handles it
}

// alone is how many of the walks that come together are handled by who reads
// them. With more processors than two there is somebody for the rest.
const alone = 16

// known answers a walk that was handed over before, by this core or an earlier
// one; the lock is held.
func (c *core) known(rec *Walk) bool {
	m := c.memory[rec.Origin]
	if m == nil {
		m = &memory{}
		c.memory[rec.Origin] = m
	}
	m.forget(rec.Settled)
	s := m.find(rec.Num, rec.Part)
	switch {
	case s == nil:
		return false
	case s.in != nil:
		s.in.id, s.in.epoch = rec.ID, c.epoch
	default:
		stop := s.stop
		stop.Walk = rec.ID
		c.recs = Commit{Stops: append(c.recs.Stops[:0], stop), Deliveries: c.recs.Deliveries[:0], Settled: c.settled()}
		c.send()
	}
	return true
}

func (m *memory) note(rec *Walk, in *inbound) {
	s := m.free
	if s == nil {
		s = &said{}
	} else {
		m.free = s.more
		m.frees--
	}
	*s = said{part: rec.Part, in: in, more: m.said.get(rec.Num)}
	m.said.put(rec.Num, s)
}

// forget drops what was said of packets below a number.
func (m *memory) forget(below uint64) {
	for n := m.said.base; n < below && n < m.said.next; n++ {
		for s := m.said.get(n); s != nil; {
			more := s.more
			if *s = (said{}); m.frees < maxFrees {
				s.more, m.free = m.free, s
				m.frees++
			}
			s = more
		}
	}
	m.said.drop(below)
}

// resume handles a walk that the core handed over: the links of this process
// from one on, until one is not.
func (e *Engine) resume(w *worker, d *delivery) {
	in := d.inbound
	s := e.sections[in.section]
	k := &d.first
	d.walks = append(d.one[:0], k)
	k.begin(d, s, e)
	for k.step < len(s.steps) && s.steps[k.step].link < int(in.link) {
		k.step++
	}
	in.first = k.step
	if in.shown != nil {
		d.answer = in.shown
		for k.step < len(s.steps) && s.steps[k.step].remote == nil {
			k.step++
		}
		e.showSince(w, k, in.first)
		in.stop = Stop{Verdict: packet.Claim, Answer: d.answer}
		e.finish(w, d)
		return
	}
	e.goOn(w, k)
}

// goOn asks the handlers of this process from the walk's step on, until its
// verdict is known or a module.Hop will say it.
func (e *Engine) goOn(w *worker, k *walk) {
	v, err := packet.Pass, error(nil)
	for err == nil && v == packet.Pass && k.step < len(k.s.steps) && k.s.steps[k.step].remote == nil {
		if k.s.steps[k.step].hop != nil {
			e.hand(w, k)
			return
		}
		v, err = e.local(w, k)
	}
	e.conclude(w, k, v, err)
}

// conclude answers the walk of the core with a verdict or an error.
func (e *Engine) conclude(w *worker, k *walk, v packet.Verdict, err error) {
	d, s, in := k.d, k.s, k.d.inbound
	in.stop = Stop{Verdict: v}
	switch {
	case err != nil:
		in.stop.Reject = rejectOf(err)
	case v == packet.Claim && d.answer != nil:
		e.showSince(w, k, in.first)
		in.stop.Answer, d.answer = d.answer, nil
	case v == packet.Pass:
		in.stop.Link = uint16(len(s.links))
		if k.step < len(s.steps) {
			in.stop.Link = uint16(s.steps[k.step].link)
		}
		if k.p != &d.p {
			in.stop.Changed = k.p
		}
	}
	e.finish(w, d)
}

// showSince shows an answer to the handlers here that passed the question, the
// nearest first: those of the steps from first to before the walk's.
func (e *Engine) showSince(w *worker, k *walk, first int) {
	for i := k.step - 1; i >= first; i-- {
		if st := &k.s.steps[i]; st.watches {
			e.watch(w, k.d, &k.s.links[st.link], k.p, k.d.answer)
		}
	}
}

// changed reports whether a handler changed a packet. A body is never written
// to, so that another one is another slice.
func changed(a, b *packet.Packet) bool {
	if len(a.Body) != len(b.Body) || len(a.Body) > 0 && &a.Body[0] != &b.Body[0] {
		return true
	}
	return a.Host != b.Host || a.Section != b.Section || a.To != b.To || a.From != b.From || a.Name != b.Name ||
		a.Type != b.Type || a.ID != b.ID || a.NS != b.NS || a.Lang != b.Lang || a.Attrs != b.Attrs ||
		a.Near != b.Near || a.Far != b.Far || a.Seq != b.Seq
}
