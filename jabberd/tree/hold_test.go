package tree_test

import (
	"context"
	"strconv"
	"testing"
	"time"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
)

// TestAHeldPacketEndsWhenItIsReleased has a handler that claims at once and is
// done later: those behind do not wait, their outcomes do, and what a process
// held when it died goes to the next.
func TestAHeldPacketEndsWhenItIsReleased(t *testing.T) {
	both(t, func(t *testing.T, at func(string) string) {
		const n = 3
		got := make(chan packet.Packet, 2*n)
		releases := make(chan func(), 2*n)
		r := newRig(t, map[string]handle{
			"hold": func(ctx context.Context, env module.Env, p *packet.Packet) (packet.Verdict, error) {
				releases <- env.(module.Holder).Hold(ctx)
				got <- *p
				return packet.Claim, nil
			},
			"source": claim,
		})
		r.section(normal("h"), []string{"held"}, at("hold")).section(normal("s"), []string{"home"}, "z/source").start()
		ended := make(chan packet.Outcome, n)
		s := r.env("source").Source(module.SourceConfig{Settled: func(o []packet.Outcome) { ended <- o[0] }})
		for i := range n {
			if err := s.Deliver(context.Background(), message("u@home", "x@held", strconv.Itoa(i)), uint64(i)); err != nil {
				t.Fatal(err)
			}
		}
		arrive := func(redelivered bool) {
			t.Helper()
			for i := range n {
				if p := receive(t, got); p.ID != strconv.Itoa(i) || p.Flags&packet.Redelivered != 0 != redelivered {
					t.Errorf("packet %d is %s, flags %v", i, p.ID, p.Flags)
				}
			}
		}
		arrive(false)
		if r.plugins["p"] != nil {
			r.kill("p")
			for range n {
				release := <-releases // of the process that is dead
				release()
			}
			arrive(true)
		}
		for i := range n {
			select {
			case o := <-ended:
				t.Fatalf("packet %d has ended, %v, before it was released", o.Tag, o.Result)
			default:
			}
			release := <-releases
			release()
			if o := <-ended; o.Tag != uint64(i) || o.Result != packet.Claimed {
				t.Errorf("packet %d ended %v", o.Tag, o.Result)
			}
		}
	})
}

// TestAReleasedPacketEndsAtOnce has a hundred end one after another, in less time
// than a tick of the clock for each would take.
func TestAReleasedPacketEndsAtOnce(t *testing.T) {
	const n = 100
	releases := make(chan func(), 1)
	r := newRig(t, map[string]handle{
		"hold": func(ctx context.Context, env module.Env, _ *packet.Packet) (packet.Verdict, error) {
			releases <- env.(module.Holder).Hold(ctx)
			return packet.Claim, nil
		},
		"source": claim,
	})
	r.section(normal("h"), []string{"held"}, "p/hold").section(normal("s"), []string{"home"}, "z/source").start()
	ended := make(chan struct{}, 1)
	s := r.env("source").Source(module.SourceConfig{Settled: func([]packet.Outcome) { ended <- struct{}{} }})
	late := time.After(n * 50 * time.Millisecond)
	for i := range n {
		if err := s.Deliver(context.Background(), message("u@home", "x@held", strconv.Itoa(i)), 0); err != nil {
			t.Fatal(err)
		}
		release := <-releases
		release()
		select {
		case <-ended:
		case <-late:
			t.Fatalf("only %d ended in time", i)
		}
	}
}
