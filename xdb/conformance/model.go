package conformance

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sdk/xdb"
)

// restart closes a store and opens it again.
func restart(t *testing.T, open Opener) {
	dir := t.TempDir()
	reopen := func(f func(*store)) {
		t.Helper()
		b, closed, err := open(dir)
		if err != nil {
			t.Fatal(err)
		}
		f(newStore(b))
		if err := closed(); err != nil {
			t.Fatalf("close: %v", err)
		}
	}
	var last string
	large := bytes.Repeat([]byte("large "), xdb.MaxValue/6)
	reopen(func(s *store) {
		s.put(t, ann, "roster", "bob", "<a/>")
		s.put(t, ann, "roster", "carl", "<a/>")
		s.put(t, "", "settings", "k", "v")
		must(s.Put(t.Context(), bob, "large", "k", large))(t)
		for i := range 20 {
			last = must(s.Append(t.Context(), ann, "archive", bob, fmt.Append(nil, i)))(t)
		}
		if err := s.Delete(t.Context(), ann, "roster", "carl"); err != nil {
			t.Fatal(err)
		}
		if err := s.Delete(t.Context(), ann, "archive", last); err != nil {
			t.Fatal(err)
		}
	})
	for range 3 {
		reopen(func(s *store) {
			s.want(t, ann, "roster", "bob", "<a/>")
			s.want(t, ann, "roster", "carl", "-")
			s.want(t, "", "settings", "k", "v")
			s.want(t, bob, "large", "k", string(large))
			page := must(s.Query(t.Context(), ann, "archive", xdb.Query{With: bob, Count: true}))(t)
			if page.Count != 19 || len(page.Items) != 19 || string(page.Items[18].Value) != "18" {
				t.Errorf("the archive has %s", describe(page))
			}
			key := must(s.Append(t.Context(), ann, "archive", bob, nil))(t)
			if key <= last {
				t.Errorf("key %s after %s", key, last)
			}
			last = key
			if err := s.Delete(t.Context(), ann, "archive", key); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// agrees compares a store with a model of it, under random changes.
func agrees(t *testing.T, open Opener, restarts bool) {
	m := &machine{open: open, dir: t.TempDir(), restarts: restarts}
	m.start(t)
	defer func() { m.stop(t) }()
	rapid.Check(t, func(t *rapid.T) {
		m.model = map[place]xdb.Item{}
		for _, owner := range owners {
			if err := m.Drop(t.Context(), owner, "", ""); err != nil {
				t.Fatal(err)
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"":        m.check,
			"change":  m.change,
			"append":  m.append,
			"query":   m.query,
			"drop":    m.drop,
			"restart": m.restart,
		})
		m.compare(t, owners...)
	})
}

type place struct{ owner, ns, key string }

type fataler interface {
	Fatal(...any)
	Fatalf(string, ...any)
}

type machine struct {
	open     Opener
	dir      string
	restarts bool
	*store
	closed func() error
	model  map[place]xdb.Item
	rev    xdb.Rev // the greatest
}

var (
	owners = []string{ann, ann + "/home", bob, "example.org", ""}
	spaces = []string{"a", "a/b", "A"}
	keys   = []string{"k", "k2", "K", "ü", "x'y", "..", "k\u00a0"}
	people = []string{"", ann, ann + "/x", ann + "/y", bob}
)

func (m *machine) start(t fataler) {
	b, closed, err := m.open(m.dir)
	if err != nil {
		t.Fatal(err)
	}
	m.store, m.closed = newStore(b), closed
}

func (m *machine) stop(t fataler) {
	if err := m.closed(); err != nil {
		t.Fatalf("close: %v", err)
	}
}

func (m *machine) restart(t *rapid.T) {
	if !m.restarts || rapid.IntRange(0, 9).Draw(t, "rare") > 0 {
		t.Skip("rare, and not for all")
	}
	m.stop(t)
	m.start(t)
}

// items returns the model's items of a namespace, in order.
func (m *machine) items(owner, ns string) []xdb.Item {
	var items []xdb.Item
	for p, it := range m.model {
		if p.owner == owner && p.ns == ns {
			items = append(items, it)
		}
	}
	slices.SortFunc(items, func(a, b xdb.Item) int { return cmp.Compare(a.Key, b.Key) })
	return items
}

func same(a, b xdb.Item) bool {
	return a.Key == b.Key && a.Rev == b.Rev && a.With == b.With && bytes.Equal(a.Value, b.Value)
}

// check compares what one owner has.
func (m *machine) check(t *rapid.T) {
	m.compare(t, rapid.SampledFrom(owners).Draw(t, "owner"))
}

func (m *machine) compare(t *rapid.T, owners ...string) {
	for _, owner := range owners {
		names := map[string]bool{}
		for _, ns := range spaces {
			got, err := m.GetAll(t.Context(), owner, ns)
			want := m.items(owner, ns)
			if err != nil || !slices.EqualFunc(got, want, same) {
				t.Fatalf("%q of %q: %v, %v, want %v", ns, owner, got, err, want)
			}
			if len(want) > 0 {
				names[ns] = true
			}
		}
		got, err := m.Namespaces(t.Context(), owner)
		if err != nil || !slices.Equal(got, slices.Sorted(maps.Keys(names))) {
			t.Fatalf("namespaces of %q: %q, %v, want %v", owner, got, err, names)
		}
	}
}

func (m *machine) change(t *rapid.T) {
	owner := rapid.SampledFrom(owners).Draw(t, "owner")
	var changes []xdb.Change
	used := map[place]bool{}
	conflict := false
	for range rapid.IntRange(1, 4).Draw(t, "n") {
		c := xdb.Change{
			Op: rapid.SampledFrom([]xdb.Op{xdb.Put, xdb.Put, xdb.Delete, xdb.Append}).Draw(t, "op"),
			NS: rapid.SampledFrom(spaces).Draw(t, "ns"), Key: rapid.SampledFrom(keys).Draw(t, "key"),
			With:  rapid.SampledFrom(people).Draw(t, "with"),
			Value: []byte(rapid.SampledFrom([]string{"", "1", "<a/>", strings.Repeat("long ", 4000)}).Draw(t, "value")),
		}
		p := place{owner, c.NS, c.Key}
		old, there := m.model[p]
		if used[p] {
			continue
		}
		used[p] = true
		if c.Check = rapid.Bool().Draw(t, "check"); c.Check {
			c.Was = old.Rev
			if rapid.IntRange(0, 9).Draw(t, "other") == 0 {
				c.Was += 5
				conflict = true
			}
		}
		if c.Op == xdb.Append && there && (c.With != old.With || !bytes.Equal(c.Value, old.Value)) {
			conflict = true
		}
		changes = append(changes, c)
	}
	err := m.Batch(t.Context(), owner, changes)
	if conflict != xdb.IsConflict(err) || !conflict && err != nil {
		t.Fatalf("got %v, want a conflict %v", err, conflict)
	}
	if err == nil {
		m.apply(t, owner, changes)
	}
}

func (m *machine) apply(t *rapid.T, owner string, changes []xdb.Change) {
	highest := m.rev
	for _, c := range changes {
		p := place{owner, c.NS, c.Key}
		old, there := m.model[p]
		switch {
		case c.Op == xdb.Delete:
			delete(m.model, p)
			continue
		case c.Op == xdb.Append && there:
			if c.Rev != old.Rev {
				t.Fatalf("%v: an item that was there has the revision %v, then %v", p, old.Rev, c.Rev)
			}
			continue
		case c.Rev <= m.rev:
			t.Fatalf("%v: revision %v after %v", p, c.Rev, m.rev)
		}
		highest = max(highest, c.Rev)
		m.model[p] = xdb.Item{Key: c.Key, Rev: c.Rev, With: c.With, Value: c.Value}
	}
	m.rev = highest
}

func (m *machine) append(t *rapid.T) {
	owner := rapid.SampledFrom(owners).Draw(t, "owner")
	changes := make([]xdb.Change, rapid.IntRange(1, 3).Draw(t, "n"))
	for i := range changes {
		changes[i] = xdb.Change{
			Op: xdb.Append, NS: rapid.SampledFrom(spaces).Draw(t, "ns"),
			With: rapid.SampledFrom(people).Draw(t, "with"), Value: fmt.Append(nil, i),
		}
	}
	if err := m.Batch(t.Context(), owner, changes); err != nil {
		t.Fatal(err)
	}
	m.apply(t, owner, changes)
}

func (m *machine) drop(t *rapid.T) {
	if rapid.IntRange(0, 3).Draw(t, "rare") > 0 {
		t.Skip("rare")
	}
	owner := rapid.SampledFrom(owners).Draw(t, "owner")
	ns := rapid.SampledFrom(append(spaces, "")).Draw(t, "ns")
	before := ""
	if ns != "" {
		before = m.anyKey(t, owner, ns)
	}
	if err := m.Drop(t.Context(), owner, ns, before); err != nil {
		t.Fatal(err)
	}
	for p := range m.model {
		if p.owner == owner && (ns == "" || p.ns == ns) && (before == "" || p.key < before) {
			delete(m.model, p)
		}
	}
}

// anyKey draws "", a key that is there, or one that may be.
func (m *machine) anyKey(t *rapid.T, owner, ns string) string {
	all := append([]string{"", "k"}, keys...)
	for _, it := range m.items(owner, ns) {
		all = append(all, it.Key)
	}
	return rapid.SampledFrom(all).Draw(t, "bound")
}

func (m *machine) query(t *rapid.T) {
	owner, ns := rapid.SampledFrom(owners).Draw(t, "owner"), rapid.SampledFrom(spaces).Draw(t, "ns")
	q := xdb.Query{
		With: rapid.SampledFrom(people).Draw(t, "with"), Max: rapid.IntRange(-1, 4).Draw(t, "max"),
		Reverse: rapid.Bool().Draw(t, "reverse"), Count: rapid.Bool().Draw(t, "count"),
		After: m.anyKey(t, owner, ns), Before: m.anyKey(t, owner, ns),
	}
	if bound := m.anyKey(t, owner, ns); rapid.Bool().Draw(t, "start") {
		if rev, err := xdb.ParseRev(bound); err == nil && rev > 0 {
			q.Start = rev.Time()
		}
	}
	got, err := m.Query(t.Context(), owner, ns, q)
	if want := m.answer(owner, ns, q); err != nil || got.More != want.More || got.Count != want.Count ||
		!slices.EqualFunc(got.Items, want.Items, same) {
		t.Fatalf("%+v: got %+v, %v, want %+v", q, got, err, want)
	}
}

// answer is the model's answer to a query.
func (m *machine) answer(owner, ns string, q xdb.Query) xdb.Page {
	want := xdb.Page{Count: -1}
	var hits []xdb.Item
	start := ""
	if !q.Start.IsZero() {
		start = xdb.At(q.Start).String()
	}
	count := 0
	for _, it := range m.items(owner, ns) {
		if q.With != "" && it.With != q.With && packet.Bare(it.With) != q.With || it.Key < start {
			continue
		}
		count++
		if it.Key > q.After && (q.Before == "" || it.Key < q.Before) {
			hits = append(hits, it)
		}
	}
	if q.Count {
		want.Count = count
	}
	limit := q.Max
	switch {
	case q.Max < 0:
		return want
	case q.Max == 0:
		limit = xdb.DefaultPage
	}
	if q.Reverse {
		slices.Reverse(hits)
	}
	want.More = len(hits) > limit
	want.Items = hits[:min(limit, len(hits))]
	return want
}
