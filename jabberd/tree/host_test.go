package tree

import (
	"context"
	"fmt"
	"hash/maphash"
	"math/rand/v2"
	"sync/atomic"
	"testing"

	"github.com/jabberii/server/jabberd/packet"
)

const million = 1_000_000

func randomHosts(n int) []string {
	r := rand.New(rand.NewPCG(1, 2))
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("%x.example.%x", r.Uint32(), r.Uint32()&0xff)
	}
	return names
}

func attachAll(h *hosts, names []string) {
	s := &section{}
	for _, n := range names {
		h.change(n, func(b *branch) *branch { return b.with(n, s) })
	}
}

// fill attaches many hosts at once, as no server does.
func fill(h *hosts, list []string) {
	s := &section{}
	n := &names{seed: maphash.MakeSeed(), count: len(list), shard: make([]atomic.Pointer[map[string]*branch], shards)}
	for _, name := range list {
		at := n.of(name)
		if at.Load() == nil {
			at.Store(&map[string]*branch{})
		}
		(*at.Load())[name] = newBranch(name, []*section{s})
	}
	h.names.Store(n)
}

func TestHostsKeepWhatIsAttached(t *testing.T) {
	for _, n := range []int{1, manyHosts, manyHosts + 2, 20_000} {
		var h hosts
		names := randomHosts(n)
		attachAll(&h, names)
		for _, name := range names {
			if b := h.lookup(name); b == nil || b.host != name {
				t.Fatalf("%d hosts: %s is lost", n, name)
			}
		}
		count := 0
		h.each(func(string, *branch) { count++ })
		s := h.lookup(names[0]).sections[0]
		h.change(names[0], func(b *branch) *branch { return b.without(s) })
		if h.lookup(names[0]) != nil || count != n {
			t.Errorf("%d hosts: %d listed, or one that was detached is found", n, count)
		}
	}
}

func BenchmarkLookupMillionHosts(b *testing.B) {
	names := randomHosts(million)
	b.Run("tree", func(b *testing.B) {
		var h hosts
		fill(&h, names)
		b.ReportAllocs()
		b.ResetTimer()
		for i := range b.N {
			if h.lookup(names[i*7919%million]) == nil {
				b.Fatal("lost")
			}
		}
	})
	b.Run("bare map", func(b *testing.B) {
		m := map[string]*branch{}
		for _, n := range names {
			m[n] = &branch{host: n}
		}
		b.ReportAllocs()
		b.ResetTimer()
		for i := range b.N {
			if m[names[i*7919%million]] == nil {
				b.Fatal("lost")
			}
		}
	})
}

// BenchmarkAttach attaches and detaches among a million hosts.
func BenchmarkAttach(b *testing.B) {
	var h hosts
	names := randomHosts(million)
	fill(&h, names)
	s := &section{index: 1}
	b.ResetTimer()
	for i := range b.N {
		n := names[i*7919%million]
		h.change(n, func(b *branch) *branch { return b.with(n, s) })
		h.change(n, func(b *branch) *branch { return b.without(s) })
	}
}

// BenchmarkWalk is the lookup of the branch and the walk of a chain of four.
func BenchmarkWalk(b *testing.B) {
	e := New(Config{ID: 1, Core: true})
	defer e.Stop(context.Background())
	s := &section{id: "a", kinds: []packet.Kind{packet.Normal}, local: true, timeout: defaultTimeout}
	for i := range 4 {
		v := packet.Pass
		if i == 3 {
			v = packet.Claim
		}
		h := packet.HandlerFunc(func(context.Context, *packet.Packet) (packet.Verdict, error) { return v, nil })
		s.links = append(s.links, link{handler: h})
		s.steps = append(s.steps, step{link: i, handler: h})
	}
	e.kinds[packet.Normal].change("example.org", func(b *branch) *branch { return b.with("example.org", s) })
	w := e.worker()
	d := &delivery{p: packet.Packet{To: "ann@example.org/phone", Name: "message"}}
	d.left.Store(1 << 30)
	b.ReportAllocs()
	for b.Loop() {
		d.branch = e.branchOf(&d.p)
		k := &d.first
		k.begin(d, d.branch.sections[0], e)
		e.walk(w, k)
	}
}
