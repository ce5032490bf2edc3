package tree

import (
	"bytes"
	"context"
	"encoding/xml"

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
		switch {
		case s.observe, d.p.Section != "" && d.p.Section != s.id:
			continue
		case d.fell && e.stale.has(s.id, d.p.To, d.p.NS):
			continue
		}
		d.left.Store(1)
		d.walks = append(d.one[:0], &d.first)
		d.first.begin(d, s, e)
		e.walk(w, &d.first)
		return
	}
	e.answerParts(d)
	if d.answer == nil && d.reason == nil {
		e.unclaimed(w, d, nil)
	}
	e.finish(w, d)
}

// answered is called when a section of an xdb branch has given its verdict.
func (e *Engine) answered(w *worker, d *delivery) {
	k := d.walks[0]
	if k.claimed && d.answer != nil && e.show(w, k) {
		return // goes on when another process has seen the answer
	}
	switch {
	case k.reject != nil && !(d.p.Name == "drop" && d.branch.asksAll(&d.p)):
		e.unclaimed(w, d, k.reject)
	case d.branch.asksAll(&d.p):
		if e.keepPart(w, d, k) {
			e.question(w, d, d.branch.after(k.s))
			return
		}
	case !k.claimed, k.s.falls && d.fallsBack():
		e.question(w, d, d.branch.after(k.s))
		return
	default:
		if d.fell && d.answer != nil {
			a := *d.answer
			a.Attrs += " fallback='true'"
			d.answer = &a
		}
		e.copies(w, d, k.s)
	}
	e.finish(w, d)
}

// after returns the place in the branch behind a section.
func (b *branch) after(s *section) int {
	for i := range b.sections {
		if b.sections[i] == s {
			return i + 1
		}
	}
	return len(b.sections)
}

// fallsBack reports whether the next store is to be asked since the one that
// answered has nothing, and forgets its answer only if another one comes.
func (d *delivery) fallsBack() bool {
	if d.p.Type != "get" || d.p.Section != "" || d.answer == nil || !none(d.answer.Body) {
		return false
	}
	if len(d.parts) == 0 {
		d.parts = append(d.parts, d.answer) // stays, if nobody has more to say
	}
	d.answer, d.fell = nil, true
	return true
}

// none reports whether an answer says that there is nothing: it has no element,
// or only that of a page, which does not count anything.
func none(body []byte) bool {
	body = bytes.TrimSpace(body)
	if len(body) == 0 {
		return true
	}
	var page struct {
		XMLName xml.Name `xml:"page"`
		Count   int      `xml:"count,attr"`
	}
	from := bytes.NewReader(body)
	dec := xml.NewDecoder(from)
	if !bytes.HasPrefix(body, []byte("<page")) || dec.Decode(&page) != nil {
		return false
	}
	return page.Count == 0 && dec.InputOffset() == int64(len(body))
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
			e.watch(w, k.d, &k.s.links[st.link], k.p, k.d.answer)
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
	e.send() // nothing is finished: who asks may have locks that Settled of a source wants
	e.workers.waiting(true)
	defer e.workers.waiting(false)
	select {
	case <-wait.done:
		return wait.answer, wait.err
	case <-ctx.Done():
		return nil, packet.Refuse("remote-server-timeout", "no answer in time")
	}
}
