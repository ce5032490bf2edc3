package tree

import (
	"context"

	"github.com/jabberii/server/jabberd/packet"
)

// A question is a caller of Ask that waits.
type question struct {
	done   chan struct{}
	answer *packet.Packet
	err    error
}

func (q *question) end(d *delivery) {
	switch {
	case d.answer != nil:
		q.answer = d.answer
	case d.reason != nil:
		q.err = d.reason
	default:
		q.err = packet.Refuse("service-unavailable", "the question was claimed but not answered")
	}
	close(q.done)
}

// question tries the sections of an xdb branch from one on, in the order of
// the file: the first that takes the question owns the answer.
func (e *Engine) question(w *worker, d *delivery, from int) {
	for i := from; i < len(d.branch.sections); i++ {
		s := d.branch.sections[i]
		if s.observe {
			e.observe(d, s)
			continue
		}
		if d.p.Section != "" && d.p.Section != s.id {
			continue
		}
		d.walks = append(d.one[:0], &d.first)
		d.first.begin(d, s, e)
		e.walk(w, &d.first)
		return
	}
	d.walks = nil
	e.ended(w, d)
}

// answered is called when a section of an xdb branch has given its verdict.
func (e *Engine) answered(w *worker, d *delivery) {
	if len(d.walks) == 0 {
		e.unclaimed(w, d, nil)
		e.finish(w, d)
		return
	}
	k := d.walks[0]
	switch {
	case k.reject != nil:
		e.unclaimed(w, d, k.reject)
	case !k.claimed:
		at := 0
		for i, s := range d.branch.sections {
			if s == k.s {
				at = i
			}
		}
		d.left.Store(1)
		e.question(w, d, at+1)
		return
	case d.answer != nil && e.show(w, k):
		return // goes on when another process has seen the answer
	default:
		e.copies(w, d, k.s)
	}
	e.finish(w, d)
}

// replicaMark marks a question that copies a change; see plugins/sdk/xdb.
const replicaMark = " replica='true'"

// copies has the stores behind the owner change what it has changed. Each gets
// the question again with the owner's answer behind it, which has the keys and
// revisions; see plugins/sdk/xdb. Nobody waits for them.
func (e *Engine) copies(w *worker, d *delivery, owner *section) {
	if d.p.Type != "set" || d.answer == nil || d.p.Section != "" || d.replica {
		return
	}
	behind := false
	for _, s := range d.branch.sections {
		if behind && !s.observe {
			c := e.pool.get(&d.p)
			c.replica = true
			c.p.Section = s.id
			c.p.Attrs += replicaMark
			c.p.Body = append(append([]byte(nil), d.p.Body...), d.answer.Body...)
			e.deliver(w, c)
		}
		behind = behind || s == owner
	}
}

// show shows the answer to those links before the one that claimed who want to
// see it, the nearest first. It reports whether it is with another process now.
func (e *Engine) show(w *worker, k *walk) bool {
	for k.step--; k.step >= 0; k.step-- {
		st := &k.s.steps[k.step]
		switch {
		case !st.watches:
		case st.remote != nil:
			k.showing = true
			k.d.left.Store(1)
			st.remote.hop(w, k)
			return true
		default:
			e.watch(w, k.d, &k.s.links[st.link], &k.p, k.d.answer)
		}
	}
	return false
}

// watch shows an answer to one link.
func (e *Engine) watch(w *worker, d *delivery, l *link, question, answer *packet.Packet) {
	t := w.begin(d)
	defer t.end()
	defer func() {
		if r := recover(); r != nil {
			e.log.panicked(l, r)
		}
	}()
	l.watcher.Watch(t, question, answer)
}

// Ask puts a question to the tree and waits for the answer; see module.Env.
func (e *Engine) Ask(ctx context.Context, q *packet.Packet) (*packet.Packet, error) {
	w := e.worker()
	defer e.release(w)
	d := e.pool.get(q)
	d.p.Kind = packet.XDB
	asker := txnOf(ctx)
	if asker != nil {
		d.p.Hops = asker.d.p.Hops + 1
		d.p.Flags |= asker.d.p.Flags & packet.FromLog
		d.deadline = asker.d.deadline
	}
	wait := &question{done: make(chan struct{})}
	d.waiter = wait
	e.deliver(w, d)
	w.run()
	select {
	case <-wait.done:
		return wait.answer, wait.err
	default:
	}
	if asker != nil {
		asker.w.handOff()
	}
	e.workers.waiting(true)
	defer e.workers.waiting(false)
	select {
	case <-wait.done:
		return wait.answer, wait.err
	case <-ctx.Done():
		return nil, packet.Refuse("remote-server-timeout", "no answer in time")
	}
}
