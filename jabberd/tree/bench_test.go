package tree_test

import (
	"context"
	"testing"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
)

func pass(context.Context, module.Env, *packet.Packet) (packet.Verdict, error) {
	return packet.Pass, nil
}
func claim(context.Context, module.Env, *packet.Packet) (packet.Verdict, error) {
	return packet.Claim, nil
}

func chainOfFour(t testing.TB) module.Source {
	r := newRig(&testing.T{}, map[string]handle{"a": pass, "b": pass, "c": pass, "d": claim})
	r.section(normal("a"), []string{"example.org"}, "a", "b", "c", "d").start()
	return r.env("d").Source(module.SourceConfig{Own: true})
}

// BenchmarkDeliver is Deliver as c2s calls it: order, credit, deadline and
// counters, until the last of four handlers returns.
func BenchmarkDeliver(b *testing.B) {
	s := chainOfFour(b)
	p := message("ann@example.org/phone", "bob@example.org", "1")
	ctx := context.Background()
	b.ReportAllocs()
	for b.Loop() {
		s.Deliver(ctx, p, 0)
	}
}

func TestDeliverDoesNotAllocate(t *testing.T) {
	s := chainOfFour(t)
	p := message("ann@example.org/phone", "bob@example.org", "1")
	ctx := context.Background()
	if n := testing.AllocsPerRun(1000, func() { s.Deliver(ctx, p, 0) }); n > 0 {
		t.Errorf("%v allocations a packet", n)
	}
}
