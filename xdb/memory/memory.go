// Package memory is the xdb module memory: it keeps items in memory, until the
// process ends. It is for tests, for what may be lost, and for small servers
// that start empty.
package memory

import (
	"context"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sdk/xdb"
)

type args struct {
	MaxSize module.Size `json:"max_size" default:"64MiB" doc:"What all items may take together, with about 150 bytes for each. A change beyond it is refused with resource-constraint."`
}

// Module is the module memory.
var Module = module.Define("memory", "Keeps items in memory, until the process ends.", module.On(packet.XDB), New)

// New makes the handler.
func New(env module.Env, a args) (packet.Handler, error) {
	if a.MaxSize < 1 {
		return nil, module.BadArg("max_size", "must be more than 0")
	}
	return xdb.Serve(env, Open(int64(a.MaxSize)), "memory"), nil
}

var _ xdb.Backend = (*Memory)(nil)

// Get implements xdb.Backend.
func (m *Memory) Get(_ context.Context, owner, ns string, keys []string, items []xdb.Item) ([]xdb.Item, error) {
	s := m.shard(owner)
	s.mu.RLock()
	defer s.mu.RUnlock()
	space := s.owners[owner][ns]
	if space == nil {
		return items, nil
	}
	if len(keys) == 0 {
		if space.size > xdb.MaxBody && len(space.items) > 1 {
			return items, xdb.TooLarge("the namespace is too large for one answer; query it by pages")
		}
		return append(items, space.items...), nil
	}
	for _, key := range keys {
		if it := space.find(key); it != nil {
			items = append(items, *it)
		}
	}
	return items, nil
}

// Query implements xdb.Backend.
func (m *Memory) Query(_ context.Context, owner, ns string, q xdb.Query) (xdb.Page, error) {
	s := m.shard(owner)
	s.mu.RLock()
	defer s.mu.RUnlock()
	page := xdb.Page{Count: -1}
	space := s.owners[owner][ns]
	if space == nil {
		page.Count = 0
		return page, nil
	}
	if q.Count {
		page.Count = 0
		for it := range space.between(q.Range()) {
			if q.Takes(it.With) {
				page.Count++
			}
		}
	}
	if q.Empty() {
		return page, nil
	}
	walk := space.between
	if q.Reverse {
		walk = space.backwards
	}
	for it := range walk(q.Keys()) {
		if q.Takes(it.With) && page.Add(&q, *it) {
			break
		}
	}
	return page, nil
}

// Change implements xdb.Backend.
func (m *Memory) Change(_ context.Context, owner string, changes []xdb.Change) error {
	s := m.shard(owner)
	s.mu.Lock()
	defer s.mu.Unlock()
	m.clock.Stamp(changes)
	spaces := s.owners[owner]
	effects, grows := make([]xdb.Effect, 0, 8), int64(0)
	for i := range changes {
		c := &changes[i]
		old := spaces[c.NS].find(c.Key)
		effect, err := c.Effect(old)
		if err != nil {
			return err
		}
		effects = append(effects, effect)
		if effect != xdb.Keep && old != nil {
			grows -= cost(old)
		}
		if effect == xdb.Write {
			it := c.Item()
			grows += cost(&it)
		}
	}
	if err := m.reserve(grows); err != nil {
		return err
	}
	for i := range changes {
		s.apply(owner, &changes[i], effects[i])
	}
	return nil
}

// Drop implements xdb.Backend.
func (m *Memory) Drop(_ context.Context, owner, ns, before string) error {
	s := m.shard(owner)
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, space := range s.owners[owner] {
		if ns == "" || ns == name {
			m.used.Add(-s.drop(owner, name, space, before))
		}
	}
	return nil
}
