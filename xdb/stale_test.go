package main_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/jabberd/tree"
	"github.com/jabberii/server/plugins/sdk/sdktest"
	"github.com/jabberii/server/plugins/sdk/xdb"
	"github.com/jabberii/server/xdb/memory"
)

// A moody store makes no changes while it does not want to.
type moody struct {
	*memory.Memory
	refuses atomic.Pointer[packet.Reject]
	never   string // an owner whose changes it never makes
}

func (m *moody) Change(ctx context.Context, owner string, changes []xdb.Change) error {
	if m.never != "" && owner == m.never {
		return packet.Refuse("not-allowed", "never")
	}
	if why := m.refuses.Load(); why != nil {
		return why
	}
	return m.Memory.Change(ctx, owner, changes)
}

func (m *moody) Drop(ctx context.Context, owner, ns, before string) error {
	if why := m.refuses.Load(); why != nil {
		return why
	}
	return m.Memory.Drop(ctx, owner, ns, before)
}

// mirrored is a store and one with copies, which outlives a restart.
func mirrored(copies *moody) sdktest.Plan {
	second := module.Define("moody", "", module.On(packet.XDB), func(env module.Env, _ struct{}) (packet.Handler, error) {
		return xdb.Serve(env, copies, "moody"), nil
	})
	return sdktest.Plan{Modules: append(modules, second), Sections: []module.Section{
		falling(sdktest.Section("first", packet.XDB, sdktest.Host("*"), sdktest.Block("badger", `{"path":"first","durability":"process"}`))),
		sdktest.Section("second", packet.XDB, sdktest.Host("*"), sdktest.Block("cache", `{}`), sdktest.Block("moody", `{}`)),
		sdktest.Sinks("example.org", packet.Normal), // so that the domain is served
	}}
}

// all is what a store has of some owners, with revisions.
func all(t *testing.T, s *xdb.Store, owners ...string) string {
	t.Helper()
	var b strings.Builder
	for _, owner := range owners {
		names, err := s.Namespaces(t.Context(), owner)
		if err != nil {
			t.Fatal(err)
		}
		for _, ns := range names {
			fmt.Fprintf(&b, "%s %s:", owner, ns)
			for after, more := "", true; more; {
				page, err := s.Query(t.Context(), owner, ns, xdb.Query{After: after, Max: 1000})
				if err != nil {
					t.Fatal(err)
				}
				for _, it := range page.Items {
					fmt.Fprintf(&b, " %s=%s@%s", it.Key, it.Value, it.Rev)
					after = it.Key
				}
				more = page.More
			}
			b.WriteString("\n")
		}
	}
	return b.String()
}

// TestStaleIsCopiedAnew: what a store did not make is known, not used, and made
// good when the store is there again, whatever was changed meanwhile.
func TestStaleIsCopiedAnew(t *testing.T) {
	for name, why := range map[string]*packet.Reject{
		"it refuses": packet.Refuse("resource-constraint", "full"), "it is away": packet.Refuse("service-unavailable", "away"),
	} {
		t.Run(name, func(t *testing.T) { staleIsCopiedAnew(t, why) })
	}
}

func staleIsCopiedAnew(t *testing.T, why *packet.Reject) {
	for name, wired := range map[string]bool{"linked": false, "wired": true} {
		t.Run(name, func(t *testing.T) {
			copies := &moody{Memory: memory.Open(64 << 20)}
			h := sdktest.New(t, mirrored(copies), wired)
			ctx, store := t.Context(), xdb.New(h.Env(), "tester@example.org")
			must := func(err error) {
				t.Helper()
				if err != nil {
					t.Fatal(err)
				}
			}
			var changes []xdb.Change
			for i := range 250 {
				changes = append(changes, xdb.Change{NS: "large", Key: fmt.Sprintf("%03d", i), Value: fmt.Append(nil, i)})
			}
			must(store.Batch(ctx, ann, changes))
			for _, key := range []string{"kept", "gone"} {
				_, err := store.Put(ctx, ann, "n", key, []byte("1"))
				must(err)
			}
			_, err := store.Put(ctx, bob, "dropped", "k", nil)
			must(err)
			if a, b := all(t, in(h, "first"), ann, bob), all(t, in(h, "second"), ann, bob); a != b {
				t.Fatalf("the copies are\n%sof\n%s", b, a)
			}

			copies.refuses.Store(why)
			must(store.Delete(ctx, ann, "n", "gone"))
			h.Logged("is stale there until")
			_, err = store.Put(ctx, ann, "n", "kept", []byte("2"))
			must(err)
			for i := 0; i < 250; i += 3 {
				must(store.Delete(ctx, ann, "large", fmt.Sprintf("%03d", i)))
			}
			must(store.Drop(ctx, bob, "dropped", ""))
			if it, found, err := store.Get(ctx, bob, "dropped", "k"); err != nil || found {
				t.Errorf("the first store has nothing; a stale copy says %v, %v", it, err)
			}
			if got := told(h.Status().Stale); !slices.Contains(got, "second ann@example.org n") || !slices.Contains(got, "second bob@example.org dropped") {
				t.Errorf("stale are %q", got)
			}
			h.Restart()
			if got := told(h.Status().Stale); len(got) != 3 {
				t.Errorf("after a restart stale are %q", got)
			}
			copies.refuses.Store(nil)
			for range 3 {
				h.Logged("is whole again")
			}
			if a, b := all(t, in(h, "first"), ann, bob), all(t, in(h, "second"), ann, bob); a != b {
				t.Errorf("the copies are\n%sof\n%s", b, a)
			}
			if got := told(h.Status().Stale); len(got) > 0 {
				t.Errorf("stale are %q", got)
			}
		})
	}
}

func told(stale []tree.Stale) (list []string) {
	for _, s := range stale {
		list = append(list, strings.TrimSpace(s.Section+" "+s.Owner+" "+s.NS))
	}
	return list
}

// TestRefusedCopyKeepsNobodyFromTheirs: what a store refuses for good is tried
// again, and what else is stale is made good.
func TestRefusedCopyKeepsNobodyFromTheirs(t *testing.T) {
	copies := &moody{Memory: memory.Open(64 << 20), never: ann}
	h := sdktest.New(t, mirrored(copies), false)
	store := xdb.New(h.Env(), "tester@example.org")
	copies.refuses.Store(packet.Refuse("resource-constraint", "full"))
	for _, owner := range []string{ann, bob, carl} {
		if _, err := store.Put(t.Context(), owner, "n", "k", []byte("1")); err != nil {
			t.Fatal(err)
		}
	}
	copies.refuses.Store(nil)
	h.Logged("is whole again")
	h.Logged("is whole again")
	if got := told(h.Status().Stale); !slices.Equal(got, []string{"second " + ann + " n"}) {
		t.Errorf("stale are %q", got)
	}
	if a, b := all(t, in(h, "first"), bob, carl), all(t, in(h, "second"), bob, carl); a != b {
		t.Errorf("the copies are\n%sof\n%s", b, a)
	}
}

// TestCopiesKeepTheOrderOfChanges: a copy of what was there never comes after
// that of its removal, whoever asks.
func TestCopiesKeepTheOrderOfChanges(t *testing.T) {
	copies := &moody{Memory: memory.Open(64 << 20)}
	h := sdktest.New(t, mirrored(copies), true)
	var asking sync.WaitGroup
	for asker := range 8 {
		store := xdb.New(h.Env(), fmt.Sprintf("asker%d@example.org", asker))
		asking.Go(func() {
			for i := range 100 {
				key := fmt.Sprint(i % 3)
				var err error
				switch (i + asker) % 3 {
				case 0:
					err = store.Delete(t.Context(), ann, "n", key)
				case 1:
					_, err = store.Append(t.Context(), ann, "queue", "", []byte(key))
				default:
					_, err = store.Put(t.Context(), ann, "n", key, fmt.Append(nil, asker, i))
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	asking.Wait()
	if a, b := all(t, in(h, "first"), ann), all(t, in(h, "second"), ann); a != b || strings.Count(a, "=") < 250 {
		t.Errorf("the copies are\n%sof\n%s", b, a)
	}
}

// TestNewStoreIsFilled: a store that is new behind another gets what was there
// before, while it is changed, and can take its place.
func TestNewStoreIsFilled(t *testing.T) {
	copies := &moody{Memory: memory.Open(64 << 20)}
	h := sdktest.New(t, mirrored(copies), true)
	first := xdb.New(h.Env(), "tester@example.org")
	var owners []string
	for i := range 60 {
		owner := fmt.Sprintf("u%03d@example.org", i)
		owners = append(owners, owner)
		changes := []xdb.Change{
			{NS: "roster", Key: "a", Value: []byte("1")}, {NS: "roster", Key: "b", With: owner, Value: []byte("2")}, {NS: "offline", Op: xdb.Append, Value: []byte("3")},
		}
		if err := first.Batch(t.Context(), owner, changes); err != nil {
			t.Fatal(err)
		}
	}
	copies.Memory = memory.Open(64 << 20) // a new one
	if got := all(t, in(h, "second"), owners...); got != "" {
		t.Fatalf("the new store has %s", got)
	}
	var changing sync.WaitGroup
	changing.Go(func() {
		for i := range 300 {
			owner := owners[i*7%len(owners)]
			if _, err := first.Put(t.Context(), owner, "roster", fmt.Sprint("c", i%5), nil); err != nil {
				t.Error(err)
			}
			if err := first.Delete(t.Context(), owner, "roster", "a"); err != nil {
				t.Error(err)
			}
		}
	})
	h.CopyAnew("second")
	h.Logged("is whole again")
	changing.Wait()
	if a, b := all(t, in(h, "first"), owners...), all(t, in(h, "second"), owners...); a != b {
		t.Errorf("the copies are\n%sof\n%s", b, a)
	}
	if s := h.Status().Stale; len(s) > 0 {
		t.Errorf("stale are %+v", s)
	}
}

// TestDifference: whatever two stores have, the one becomes like the other.
func TestDifference(t *testing.T) {
	copies := &moody{Memory: memory.Open(64 << 20)}
	h := sdktest.New(t, mirrored(copies), false)
	large := []byte(strings.Repeat("x", 600<<10))
	from, to := in(h, "first"), in(h, "second")
	put := func(s *xdb.Store, key string, value []byte) {
		t.Helper()
		if _, err := s.Put(t.Context(), ann, "n", key, value); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 400 {
		put(from, fmt.Sprintf("%04d", i), []byte("from"))
	}
	for i := range 7 {
		put(from, fmt.Sprint("large", i), large)
	}
	for i := range 1100 { // more than a page
		put(to, fmt.Sprintf("%04d", i*2), []byte("newer in the copy"))
	}
	d := xdb.Difference{Owner: ann, NS: "n", From: from, To: to}
	for round := range 2 {
		if err := d.Copy(t.Context()); err != nil {
			t.Fatal(err)
		}
		if a, b := all(t, from, ann), all(t, to, ann); a != b {
			t.Fatalf("round %d: %d bytes, %d in the copy", round, len(a), len(b))
		}
	}
}
