package tree_test

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/jabberd/tree"
)

// A slot is a connection of which the test is both ends: it keeps records in
// memory that it uses again, until they are handed over.
type slot struct {
	mu      sync.Mutex // a worker that seems stuck is joined by another
	walks   []tree.Walk
	commits []tree.Commit
	settled []tree.Settlement
}

func (s *slot) Walk(w *tree.Walk) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.walks = append(s.walks, *w)
}

func (s *slot) Settle(x *tree.Settlement) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settled = append(s.settled, *x)
}

func (s *slot) SettleLater(x *tree.Settlement) { s.Settle(x) }
func (s *slot) WalkLater(x *tree.Walk)         { s.Walk(x) }
func (s *slot) CommitLater(x *tree.Commit)     { s.Commit(x) }
func (s *slot) Host(*tree.HostChange)          {}
func (s *slot) Explain(*tree.Explain)          {}
func (s *slot) Flush()                         {}
func (s *slot) FlushSoon()                     {}

func (s *slot) Commit(c *tree.Commit) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := len(s.commits)
	if n == cap(s.commits) {
		s.commits = append(s.commits, tree.Commit{})
	}
	s.commits = s.commits[:n+1]
	mine := &s.commits[n]
	mine.Stops, mine.Deliveries, mine.Settled = append(mine.Stops[:0], c.Stops...), append(mine.Deliveries[:0], c.Deliveries...), c.Settled
}

// hand hands over what was kept, and reports whether there was anything.
func (s *slot) hand(to *tree.Remote) bool {
	s.mu.Lock()
	any := len(s.walks)+len(s.commits)+len(s.settled) > 0
	for i := range s.walks {
		to.OnWalk(&s.walks[i])
	}
	s.walks = s.walks[:0]
	for i := range s.commits {
		to.OnCommit(&s.commits[i])
	}
	s.commits = s.commits[:0]
	for i := range s.settled {
		to.OnSettle(&s.settled[i])
	}
	s.settled = s.settled[:0]
	s.mu.Unlock()
	to.Rest(func() {})
	return any
}

// TestAHopDoesNotAllocate takes a session packet from one process through the
// core to another, whose handler sends one back: all that the engines do.
func TestAHopDoesNotAllocate(t *testing.T) {
	var got atomic.Int64
	var q packet.Packet // the handler's, which escapes
	r := newRig(t, map[string]handle{
		"c2s": func(context.Context, module.Env, *packet.Packet) (packet.Verdict, error) {
			got.Add(1)
			return packet.Claim, nil
		},
		"sm": func(ctx context.Context, env module.Env, p *packet.Packet) (packet.Verdict, error) {
			q = *p
			q.Host, q.Flags, q.Near, q.Far = "c2s", packet.Down, p.Far, p.Near
			return packet.Claim, env.Deliver(ctx, &q)
		},
	})
	r.section(normal("c2s", packet.Session), nil, "a/c2s").section(normal("sm", packet.Session), []string{"home"}, "b/sm")
	engines := map[string]*tree.Engine{}
	var made tree.Made
	for i, name := range []string{"", "a", "b"} {
		c := tree.Config{Process: name, ID: uint64(i + 1), Core: name == ""}
		if name != "" {
			c.Modules = r.modules()
		}
		e := tree.New(c)
		m, wrong := e.Make(r.plan)
		if len(wrong) > 0 {
			t.Fatal(wrong[0].Error())
		}
		made.Join(m)
		engines[name] = e
		t.Cleanup(func() { e.Stop(context.Background()) })
	}
	up, down := map[string]*slot{}, map[string]*slot{}
	for name, e := range engines {
		if err := e.Arrange(made); err != nil {
			t.Fatal(err)
		}
		if name != "" {
			up[name], down[name] = &slot{}, &slot{}
		}
	}
	for id, name := range []string{"a", "b"} {
		engines[name].Remote("").Up(up[name], 1)
		engines[""].Remote(name).Up(down[name], uint64(id+2))
		engines[""].Remote(name).Open()
	}
	for _, e := range engines {
		e.Run()
	}
	s := r.env("c2s").Source(module.SourceConfig{Own: true})
	p := packet.Packet{Kind: packet.Session, Host: "home", Name: "message", Near: packet.Token{Host: "c2s", Slot: 1}, Body: make([]byte, 300)}
	sent := int64(0)
	send := func() {
		if err := s.Deliver(context.Background(), &p, 0); err != nil {
			t.Fatal(err)
		}
		sent++
		for more := true; more || got.Load() < sent; {
			if !more {
				runtime.Gosched() // another worker has it
			}
			more = false
			for _, name := range []string{"a", "b"} {
				more = up[name].hand(engines[""].Remote(name)) || more
				more = down[name].hand(engines[name].Remote("")) || more
			}
		}
	}
	if n := testing.AllocsPerRun(1000, send); n > spare {
		t.Errorf("%v allocations a packet", n)
	}
	if got.Load() != 1001 {
		t.Errorf("%d of 1001 packets came back", got.Load())
	}
}

// TestACopyCostsAStruct has sections that each get a copy.
func TestACopyCostsAStruct(t *testing.T) {
	const sections = 4
	r := newRig(t, map[string]handle{"a": claim})
	for range sections {
		r.section(normal("a"), []string{"home"}, "a")
	}
	r.start()
	s := r.env("a").Source(module.SourceConfig{Own: true})
	p := message("ann@example.org/phone", "bob@home", "1")
	n := testing.AllocsPerRun(1000, func() {
		if err := s.Deliver(context.Background(), p, 0); err != nil {
			t.Fatal(err)
		}
	})
	if n > sections-1+spare {
		t.Errorf("%v allocations a packet with %d sections", n, sections)
	}
}
