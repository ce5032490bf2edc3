package tree_test

import (
	"context"
	"strconv"
	"testing"

	"github.com/jabberii/server/jabberd/module"
)

// TestABatchGoesOnFlushAndBeforeWaiting has a source with few credits deliver
// more packets to another process than these are for.
func TestABatchGoesOnFlushAndBeforeWaiting(t *testing.T) {
	const n = 50
	got := newSeen(n)
	r := newRig(t, map[string]handle{"source": claim, "sink": got.handle})
	r.section(normal("s"), []string{"source"}, "s/source").section(normal("k"), []string{"sink"}, "k/sink").start()
	s := r.env("source").Source(module.SourceConfig{Window: 4, Own: true, Batch: true})
	for i := range n {
		if err := s.Deliver(context.Background(), message("u@home", "x@sink", strconv.Itoa(i)), 0); err != nil {
			t.Fatal(err)
		}
	}
	s.Flush()
	got.check(t)
}
