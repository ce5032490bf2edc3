package link_test

import (
	"context"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sdk/link"
)

// BenchmarkLink hands messages of 300 bytes over to the other side, which claims
// them: TLS, both links, the far tree and the verdict back, all in one process.
// cpu-µs is the processor time of it all.
func BenchmarkLink(b *testing.B) {
	for name, flying := range map[string]int{"1": 1, "64": 64, "1024": 1024} {
		b.Run(name, func(b *testing.B) {
			p := newPair(b, func(c *link.Config) { c.Buffer = 1 << 30 })
			p.connect(p.dial())
			credits := make(chan struct{}, flying)
			for range flying {
				credits <- struct{}{}
			}
			m := message("0123456789", "ann@near.example/phone", "bob@far.example")
			m.Body = []byte("<body>" + strings.Repeat("x", 200) + "</body>")
			b.ReportAllocs()
			runtime.GC()
			before := used()
			b.ResetTimer()
			for range b.N {
				<-credits
				p.near.Hop(context.Background(), m, counted{credits})
			}
			for range flying {
				<-credits
			}
			b.ReportMetric(float64(used()-before)/float64(b.N)/1e3, "cpu-µs/op")
			b.StopTimer()
			p.far.h.Received()
		})
	}
}

// counted is an ending that gives a credit back.
type counted struct{ credits chan<- struct{} }

func (counted) Name() module.Name                 { return module.Name{} }
func (c counted) End(v packet.Verdict, err error) { c.credits <- struct{}{} }

// used is the processor time of this process so far.
func used() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
