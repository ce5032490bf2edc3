package memory_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"testing"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sdk/xdb"
	"github.com/jabberii/server/xdb/conformance"
	"github.com/jabberii/server/xdb/memory"
)

func TestConformance(t *testing.T) {
	conformance.Run(t, func(string) (xdb.Backend, func() error, error) {
		return memory.Open(64 << 20), func() error { return nil }, nil
	})
}

func TestMaxSize(t *testing.T) {
	s := conformance.NewStore(memory.Open(10_000))
	ctx := t.Context()
	value := bytes.Repeat([]byte("x"), 850)
	put := func(key string) string {
		_, err := s.Put(ctx, "ann@localhost", "n", key, value)
		var reject *packet.Reject
		if errors.As(err, &reject) {
			return reject.Condition
		}
		if err != nil {
			t.Fatal(err)
		}
		return ""
	}
	fill := func() int {
		for i := 0; ; i++ {
			if condition := put(strconv.Itoa(i)); condition == "resource-constraint" {
				return i
			} else if condition != "" || i > 100 {
				t.Fatalf("item %d: %q", i, condition)
			}
		}
	}
	full := fill()
	if full < 8 || full > 11 {
		t.Errorf("%d items of 850 bytes fit into 10000 bytes", full)
	}
	if condition := put("0"); condition != "" {
		t.Errorf("replacing an item in a full store: %s", condition)
	}
	// All ways to take items away give back their room.
	for name, empty := range map[string]func() error{
		"drop of all":         func() error { return s.Drop(ctx, "ann@localhost", "", "") },
		"drop of a namespace": func() error { return s.Drop(ctx, "ann@localhost", "n", "") },
		"drop of a part": func() error {
			return errors.Join(s.Drop(ctx, "ann@localhost", "n", "5"), s.Drop(ctx, "ann@localhost", "n", "a"))
		},
		"delete": func() error {
			var changes []xdb.Change
			for i := range full {
				changes = append(changes, xdb.Change{Op: xdb.Delete, NS: "n", Key: strconv.Itoa(i)})
			}
			return s.Batch(ctx, "ann@localhost", changes)
		},
	} {
		if err := empty(); err != nil {
			t.Fatal(err)
		}
		if again := fill(); again != full {
			t.Errorf("after %s %d items fit, %d before", name, again, full)
		}
	}
}

func TestArguments(t *testing.T) {
	_, err := memory.Module.New(nil, []byte(`{"max_size":0}`))
	var bad *module.ArgError
	if !errors.As(err, &bad) || bad.Path[0] != "max_size" {
		t.Errorf("got %v", err)
	}
	h, err := memory.Module.New(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	v, why := h.(module.Explainer).Explain(t.Context(), &packet.Packet{Kind: packet.XDB, Name: "get", Type: "get", NS: "n"})
	if v != packet.Claim || why != "memory answers get" {
		t.Errorf("got %v, %q", v, why)
	}
}

// sink takes answers.
type sink struct{ answer packet.Packet }

func (s *sink) Answer(_ context.Context, _, answer *packet.Packet) error {
	s.answer = *answer
	return nil
}

func get(tb testing.TB) func() {
	ctx, m, env := context.Background(), memory.Open(64<<20), &sink{}
	for i := range 1000 {
		c := []xdb.Change{{NS: "roster", Key: fmt.Sprintf("c%03d@example.org", i), Value: bytes.Repeat([]byte("x"), 200)}}
		if err := m.Change(ctx, "ann@example.org", c); err != nil {
			tb.Fatal(err)
		}
	}
	h := xdb.Serve(env, m, "memory")
	q := packet.Packet{
		Kind: packet.XDB, To: "ann@example.org", From: "example.org", Name: "get", Type: "get", NS: "roster",
		Body: []byte("<item key='c500@example.org'/>"),
	}
	return func() {
		if v, err := h.Handle(ctx, &q); v != packet.Claim || err != nil || len(env.answer.Body) < 200 {
			tb.Fatal(v, err, env.answer)
		}
	}
}

func TestGetAllocates(t *testing.T) {
	// The key and the answer's body.
	if n := testing.AllocsPerRun(100, get(t)); n > 2 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkHandle(b *testing.B) {
	f := get(b)
	b.ReportAllocs()
	for b.Loop() {
		f()
	}
}

func BenchmarkStore(b *testing.B) {
	conformance.Bench(b, func(string) (xdb.Backend, func() error, error) {
		return memory.Open(1 << 30), func() error { return nil }, nil
	})
}
