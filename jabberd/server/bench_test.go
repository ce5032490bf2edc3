package server_test

import (
	"context"
	"os"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/jabberd/server"
	"github.com/jabberii/server/jabberd/wire"
)

// BenchmarkAsk is a question to a handler in another process and its answer:
// a hop with all that the engine does on both sides. cpu-us is what both
// processes together use for one.
func BenchmarkAsk(b *testing.B) {
	dir, err := os.MkdirTemp("", "jd")
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	programs, errs := server.Describe(b.Context(), []wire.Program{program()})
	if len(errs) > 0 {
		b.Fatal(errs)
	}
	s, err := server.Start(b.Context(), server.Plan{Programs: programs, Data: dir, Sections: []module.Section{{
		ID: "store", Kinds: module.On(packet.XDB), Chain: []module.Link{attach("*"), link("tell", "", struct{}{})},
	}}})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = s.Stop(context.Background()) }()
	pids := []int{os.Getpid(), s.Status().Processes[0].PID}
	for name, askers := range map[string]int{"one at a time": 1, "256 at once": 256} {
		b.Run(name, func(b *testing.B) {
			start := processorTime(b, pids)
			var asking sync.WaitGroup
			for i := range askers {
				asking.Go(func() {
					q := ask("get")
					q.To = "u" + string(rune('a'+i)) + "@example.org"
					for range b.N / askers {
						if _, err := s.Ask(context.Background(), q); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			asking.Wait()
			b.ReportMetric(float64((processorTime(b, pids)-start).Microseconds())/float64(b.N), "cpu-us/op")
		})
	}
}

// processorTime returns what processes have used.
func processorTime(b *testing.B, pids []int) time.Duration {
	var all time.Duration
	for _, pid := range pids {
		var t unix.Timespec
		if err := unix.ClockGettime(int32(^pid<<3|2), &t); err != nil {
			b.Fatal(err)
		}
		all += time.Duration(t.Nano())
	}
	return all
}
