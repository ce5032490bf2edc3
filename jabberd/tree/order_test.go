package tree_test

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"testing"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
)

// TestOrderWhenASectionBecomesLocal has a packet that is kept with the verdict
// of what caused it, while the section that it goes to becomes one of its own
// process, and another behind it.
func TestOrderWhenASectionBecomesLocal(t *testing.T) {
	arrived := make(chan packet.Packet, 2)
	held, let := make(chan struct{}), make(chan struct{})
	r := newRig(t, map[string]handle{
		"forward": func(ctx context.Context, env module.Env, p *packet.Packet) (packet.Verdict, error) {
			slow := *message("u@home", "x@slow", "slow")
			if err := env.Deliver(ctx, message("u@home", "x@late", "1")); err != nil {
				return packet.Pass, err
			}
			return packet.Claim, env.Deliver(ctx, &slow)
		},
		"slow": func(context.Context, module.Env, *packet.Packet) (packet.Verdict, error) {
			close(held)
			<-let
			return packet.Claim, nil
		},
		"late": sink(arrived), "source": claim,
	})
	r.section(normal("m"), []string{"mid"}, "p/forward").section(normal("slow"), []string{"slow"}, "p/slow").
		section(normal("l"), nil, "p/late").section(normal("s"), []string{"home"}, "z/source").start()
	send := func(from, to, id string) <-chan packet.Result {
		done := make(chan packet.Result, 1)
		s := r.env(from).Source(module.SourceConfig{Settled: func(o []packet.Outcome) { done <- o[0].Result }})
		if err := s.Deliver(context.Background(), message("u@home", to, id), 0); err != nil {
			t.Fatal(err)
		}
		return done
	}
	first := send("source", "x@mid", "0")
	<-held
	if err := r.env("late").Attach("late"); err != nil {
		t.Fatal(err)
	}
	second := send("forward", "x@late", "2")
	close(let)
	for _, id := range []string{"1", "2"} {
		if p := receive(t, arrived); p.ID != id {
			t.Errorf("packet %s came, want %s", p.ID, id)
		}
	}
	if a, b := <-first, <-second; a != packet.Claimed || b != packet.Claimed {
		t.Errorf("ended %v and %v", a, b)
	}
}

// TestOrderWhileHostsComeAndGo forwards numbered packets of several keys to a
// host that is again and again attached to a section of the forwarding process,
// and detached, so that the packets go to one of another process. Queues are of
// one packet: they bound what waits for a process that is away, and none is.
func TestOrderWhileHostsComeAndGo(t *testing.T) {
	for window, each := range map[int]int{1: 50, 2: 100, 8: 250, 256: 500} {
		t.Run("window of "+strconv.Itoa(window), func(t *testing.T) { checkOrderWhileHostsComeAndGo(t, window, each) })
	}
}

func checkOrderWhileHostsComeAndGo(t *testing.T, window, each int) {
	const keys = 8
	var mu sync.Mutex
	var last [keys]int
	var near, far int
	arrived := func(count *int) handle {
		return func(_ context.Context, _ module.Env, p *packet.Packet) (packet.Verdict, error) {
			n, _ := strconv.Atoi(p.ID)
			mu.Lock()
			defer mu.Unlock()
			*count++
			if k := n % keys; n/keys != last[k] {
				t.Errorf("key %d: packet %d came, want %d", k, n/keys, last[k])
			}
			last[n%keys] = n/keys + 1
			return packet.Claim, nil
		}
	}
	r := newRig(t, map[string]handle{"forward": forward("x@late"), "near": arrived(&near), "far": arrived(&far), "source": claim})
	r.section(normal("m"), []string{"mid"}, "p/forward").section(normal("n"), nil, "p/near").
		section(normal("s"), []string{"home"}, "z/source").section(normal("f"), []string{"*"}, "k/far")
	for i := range r.plan {
		r.plan[i].Queue = 1
	}
	r.start()
	var ended sync.WaitGroup
	ended.Add(keys * each)
	s := r.env("source").Source(module.SourceConfig{Window: window, Settled: func(o []packet.Outcome) {
		for range o {
			ended.Done()
		}
	}})
	over := make(chan struct{})
	go func() {
		defer close(over)
		for n := range keys * each {
			m := message(fmt.Sprintf("u%d@home", n%keys), "x@mid", strconv.Itoa(n))
			if err := s.Deliver(context.Background(), m, 0); err != nil {
				t.Error(err)
			}
		}
		ended.Wait()
	}()
	changes := attachAndDetach(t, r.env("near"), over)
	if near+far != keys*each || window > 8 && (near == 0 || far == 0) {
		t.Errorf("%d came here and %d there", near, far)
	}
	t.Logf("%d changes, %d packets here, %d there", changes, near, far)
}

// attachAndDetach attaches the host "late" and detaches it until all is over,
// and returns how often it did.
func attachAndDetach(t *testing.T, env module.Env, over <-chan struct{}) int {
	for changes := 0; ; changes++ {
		change := env.Attach
		if changes%2 == 1 {
			change = env.Detach
		}
		if err := change("late"); err != nil {
			t.Fatal(err)
		}
		select {
		case <-over:
			return changes
		default:
		}
	}
}

// TestABounceDoesNotMakeMemoryForAllBeforeIt has a process whose first packet of
// an origin is the bounce of its five thousandth.
func TestABounceDoesNotMakeMemoryForAllBeforeIt(t *testing.T) {
	const n = 5000
	back := make(chan packet.Packet, 1)
	r := newRig(t, map[string]handle{"source": claim, "sink": claim, "home": sink(back)})
	r.section(normal("s"), []string{"else"}, "z/source").section(normal("k"), []string{"sink"}, "m/sink").
		section(normal("h"), []string{"home"}, "k/home").start()
	s := r.env("source").Source(module.SourceConfig{})
	for i := range n {
		if err := s.Deliver(context.Background(), message("u@home", "x@sink", strconv.Itoa(i)), 0); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Deliver(context.Background(), message("u@home", "x@nowhere", "last"), 0); err != nil {
		t.Fatal(err)
	}
	if p := receive(t, back); p.ID != "last" || p.Type != "error" {
		t.Errorf("got %+v", p)
	}
	if got := r.plugins["k"].Remembered(); got > 1024 {
		t.Errorf("room for %d verdicts", got)
	}
}
