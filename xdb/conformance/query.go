package conformance

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sdk/xdb"
)

func timeAhead() time.Time { return time.Now().Add(time.Minute) }

// describe puts a page into a form to compare: its keys, then what else it says.
func describe(p xdb.Page) string {
	var b strings.Builder
	for _, it := range p.Items {
		b.WriteString(it.Key)
	}
	if p.More {
		b.WriteString(" more")
	}
	if p.Count >= 0 {
		fmt.Fprintf(&b, " of %d", p.Count)
	}
	return b.String()
}

func queries(t *testing.T, s *store) {
	const room = "room@chat.example.org"
	for i, with := range []string{bob, bob + "/home", room + "/ann", room, "", bob, "bob@example.org.uk", "x" + bob, bob + "/home"} {
		c := []xdb.Change{{Op: xdb.Append, NS: "n", Key: string(rune('a' + i)), With: with, Value: []byte{byte('0' + i)}}}
		if err := s.Batch(t.Context(), ann, c); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name string
		q    xdb.Query
		want string
	}{
		{"all", xdb.Query{}, "abcdefghi"},
		{"all, counted", xdb.Query{Count: true}, "abcdefghi of 9"},
		{"all, from the end", xdb.Query{Reverse: true}, "ihgfedcba"},
		{"the first", xdb.Query{Max: 3}, "abc more"},
		{"just all", xdb.Query{Max: 9}, "abcdefghi"},
		{"the last", xdb.Query{Max: 3, Reverse: true, Count: true}, "ihg more of 9"},
		{"only the count", xdb.Query{Max: -1, Count: true}, " of 9"},
		{"after", xdb.Query{After: "c", Max: 3}, "def more"},
		{"after, to the end", xdb.Query{After: "f", Max: 3}, "ghi"},
		{"after what is not there", xdb.Query{After: "cc", Max: 2}, "de more"},
		{"after the last", xdb.Query{After: "i"}, ""},
		{"before", xdb.Query{Before: "d"}, "abc"},
		{"before, from the end", xdb.Query{Before: "d", Reverse: true, Max: 2}, "cb more"},
		{"before the first", xdb.Query{Before: "a"}, ""},
		{"between", xdb.Query{After: "b", Before: "e", Count: true}, "cd of 9"},
		{"between, the wrong way", xdb.Query{After: "e", Before: "b", Count: true}, " of 9"},
		{"with a bare address", xdb.Query{With: bob, Count: true}, "abfi of 4"},
		{"with a full address", xdb.Query{With: bob + "/home", Count: true}, "bi of 2"},
		{"with, a page", xdb.Query{With: bob, Max: 2, After: "a", Count: true}, "bf more of 4"},
		{"with, a page from the end", xdb.Query{With: bob, Max: 2, Before: "i", Reverse: true, Count: true}, "fb more of 4"},
		{"with, just all", xdb.Query{With: bob, Max: 4}, "abfi"},
		{"with a room", xdb.Query{With: room}, "cd"},
		{"with an occupant", xdb.Query{With: room + "/ann"}, "c"},
		{"with nobody", xdb.Query{With: "carl@example.org", Count: true}, " of 0"},
		{"more than there may be", xdb.Query{Max: 1 << 30}, "abcdefghi"},
	} {
		page, err := s.Query(t.Context(), ann, "n", c.q)
		if got := describe(page); err != nil || got != c.want {
			t.Errorf("%s: got %q, %v, want %q", c.name, got, err, c.want)
		}
		for _, it := range page.Items {
			if want := string(rune(it.Key[0] - 'a' + '0')); string(it.Value) != want || it.Rev == 0 {
				t.Errorf("%s: item %+v", c.name, it)
			}
		}
	}
	for _, it := range must(s.Keys(t.Context(), ann, "n", xdb.Query{}))(t).Items {
		if len(it.Value) > 0 || it.Rev == 0 {
			t.Errorf("the list has %+v", it)
		}
	}
}

func pages(t *testing.T, s *store) {
	var keys []string
	for i := range 53 {
		keys = append(keys, fmt.Sprintf("%03d", i*7%53))
		s.put(t, ann, "n", keys[i], "v")
	}
	slices.Sort(keys)
	for _, reverse := range []bool{false, true} {
		for _, size := range []int{1, 7, 52, 53, 54} {
			var got []string
			q := xdb.Query{Max: size, Reverse: reverse}
			for more := true; more; {
				page := must(s.Query(t.Context(), ann, "n", q))(t)
				for _, it := range page.Items {
					got = append(got, it.Key)
				}
				if more = page.More; more && len(page.Items) != size {
					t.Fatalf("%d items in a page of %d that is not the last", len(page.Items), size)
				}
				if last := got[len(got)-1]; reverse {
					q.Before = last
				} else {
					q.After = last
				}
			}
			if reverse {
				slices.Reverse(got)
			}
			if !slices.Equal(got, keys) {
				t.Errorf("pages of %d, reverse %v: %v", size, reverse, got)
			}
		}
	}
}

func pageBytes(t *testing.T, s *store) {
	value := bytes.Repeat([]byte("x"), 300<<10)
	for i := range 12 {
		must(s.Put(t.Context(), ann, "n", fmt.Sprintf("%02d", i), value))(t)
	}
	seen, after := 0, ""
	for {
		page := must(s.Query(t.Context(), ann, "n", xdb.Query{After: after}))(t)
		if size := len(page.Items) * len(value); size > xdb.MaxBody || size == 0 {
			t.Fatalf("a page of %d bytes", size)
		}
		seen += len(page.Items)
		after = page.Items[len(page.Items)-1].Key
		if !page.More {
			break
		}
	}
	if seen != 12 {
		t.Errorf("saw %d items of 12", seen)
	}
}

func times(t *testing.T, s *store) {
	day := func(n int) time.Time { return time.Date(2026, 5, n, 12, 0, 0, 0, time.UTC) }
	first := xdb.At(day(1))
	var changes []xdb.Change
	for n := 1; n <= 9; n++ {
		changes = append(changes, xdb.Change{Op: xdb.Append, NS: "n", Key: xdb.At(day(n)).String()})
	}
	for i := range changes { // so that they may be in the future of this machine's clock
		changes[i].Copy, changes[i].Rev = true, first+xdb.Rev(i)
	}
	if err := s.backend.Change(t.Context(), ann, changes); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		q    xdb.Query
		want string
	}{
		{"from", xdb.Query{Start: day(7)}, "789"},
		{"until", xdb.Query{End: day(3), Count: true}, "123 of 3"},
		{"just after and before", xdb.Query{Start: day(3).Add(1), End: day(7).Add(-1)}, "456"},
		{"a page of the range", xdb.Query{Start: day(3), End: day(7), Max: 2, Count: true}, "34 more of 5"},
		{"the next", xdb.Query{Start: day(3), End: day(7), After: xdb.At(day(4)).String(), Max: 2, Count: true}, "56 more of 5"},
		{"the last of the range", xdb.Query{Start: day(3), End: day(7), Max: 2, Reverse: true, Count: true}, "76 more of 5"},
		{"nothing", xdb.Query{Start: day(3).Add(1), End: day(4).Add(-1)}, ""},
		{"before the epoch", xdb.Query{End: time.Unix(-5, 0)}, ""},
		{"since before the epoch", xdb.Query{Start: time.Unix(-5, 0), End: day(1)}, "1"},
	} {
		page, err := s.Query(t.Context(), ann, "n", c.q)
		for i := range page.Items {
			rev, _ := xdb.ParseRev(page.Items[i].Key)
			page.Items[i].Key = fmt.Sprint(rev.Time().Day())
		}
		if got := describe(page); err != nil || got != c.want {
			t.Errorf("%s: got %q, %v, want %q", c.name, got, err, c.want)
		}
	}
}

func drops(t *testing.T, s *store) {
	ctx := t.Context()
	fill := func() {
		for _, owner := range []string{ann, bob, ann + "/home", "example.org"} {
			for _, ns := range []string{"a", "aa", "b"} {
				for _, key := range []string{"1", "2", "3"} {
					s.put(t, owner, ns, key, key)
				}
			}
		}
	}
	whole := func(owner string) string {
		var all []string
		for _, ns := range []string{"a", "aa", "b"} {
			all = append(all, describe(must(s.Query(ctx, owner, ns, xdb.Query{With: "", Max: 10}))(t)))
		}
		return strings.Join(all, " ")
	}
	for _, c := range []struct{ ns, before, want string }{
		{"a", "", " 123 123"},
		{"a", "2", "23 123 123"},
		{"a", "9", " 123 123"},
		{"a", "0", "123 123 123"},
		{"aa", "", "123  123"},
		{"", "", "  "},
	} {
		fill()
		if err := s.Drop(ctx, ann, c.ns, c.before); err != nil {
			t.Fatal(err)
		}
		if got := whole(ann); got != c.want {
			t.Errorf("drop of %q before %q leaves %q, want %q", c.ns, c.before, got, c.want)
		}
		for _, other := range []string{bob, ann + "/home", "example.org"} {
			if got := whole(other); got != "123 123 123" {
				t.Errorf("drop of %q before %q leaves %q of %s", c.ns, c.before, got, other)
			}
		}
	}
	for _, ns := range []string{"a", "aa", "b"} { // with is gone too
		page := must(s.Query(ctx, ann, ns, xdb.Query{With: bob, Count: true}))(t)
		if got := describe(page); got != " of 0" {
			t.Errorf("left in %s are %s", ns, got)
		}
	}
}

func lists(t *testing.T, s *store) {
	ctx := t.Context()
	for i := range 25 {
		owner := fmt.Sprintf("u%02d@example.org", i)
		s.put(t, owner, "auth", "scram", "x")
		if i%5 == 0 {
			s.put(t, owner, "roster", "bob", "x")
			s.put(t, owner, "urn:x", "bob", "x")
		}
	}
	for _, owner := range []string{
		"example.org", "example.org/a", "example.org/@x", "example.org@example.org", "example.org!@example.org",
		"!@example.org", "u05!@example.org", "u05@example.org/home", "ü@example.org", "zz@example.org", strings.Repeat("e", 300) + "@example.org",
	} {
		s.put(t, owner, "settings", "k", "x")
	}
	s.put(t, "ann@example.org.uk", "auth", "k", "x")
	s.put(t, "", "auth", "k", "x")
	if got := strings.Join(must(s.Namespaces(ctx, "u05@example.org"))(t), " "); got != "auth roster urn:x" {
		t.Errorf("namespaces are %s", got)
	}
	for _, c := range []struct {
		domain, ns string
		size       int
		want       int
	}{
		{"example.org", "auth", 7, 25}, {"example.org", "auth", 25, 25}, {"example.org", "roster", 2, 5},
		{"example.org", "", 4, 36}, {"example.org", "", 1, 36}, {"example.org", "settings", 3, 11}, {"example.org.uk", "", 9, 1}, {"", "", 9, 0}, {"org", "", 9, 0}, {"example.org", "none", 9, 0},
	} {
		seen, after := map[string]bool{}, ""
		for more := true; more; {
			owners, m, err := s.Owners(ctx, c.domain, c.ns, after, c.size)
			if err != nil || len(owners) > c.size || m && len(owners) != c.size {
				t.Fatalf("%q in %q: %d owners of %d, %v, %v", c.ns, c.domain, len(owners), c.size, m, err)
			}
			more = m
			for _, owner := range owners {
				if owner <= after || packet.Domain(owner) != c.domain {
					t.Errorf("%q in %q: %s is wrong, or comes after %s", c.ns, c.domain, owner, after)
				}
				seen[owner], after = true, owner
			}
		}
		if len(seen) != c.want {
			t.Errorf("%q in %q: %d owners, want %d: %q", c.ns, c.domain, len(seen), c.want, slices.Sorted(maps.Keys(seen)))
		}
	}
	// The one to come after need not be there.
	for after, want := range map[string]string{"": "!@example.org", "example.org": "example.org!@example.org", "example.org/b": "example.org@example.org", "u": "u00@example.org", "u05@example.org/a": "u05@example.org/home", "zzz": "ü@example.org"} {
		if owners, _, err := s.Owners(ctx, "example.org", "", after, 1); err != nil || len(owners) != 1 || owners[0] != want {
			t.Errorf("after %q comes %q, %v, want %s", after, owners, err, want)
		}
	}
}

func refusals(t *testing.T, s *store) {
	s.put(t, ann, "n", "k", "v")
	long := strings.Repeat("x", xdb.MaxKey+1)
	for _, c := range []struct{ what, name, kind, owner, ns, body string }{
		{"wrong type", "get", "set", ann, "n", "<item key='k'/>"},
		{"wrong type", "put", "get", ann, "n", "<put key='k'/>"},
		{"no namespace", "get", "get", ann, "", "<item key='k'/>"},
		{"no namespace", "put", "set", ann, "", "<put key='k'/>"},
		{"no namespace", "batch", "set", ann, "", "<put key='k'/>"},
		{"no namespace", "drop", "set", ann, "", "<drop before='k'/>"},
		{"no key", "get", "get", ann, "n", "<item/>"},
		{"no key", "put", "set", ann, "n", "<put/>"},
		{"no key", "delete", "set", ann, "n", "<delete/>"},
		{"no change", "put", "set", ann, "n", ""},
		{"other element", "put", "set", ann, "n", "<item key='k'/>"},
		{"other element", "get", "get", ann, "n", "<put key='k'/>"},
		{"other namespace of the element", "put", "set", ann, "n", "<put xmlns='urn:x' key='k'/>"},
		{"a namespace where there is none", "put", "set", ann, "n", "<put ns='m' key='k'/>"},
		{"a key twice", "batch", "set", ann, "n", "<put key='k'/><delete key='k'/>"},
		{"not well-formed", "put", "set", ann, "n", "<put key='k'><a></put>"},
		{"a prefix from nowhere", "put", "set", ann, "n", "<put key='k'><x:a/></put>"},
		{"a comment", "put", "set", ann, "n", "<put key='k'><!-- --></put>"},
		{"no revision", "cas", "set", ann, "n", "<put key='k' was='yesterday'/>"},
		{"a key too long", "put", "set", ann, "n", "<put key='" + long + "'/>"},
		{"a namespace too long", "get", "get", ann, long, "<item key='k'/>"},
		{"an owner too long", "get", "get", long, "n", "<item key='k'/>"},
		{"an address too long", "put", "set", ann, "n", "<put key='k' with='" + long + "'/>"},
		{"a control character", "get", "get", ann, "n", "<item key='a&#x9;'/>"},
		{"a control character", "get", "get", ann, "n\x00", "<item key='a'/>"},
		{"not UTF-8", "get", "get", ann, "n\xff", "<item key='a'/>"},
		{"no number", "query", "get", ann, "n", "<query max='many'/>"},
		{"less than nothing", "query", "get", ann, "n", "<query max='-1'/>"},
		{"no time", "query", "get", ann, "n", "<query start='noon'/>"},
		{"appended in the future", "append", "set", ann, "n", "<append key='" + xdb.At(time.Now().Add(48*time.Hour)).String() + "'/>"},
	} {
		_, err := s.Ask(t.Context(), &packet.Packet{
			Kind: packet.XDB, To: c.owner, From: "tester", Name: c.name, Type: c.kind, NS: c.ns, Body: []byte(c.body),
		})
		if condition(err) != "bad-request" {
			t.Errorf("%s (%s): got %v, want bad-request", c.what, c.name, err)
		}
	}
	if _, err := s.Put(t.Context(), ann, "n", "k", []byte("</put><put key='x'>")); condition(err) != "bad-request" {
		t.Errorf("a value that ends its element: %v", err)
	}
	p := &packet.Packet{Kind: packet.XDB, To: ann, Name: "verify", Type: "get", NS: "auth"}
	if _, err := s.Ask(t.Context(), p); condition(err) != "service-unavailable" {
		t.Errorf("an operation that stores don't know is not passed: %v", err)
	}
	if got := list(must(s.GetAll(t.Context(), ann, "n"))(t)); got != "k=v" {
		t.Errorf("left is %s", got)
	}
}
