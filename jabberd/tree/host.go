package tree

import (
	"cmp"
	"hash/maphash"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/jabberii/server/jabberd/packet"
)

// A branch is the sections that a host of one kind is attached to. It is never
// changed: an attach makes a new one.
type branch struct {
	host     string
	sections []*section // in the order of the file
	counted  int        // how many of them are not observers
	local    bool       // what goes there can be handled in this process alone
}

func newBranch(host string, sections []*section) *branch {
	b := &branch{host: host, sections: sections, local: true}
	for _, s := range sections {
		if !s.observe {
			b.counted++
		}
		b.local = b.local && s.local
	}
	if b.counted > 1 && sections[0].on(packet.XDB) {
		b.local = false // of several stores the core knows which have what
	}
	return b
}

// with returns the branch with a section more; b may be nil.
func (b *branch) with(host string, s *section) *branch {
	var have []*section
	if b != nil {
		have = b.sections
	}
	if slices.Contains(have, s) {
		return b
	}
	at, _ := slices.BinarySearchFunc(have, s, func(a, b *section) int { return cmp.Compare(a.index, b.index) })
	return newBranch(host, slices.Insert(slices.Clone(have), at, s))
}

// without returns the branch with a section less, nil if none is left.
func (b *branch) without(s *section) *branch {
	rest := slices.DeleteFunc(slices.Clone(b.sections), func(o *section) bool { return o == s })
	if len(rest) == 0 {
		return nil
	}
	return newBranch(b.host, rest)
}

const (
	manyHosts = 64   // above it the map is split
	shards    = 4096 // into so many
)

// hosts is the host level of one kind: names to branches. Readers take no lock
// and allocate nothing. A change copies one shard, so that with a million hosts
// it costs some µs (BenchmarkAttach).
type hosts struct {
	names  atomic.Pointer[names] // exact names
	suffix atomic.Pointer[wildcards]
	any    atomic.Pointer[branch] // "*"
	uplink atomic.Pointer[branch]

	mu sync.Mutex // of changes
}

type names struct {
	seed  maphash.Seed
	count int
	shard []atomic.Pointer[map[string]*branch]
}

// wildcards are the branches of "*.suffix", by suffix with its dot.
type wildcards map[string]*branch

func (n *names) of(host string) *atomic.Pointer[map[string]*branch] {
	if len(n.shard) == 1 {
		return &n.shard[0]
	}
	return &n.shard[maphash.String(n.seed, host)%shards]
}

func (n *names) get(host string) *branch {
	if m := n.of(host).Load(); m != nil {
		return (*m)[host]
	}
	return nil
}

// lookup returns the branch of a host: its own, else that of the longest
// suffix, else "*", else the uplink, else nil.
func (h *hosts) lookup(host string) *branch {
	if n := h.names.Load(); n != nil {
		if b := n.get(host); b != nil {
			return b
		}
	}
	if w := h.suffix.Load(); w != nil {
		for rest := host; ; {
			i := strings.IndexByte(rest, '.')
			if i < 0 {
				break
			}
			if b := (*w)[rest[i:]]; b != nil {
				return b
			}
			rest = rest[i+1:]
		}
	}
	if b := h.any.Load(); b != nil {
		return b
	}
	return h.uplink.Load()
}

// matching returns the branches that a host has or would have if the ones
// before were not there, in the order of lookup.
func (h *hosts) matching(host string) (list []*branch) {
	add := func(b *branch) {
		if b != nil {
			list = append(list, b)
		}
	}
	if n := h.names.Load(); n != nil {
		add(n.get(host))
	}
	if w := h.suffix.Load(); w != nil {
		for i, c := range host {
			if c == '.' {
				add((*w)[host[i:]])
			}
		}
	}
	add(h.any.Load())
	add(h.uplink.Load())
	return list
}

// change replaces the branch of a host by what edit makes of it.
func (h *hosts) change(host string, edit func(*branch) *branch) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case host == "*":
		h.any.Store(edit(h.any.Load()))
	case strings.HasPrefix(host, "*."):
		w := wildcards{}
		if old := h.suffix.Load(); old != nil {
			w = maps.Clone(*old)
		}
		set(w, host[1:], edit(w[host[1:]]))
		if h.suffix.Store(&w); len(w) == 0 {
			h.suffix.Store(nil)
		}
	default:
		h.changeName(host, edit)
	}
}

func (h *hosts) changeName(host string, edit func(*branch) *branch) {
	n := h.names.Load()
	switch {
	case n == nil:
		n = &names{shard: make([]atomic.Pointer[map[string]*branch], 1)}
		h.names.Store(n)
	case len(n.shard) == 1 && n.count > manyHosts:
		split := &names{seed: maphash.MakeSeed(), count: n.count, shard: make([]atomic.Pointer[map[string]*branch], shards)}
		for name, b := range *n.shard[0].Load() {
			at := split.of(name)
			m := map[string]*branch{}
			if old := at.Load(); old != nil {
				m = *old
			}
			m[name] = b
			at.Store(&m)
		}
		n = split
		h.names.Store(n)
	}
	at := n.of(host)
	m := map[string]*branch{}
	if old := at.Load(); old != nil {
		m = maps.Clone(*old)
	}
	before := len(m)
	set(m, host, edit(m[host]))
	n.count += len(m) - before
	at.Store(&m)
}

func set(m map[string]*branch, name string, b *branch) {
	if b == nil {
		delete(m, name)
		return
	}
	m[name] = b
}

// each calls f for every branch, in no order.
func (h *hosts) each(f func(host string, b *branch)) {
	if n := h.names.Load(); n != nil {
		for i := range n.shard {
			if m := n.shard[i].Load(); m != nil {
				for name, b := range *m {
					f(name, b)
				}
			}
		}
	}
	if w := h.suffix.Load(); w != nil {
		for suffix, b := range *w {
			f("*"+suffix, b)
		}
	}
	if b := h.any.Load(); b != nil {
		f("*", b)
	}
}
