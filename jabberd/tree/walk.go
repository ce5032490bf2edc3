package tree

import (
	"errors"
	"fmt"
	"runtime/debug"

	"github.com/jabberii/server/jabberd/packet"
)

// maxHops is how often a packet, or what it causes, may be put into the tree.
const maxHops = 32

// deliver puts a delivery into the tree: it waits in the queue of its key, or
// its turn has come and w will run it.
func (e *Engine) deliver(w *worker, d *delivery) {
	d.key = e.keys.of(&d.p)
	e.counts.entered(&d.p)
	w.push(e.keys.enter(d, e.pipeOf))
}

// pipeOf finds the branch of d, and returns the section whose process, or whose
// module.Hop, d goes to without anybody here needing its verdict for the next
// packet of the key, nil if there is none. In a plugin all that passes through is
// piped together: walks for a module.Hop, and what goes out to the core.
func (e *Engine) pipeOf(d *delivery) *section {
	if d.inbound != nil {
		if e.sections[d.inbound.section].hops {
			return e.passing
		}
		return nil
	}
	if d.observer {
		return nil
	}
	d.branch = e.branchOf(&d.p)
	switch {
	case d.p.Kind == packet.XDB:
		return nil
	case !e.config.Core && (d.branch == nil || !d.branch.local):
		d.passes = true
		return e.passing
	case !e.config.Core || d.branch == nil || d.branch.counted != 1:
		d.passes = false
		return nil
	}
	for _, s := range d.branch.sections {
		if !s.observe && (s.pipe != nil || s.hops) {
			return s
		}
	}
	return nil
}

func (e *Engine) branchOf(p *packet.Packet) *branch {
	return e.kinds[p.Kind].lookup(p.Branch())
}

// turn is called when the turn of d has come.
func (e *Engine) turn(w *worker, d *delivery) {
	key := d.key
	e.begin(w, d) // d may have ended when it returns
	w.push(e.keys.begun(key, e.pipeOf))
}

func (e *Engine) begin(w *worker, d *delivery) {
	if d.alone != nil {
		close(d.alone)
		return
	}
	if d.deadline == 0 {
		d.deadline = e.clock.after(defaultTimeout)
	}
	if d.inbound != nil {
		e.resume(w, d)
		return
	}
	if d.observer {
		e.start(w, d)
		return
	}
	if !e.config.Core && e.away(w, d) {
		return
	}
	if !d.serial && changesSeveral(d) {
		d.serial, d.asker, d.key = true, d.key, e.keys.changes(d.p.To)
		w.push(e.keys.enter(d, e.pipeOf))
		return
	}
	e.start(w, d)
}

// away gives d to the core if it is not for this process, or if earlier packets
// of its key still take that way.
func (e *Engine) away(w *worker, d *delivery) bool {
	key := d.key
	for {
		changes := e.core.fence.changes.Load()
		if d.branch = e.branchOf(&d.p); d.branch != nil && d.branch.local && !e.core.behind(d) {
			if d.passes { // it has become local just now
				e.keys.unpipe(key)
			}
			return false
		}
		if e.outward(d, changes) { // d may have ended
			e.leave(w, key)
			return true
		}
	}
}

// start begins the walks of d through the sections of its branch.
func (e *Engine) start(w *worker, d *delivery) {
	switch {
	case d.branch == nil || e.config.Idle:
		e.unclaimed(w, d, nil)
		e.finish(w, d)
		return
	case d.p.Hops >= maxHops:
		d.result, d.reason = packet.Dropped, packet.Refuse("resource-constraint", "the packet went round in a loop")
		e.log.loop(d)
		e.finish(w, d)
		return
	case d.p.Kind == packet.XDB:
		for _, s := range d.branch.sections {
			if s.observe {
				e.observe(d, s)
			}
		}
		e.question(w, d, 0)
		return
	}
	counted := e.walksOf(d)
	d.left.Store(int32(len(counted)) + 1)
	for _, s := range d.branch.sections {
		if s.observe && !d.observer {
			e.observe(d, s)
		}
	}
	for _, k := range counted {
		e.walk(w, k)
	}
	e.ended(w, d)
}

// walksOf makes a walk for each counted section that the packet is for. The
// first is part of the delivery, further ones are a copy each.
func (e *Engine) walksOf(d *delivery) []*walk {
	d.walks = d.one[:0]
	for _, s := range d.branch.sections {
		if s.observe != d.observer || d.p.Section != "" && d.p.Section != s.id {
			continue
		}
		k := &d.first
		if len(d.walks) > 0 {
			k = &walk{}
		}
		k.begin(d, s, e)
		d.walks = append(d.walks, k)
	}
	return d.walks
}

func (k *walk) begin(d *delivery, s *section, e *Engine) {
	k.d, k.s, k.p = d, s, &d.p
	k.step, k.id, k.deaths = 0, 0, 0
	k.ended, k.claimed, k.sent, k.showing, k.reject = false, false, false, false, nil
	k.expires = e.clock.after(s.timeout)
}

// keep has the walk go on with p if that is another packet by now.
func (k *walk) keep(p *packet.Packet) {
	if changed(p, k.p) {
		own := *p
		k.p = &own
	}
}

// observe gives an observer its copy: a delivery of its own, which nobody is
// told of and nothing waits for.
func (e *Engine) observe(d *delivery, s *section) {
	c := e.pool.get(&d.p)
	c.observer, c.branch, c.deadline = true, s.alone, d.deadline
	c.p.Section = s.id
	c.key = s.observerKey(d.key)
	c.group = d.group
	c.group.expect(1)
	e.workers.submit(e.keys.enter(c, e.pipeOf))
}

// walk goes on with a walk at its next step until it ends or is with another
// process or a module.Hop.
func (e *Engine) walk(w *worker, k *walk) {
	for k.step < len(k.s.steps) {
		switch st := &k.s.steps[k.step]; {
		case st.remote != nil:
			st.remote.hop(w, k)
			return
		case st.hop != nil:
			e.hand(w, k)
			return
		}
		if v, err := e.local(w, k); err != nil || v != packet.Pass {
			e.end(w, k, v, err)
			return
		}
	}
	e.end(w, k, packet.Skip, nil)
}

// local asks the handlers of this process from the walk's step on, until one
// does not pass or the next step is a hop. A panic is the error of its handler.
func (e *Engine) local(w *worker, k *walk) (v packet.Verdict, err error) {
	t := w.begin(k.d)
	t.until = min(k.d.deadline, k.expires)
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v\n%s", r, debug.Stack())
		}
		if err != nil {
			e.abort(t, k, err)
		} else if v == packet.Pass || k.p.Kind == packet.XDB {
			k.keep(&t.p)
		}
		t.end()
	}()
	t.p = *k.p
	for steps := k.s.steps; k.step < len(steps) && steps[k.step].remote == nil && steps[k.step].hop == nil; k.step++ {
		v, err = steps[k.step].handler.Handle(t, &t.p)
		if err == nil && v > packet.Skip {
			err = fmt.Errorf("its verdict was %q, which is none", v)
		}
		if err != nil {
			return v, err
		}
		if len(t.out) > 0 {
			e.commit(w, t)
		}
		if v != packet.Pass {
			if v == packet.Claim && t.answer != nil {
				k.d.answer = t.answer
			}
			return v, nil
		}
	}
	return packet.Pass, nil
}

// commit puts what a handler delivered into the tree.
func (e *Engine) commit(w *worker, t *txn) {
	d := t.d
	d.group.expect(len(t.out))
	for i, c := range t.out {
		t.out[i] = nil
		d.causeOf(c)
		c.group = d.group
		e.deliver(w, c)
	}
	t.out = t.out[:0]
}

// abort forgets what a handler delivered before its error.
func (e *Engine) abort(t *txn, k *walk, err error) {
	e.forget(t)
	e.log.failure(k.d, k.s, &k.s.links[k.s.steps[k.step].link], err)
}

// forget drops what a handler delivered.
func (e *Engine) forget(t *txn) {
	for i, c := range t.out {
		e.pool.put(c)
		t.out[i] = nil
	}
	t.out = t.out[:0]
}

// end ends a walk with a verdict or an error.
func (e *Engine) end(w *worker, k *walk, v packet.Verdict, err error) {
	k.ended = true
	k.claimed = err == nil && v == packet.Claim
	if err != nil {
		k.reject = rejectOf(err)
	}
	e.ended(w, k.d)
}

// rejectOf returns what the sender is told of an error.
func rejectOf(err error) *packet.Reject {
	var r *packet.Reject
	if errors.As(err, &r) {
		return r
	}
	return &packet.Reject{Condition: "internal-server-error"}
}

// ended is called when one of d's walks has ended, and once when all have
// begun. The last call gives the outcome.
func (e *Engine) ended(w *worker, d *delivery) {
	if d.left.Add(-1) > 0 {
		return
	}
	if d.inbound != nil {
		e.finish(w, d)
		return
	}
	if d.p.Kind == packet.XDB {
		e.answered(w, d)
		return
	}
	claimed, reject := false, (*packet.Reject)(nil)
	for _, k := range d.walks {
		claimed = claimed || k.claimed
		if reject == nil {
			reject = k.reject
		}
	}
	if !claimed && !d.observer {
		e.unclaimed(w, d, reject)
	}
	e.finish(w, d)
}

// finish ends the handling of d: the next of its key may go.
func (e *Engine) finish(w *worker, d *delivery) {
	if !d.serial { // else when its copies have ended
		e.leave(w, d.key)
	}
	d.group.handled(e, d)
	if d.hop {
		d.tell()
	}
	e.done(d)
}

func (e *Engine) leave(w *worker, key uint64) { w.push(e.keys.leave(key, e.pipeOf)) }
