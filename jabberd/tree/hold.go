package tree

import (
	"context"

	"github.com/jabberii/server/jabberd/module"
)

var _ module.Holder = (*env)(nil)

// Hold implements module.Holder.
func (v *env) Hold(ctx context.Context) (release func()) {
	t := txnOf(ctx)
	if t == nil {
		return func() {}
	}
	d := t.d
	d.open.Add(1)
	d.group.expect(1)
	return func() {
		d.group.release()
		v.e.done(d)
		v.e.flushSoon()
	}
}

// release undoes an expect of one.
func (g *group) release() {
	if g == nil {
		return
	}
	c := g.core
	c.mu.Lock()
	defer c.mu.Unlock()
	g = g.find()
	g.open--
	c.flush(g)
}
