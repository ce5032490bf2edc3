package tree_test

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
)

// TestOthersAreHandledWhileOneWaits has a handler whose packets, each with a key
// of its own, wait for one another: if it says so, no time passes until all are
// in it, not even that after which a wait is noticed.
func TestOthersAreHandledWhileOneWaits(t *testing.T) {
	both(t, func(t *testing.T, at func(string) string) {
		synctest.Test(t, func(t *testing.T) {
			const n = 40
			var mu sync.Mutex
			in, all := 0, make(chan struct{})
			r := newRig(t, map[string]handle{
				"slow": func(ctx context.Context, env module.Env, _ *packet.Packet) (packet.Verdict, error) {
					v := env.(module.Waiter)
					v.Wait(ctx)
					v.Wait(ctx) // says nothing new
					mu.Lock()
					if in++; in == n {
						close(all)
					}
					mu.Unlock()
					<-all
					return packet.Claim, nil
				},
				"source": claim,
			})
			r.section(normal("h"), []string{"slow"}, at("slow")).section(normal("s"), []string{"home"}, "z/source").start()
			began := time.Now()
			ended := make(chan packet.Outcome, n)
			s := r.env("source").Source(module.SourceConfig{Window: n, Settled: func(o []packet.Outcome) { ended <- o[0] }})
			for i := range n {
				if err := s.Deliver(context.Background(), message("u"+strconv.Itoa(i)+"@home", "x@slow", "1"), 0); err != nil {
					t.Fatal(err)
				}
			}
			for range n {
				if o := <-ended; o.Result != packet.Claimed {
					t.Errorf("ended %v", o)
				}
			}
			if passed := time.Since(began); passed > 0 {
				t.Errorf("it took %v", passed)
			}
			r.close()
		})
	})
}

// TestASourceGoesOnWhileAPacketWaits has a source with a packet that waits: it
// goes on in another goroutine, in the order of its keys.
func TestASourceGoesOnWhileAPacketWaits(t *testing.T) {
	both(t, func(t *testing.T, at func(string) string) {
		passed, got, release := make(chan struct{}, 10), make(chan packet.Packet, 10), make(chan struct{})
		r := newRig(t, map[string]handle{
			"slow": func(ctx context.Context, env module.Env, p *packet.Packet) (packet.Verdict, error) {
				if p.ID == "waits" {
					env.(module.Waiter).Wait(ctx)
					<-release
				}
				got <- *p
				return packet.Claim, nil
			},
			"source": claim,
		})
		r.section(normal("h"), []string{"slow"}, at("slow")).section(normal("s"), []string{"home"}, at("source")).start()
		s := r.env("source").Source(module.SourceConfig{Own: true, Pass: func() { passed <- struct{}{} }})
		deliver := func(from, id string) error {
			return s.Deliver(context.Background(), message(from+"@home", "x@slow", id), 0)
		}
		if err := deliver("u", "before"); err != nil {
			t.Fatal(err)
		}
		first := make(chan error)
		go func() { first <- deliver("u", "waits") }()
		<-passed
		for _, p := range [][2]string{{"u", "behind"}, {"v", "beside"}} {
			if err := deliver(p[0], p[1]); err != nil {
				t.Fatal(err)
			}
		}
		for _, want := range []string{"before", "beside"} {
			if id := receive(t, got).ID; id != want {
				t.Errorf("%s was handled, want %s", id, want)
			}
		}
		close(release)
		if err := <-first; !errors.Is(err, module.ErrPassed) {
			t.Errorf("Deliver returned %v, want %v", err, module.ErrPassed)
		}
		for _, want := range []string{"waits", "behind"} {
			if id := receive(t, got).ID; id != want {
				t.Errorf("%s was handled, want %s", id, want)
			}
		}
		if n := len(passed); n > 0 {
			t.Errorf("passed %d times more", n)
		}
	})
}
