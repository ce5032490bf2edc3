package tree

import (
	"context"
	"time"

	"github.com/jabberii/server/jabberd/packet"
)

// copyTimeout is how long a copy may take. The asker waits for it, so that no
// copy is lost with the core: who was not answered asks the next one again.
const copyTimeout = 5 * time.Second

// replicaMark marks a question that copies a change; see plugins/sdk/xdb.
const replicaMark = " replica='true'"

// changesSeveral reports whether d changes what several stores have. Such
// changes of one owner are made one after another, each with its copies: in
// another order a copy of what was there could come after that of its removal.
func changesSeveral(d *delivery) bool {
	return d.branch != nil && d.branch.counted > 1 && d.p.Kind == packet.XDB && d.p.Type == "set" && d.p.Section == "" && !d.replica
}

// copies has the stores behind the owner change what it has changed. Each gets
// the question again with the owner's answer behind it, which has the keys and
// revisions; see plugins/sdk/xdb.
func (e *Engine) copies(w *worker, d *delivery, owner *section) {
	if !d.serial || d.answer == nil {
		return
	}
	for _, s := range d.branch.sections[d.branch.after(owner):] {
		if s.observe || e.stale.down(s.id, &d.p) {
			continue
		}
		c := e.pool.get(&d.p)
		d.causeOf(c)
		c.replica = true
		c.deadline = min(d.deadline, e.clock.after(copyTimeout))
		c.p.Hops = d.p.Hops
		c.p.Section = s.id
		c.p.Attrs += replicaMark
		c.p.Body = append(append([]byte(nil), d.p.Body...), d.answer.Body...)
		c.key = e.keys.copies(s, d.p.To)
		e.counts.entered(&c.p)
		w.push(e.keys.enter(c, e.pipeOf))
	}
}

// Alone calls f while no change of an owner is under way that several stores
// would get. What f asks for itself must name its section.
func (e *Engine) Alone(ctx context.Context, owner string, f func() error) error {
	w := e.worker()
	defer e.release(w)
	d := e.pool.get(&packet.Packet{Kind: packet.XDB, To: owner})
	alone := make(chan struct{})
	d.alone, d.key = alone, e.keys.changes(owner)
	w.push(e.keys.enter(d, e.pipeOf))
	w.run()
	leave := func() {
		e.workers.submit(e.keys.leave(d.key, e.pipeOf))
		e.pool.put(d)
	}
	select {
	case <-alone:
		defer leave()
		return f()
	case <-ctx.Done():
		go func() {
			<-alone
			leave()
		}()
		return ctx.Err()
	}
}
