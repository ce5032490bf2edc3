package memory

import (
	"bytes"
	"context"
	"hash/maphash"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sdk/xdb"
)

// shards is a power of two: how many owners can be changed at once.
const shards = 64

// Memory is an [xdb.Backend] in memory. Make one with [Open].
type Memory struct {
	seed   maphash.Seed
	clock  xdb.Clock
	max    int64
	used   atomic.Int64
	shards [shards]shard
}

// shard holds some of the owners.
type shard struct {
	mu     sync.RWMutex
	owners map[string]map[string]*space // by owner and namespace; none is empty
}

// space is a namespace of an owner: its items in the order of keys, which makes
// appending cheap and a page a slice.
type space struct {
	items []xdb.Item
	size  int // of keys and values
}

// Open returns an empty store for so many bytes.
func Open(max int64) *Memory {
	m := &Memory{seed: maphash.MakeSeed(), max: max}
	for i := range m.shards {
		m.shards[i].owners = map[string]map[string]*space{}
	}
	return m
}

func (m *Memory) shard(owner string) *shard {
	return &m.shards[maphash.String(m.seed, owner)%shards]
}

// cost is what an item takes in memory, with its share of maps and slices.
func cost(it *xdb.Item) int64 { return int64(size(it) + 150) }

func size(it *xdb.Item) int { return len(it.Key) + len(it.With) + len(it.Value) }

// reserve takes room for what grows, or gives it back.
func (m *Memory) reserve(grows int64) error {
	if m.used.Add(grows) > m.max && grows > 0 {
		m.used.Add(-grows)
		return xdb.TooLarge("the store in memory is full")
	}
	return nil
}

// apply makes a change that was checked.
func (s *shard) apply(owner string, c *xdb.Change, effect xdb.Effect) {
	switch effect {
	case xdb.Write:
		it := c.Item()
		it.Key, it.With, it.Value = strings.Clone(it.Key), strings.Clone(it.With), bytes.Clone(it.Value)
		s.space(owner, c.NS).put(it)
	case xdb.Remove:
		space := s.owners[owner][c.NS]
		space.remove(c.Key)
		s.tidy(owner, c.NS, space)
	}
}

func (s *shard) space(owner, ns string) *space {
	spaces := s.owners[owner]
	if spaces == nil {
		spaces = map[string]*space{}
		s.owners[strings.Clone(owner)] = spaces
	}
	at := spaces[ns]
	if at == nil {
		at = &space{}
		spaces[strings.Clone(ns)] = at
	}
	return at
}

// tidy forgets a namespace that is empty, and its owner with the last one.
func (s *shard) tidy(owner, ns string, space *space) {
	if len(space.items) > 0 {
		return
	}
	delete(s.owners[owner], ns)
	if len(s.owners[owner]) == 0 {
		delete(s.owners, owner)
	}
}

// drop takes away the items before a key, all with "", and returns their cost.
func (s *shard) drop(owner, ns string, space *space, before string) (freed int64) {
	n := len(space.items)
	if before != "" {
		n, _ = space.search(before)
	}
	for i := range space.items[:n] {
		freed += cost(&space.items[i])
		space.size -= size(&space.items[i])
	}
	space.items = slices.Clone(space.items[n:])
	s.tidy(owner, ns, space)
	return freed
}

func (p *space) search(key string) (at int, found bool) {
	if n := len(p.items); n == 0 || p.items[n-1].Key < key {
		return n, false // appended, mostly
	}
	return slices.BinarySearchFunc(p.items, key, func(it xdb.Item, key string) int { return strings.Compare(it.Key, key) })
}

// find returns the item of a key, nil if there is none. p may be nil.
func (p *space) find(key string) *xdb.Item {
	if p == nil {
		return nil
	}
	if i, found := p.search(key); found {
		return &p.items[i]
	}
	return nil
}

func (p *space) put(it xdb.Item) {
	i, found := p.search(it.Key)
	if found {
		p.size -= size(&p.items[i])
		p.items[i] = it
	} else {
		p.items = slices.Insert(p.items, i, it)
	}
	p.size += size(&it)
}

func (p *space) remove(key string) {
	i, found := p.search(key)
	if !found {
		return
	}
	p.size -= size(&p.items[i])
	if i == 0 { // a queue is emptied from its head
		p.items[0] = xdb.Item{}
		p.items = p.items[1:]
		return
	}
	p.items = slices.Delete(p.items, i, i+1)
}

// bounds returns the places of the keys from one to before another, "" being
// no end.
func (p *space) bounds(from, to string) (lo, hi int) {
	lo, _ = p.search(from)
	hi = len(p.items)
	if to != "" {
		hi, _ = p.search(to)
	}
	return lo, max(lo, hi)
}

func (p *space) between(from, to string) iter.Seq[*xdb.Item] {
	return func(yield func(*xdb.Item) bool) {
		for lo, hi := p.bounds(from, to); lo < hi; lo++ {
			if !yield(&p.items[lo]) {
				return
			}
		}
	}
}

func (p *space) backwards(from, to string) iter.Seq[*xdb.Item] {
	return func(yield func(*xdb.Item) bool) {
		for lo, hi := p.bounds(from, to); lo < hi; hi-- {
			if !yield(&p.items[hi-1]) {
				return
			}
		}
	}
}

// Namespaces implements xdb.Backend.
func (m *Memory) Namespaces(_ context.Context, owner string) ([]string, error) {
	s := m.shard(owner)
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.Sorted(maps.Keys(s.owners[owner])), nil
}

// Owners implements xdb.Backend.
func (m *Memory) Owners(_ context.Context, domain, ns, after string, max int) ([]string, error) {
	var owners []string
	for i := range m.shards {
		s := &m.shards[i]
		s.mu.RLock()
		for owner, spaces := range s.owners {
			if owner > after && packet.Domain(owner) == domain && (ns == "" || spaces[ns] != nil) {
				owners = append(owners, owner)
			}
		}
		s.mu.RUnlock()
	}
	slices.Sort(owners)
	return owners[:min(len(owners), max)], nil
}
