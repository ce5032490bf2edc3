package turn_test

import (
	"os"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/jabberii/server/plugins/sdk/turn"
)

func newLine(t *testing.T) *turn.Line {
	t.Helper()
	l, err := turn.NewLine()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// oneProcessor has the test run on one, so that who goes on is known.
func oneProcessor(t *testing.T) {
	was := runtime.GOMAXPROCS(1)
	t.Cleanup(func() { runtime.GOMAXPROCS(was) })
}

func TestThoseInALineTakeTurns(t *testing.T) {
	oneProcessor(t)
	l := newLine(t)
	const many, rounds = 5, 50
	var order []int // one at a time goes on
	var mu sync.Mutex
	var all sync.WaitGroup
	for i := range many {
		all.Go(func() {
			for range rounds {
				l.Wait()
				mu.Lock()
				order = append(order, i)
				mu.Unlock()
			}
		})
	}
	all.Wait()
	if len(order) != many*rounds {
		t.Fatalf("%d turns, want %d", len(order), many*rounds)
	}
	// Once all are there, each goes again after all others.
	for at := many; at < len(order)-many; at++ {
		if seen := order[at-many : at]; slices.Index(seen, order[at]) > 0 {
			t.Fatalf("turn %d is of %d, after %v", at, order[at], seen)
		}
	}
}

// Those in a line don't keep the processor from the network: what comes is read
// before the next turn, or the one after that.
func TestTheNetworkComesFirst(t *testing.T) {
	oneProcessor(t)
	l := newLine(t)
	out, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	raw, err := in.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	const busy, pings = 20, 30
	var turns, sent atomic.Int64
	var stop atomic.Bool
	var late []int64 // turns between the writing of a byte and its being read
	read := make(chan struct{})
	go func() {
		defer close(read)
		for buf := make([]byte, 1); len(late) < pings; {
			if _, err := out.Read(buf); err != nil {
				return
			}
			late = append(late, turns.Load()-sent.Load())
			sent.Store(0)
		}
	}()
	var all sync.WaitGroup
	for range busy {
		all.Go(func() {
			for !stop.Load() {
				l.Wait()
				// The runtime does not know that this wakes somebody.
				if now := turns.Add(1); now%10 == 0 && sent.CompareAndSwap(0, now) {
					raw.Write(func(fd uintptr) bool { syscall.Write(int(fd), []byte{1}); return true })
				}
			}
		})
	}
	<-read
	stop.Store(true)
	all.Wait()
	in.Close()
	slices.Sort(late)
	if middle := late[pings/2]; middle > 2 {
		t.Errorf("half of what came waited for more than %d turns: %v", middle, late)
	}
}

// Who is on its turn and waits for something else holds nobody up.
func TestAWaitOnATurnHoldsNobodyUp(t *testing.T) {
	oneProcessor(t)
	l := newLine(t)
	stuck := make(chan struct{})
	var all sync.WaitGroup
	all.Go(func() {
		l.Wait()
		<-stuck
	})
	for range 3 {
		l.Wait()
	}
	close(stuck)
	all.Wait()
}

func TestCloseLetsAllGo(t *testing.T) {
	l := newLine(t)
	var all sync.WaitGroup
	for range 10 {
		all.Go(func() {
			for range 100 {
				l.Wait()
			}
		})
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	all.Wait()
	l.Wait()
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}

func TestPace(t *testing.T) {
	type step struct {
		tick  uint32
		bytes int
		due   bool // after them
	}
	for name, steps := range map[string][]step{
		"nothing":            {{1, 0, false}, {2, 0, false}},
		"within its share":   {{1, 30 << 10, false}, {2, 30 << 10, false}, {3, 30 << 10, false}},
		"more than it":       {{1, 30 << 10, false}, {1, 3 << 10, true}, {1, 4 << 10, false}, {1, 4 << 10, true}},
		"still, in the next": {{1, 40 << 10, true}, {2, 1 << 10, false}, {2, 7 << 10, true}},
		"no longer":          {{1, 40 << 10, true}, {2, 9 << 10, true}, {3, 9 << 10, false}},
		"after a pause":      {{1, 40 << 10, true}, {5, 9 << 10, false}},
	} {
		t.Run(name, func(t *testing.T) {
			var p turn.Pace
			p.Due(0)
			for i, s := range steps {
				p.Due(s.tick) // as the read before did
				p.Came(s.bytes)
				if due := p.Due(s.tick); due != s.due {
					t.Errorf("step %d: due %v, want %v", i, due, s.due)
				}
			}
		})
	}
}

func BenchmarkTurn(b *testing.B) {
	l, err := turn.NewLine()
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	for b.Loop() {
		l.Wait()
	}
}
