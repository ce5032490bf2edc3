package tree_test

import (
	"context"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
)

// A shelf is a handler that gathers what it claims.
type shelf struct {
	mu       sync.Mutex
	stuck    bool
	gathered []string
	groups   [][]string
	tried    chan struct{} // has room for each Finish
}

func (s *shelf) handle(ctx context.Context, env module.Env, p *packet.Packet) (packet.Verdict, error) {
	s.mu.Lock()
	s.gathered = append(s.gathered, p.ID)
	s.mu.Unlock()
	env.(module.Gatherer).Gather(ctx)
	return packet.Claim, nil
}

func (s *shelf) finish() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case s.tried <- struct{}{}:
	default:
	}
	if s.stuck {
		return false
	}
	if len(s.gathered) > 0 {
		s.groups = append(s.groups, s.gathered)
		s.gathered = nil
	}
	return true
}

func (s *shelf) unstick() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stuck = false
}

// rig puts a shelf on a host, and returns a source elsewhere whose packets end
// in a channel.
func (s *shelf) rig(t *testing.T, at string, n int) (*rig, module.Source, chan packet.Outcome) {
	s.tried = make(chan struct{}, 100)
	r := newRig(t, map[string]handle{"shelf": s.handle, "source": claim})
	r.finish = map[string]func() bool{"shelf": s.finish}
	r.section(normal("h"), []string{"held"}, at).section(normal("s"), []string{"home"}, "z/source").start()
	ended := make(chan packet.Outcome, n)
	return r, r.env("source").Source(module.SourceConfig{Own: true, Batch: true, Settled: func(o []packet.Outcome) { ended <- o[0] }}), ended
}

func deliver(t *testing.T, s module.Source, n int) {
	t.Helper()
	for i := range n {
		if err := s.Deliver(context.Background(), message("u@home", "x@held", strconv.Itoa(i)), uint64(i)); err != nil {
			t.Fatal(err)
		}
	}
	s.Flush()
}

func await[T any](t *testing.T, from <-chan T) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(10 * time.Second):
		t.Fatal("nothing came")
		panic("unreachable")
	}
}

// TestWhatCameTogetherIsFinishedTogether has a source send packets in one go.
func TestWhatCameTogetherIsFinishedTogether(t *testing.T) {
	const n = 10
	s := new(shelf)
	_, source, ended := s.rig(t, "p/shelf", n)
	deliver(t, source, n)
	for i := range n {
		if o := await(t, ended); o.Tag != uint64(i) || o.Result != packet.Claimed {
			t.Errorf("the outcome of %d is %+v", i, o)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(slices.Concat(s.groups...)) != n || len(s.groups) >= n {
		t.Errorf("finished %q", s.groups)
	}
}

// TestGatheredPacketsEndWhenTheyAreFinished has a handler that cannot finish at
// first: packets do not end, and what a process had when it died comes again.
func TestGatheredPacketsEndWhenTheyAreFinished(t *testing.T) {
	both(t, func(t *testing.T, at func(string) string) {
		const n = 3
		s := &shelf{stuck: true}
		r, source, ended := s.rig(t, at("shelf"), n)
		deliver(t, source, n)
		await(t, s.tried)
		await(t, s.tried) // again, by itself
		if r.plugins["p"] != nil {
			s.mu.Lock()
			s.gathered = nil // with its process
			s.mu.Unlock()
			r.kill("p")
			await(t, s.tried)
		}
		select {
		case o := <-ended:
			t.Fatalf("ended before it was finished: %+v", o)
		default:
		}
		s.unstick()
		for i := range n {
			if o := await(t, ended); o.Tag != uint64(i) || o.Result != packet.Claimed {
				t.Errorf("the outcome of %d is %+v", i, o)
			}
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if got := slices.Concat(s.groups...); !slices.Equal(slices.Compact(got), []string{"0", "1", "2"}) {
			t.Errorf("finished %q", s.groups)
		}
	})
}
