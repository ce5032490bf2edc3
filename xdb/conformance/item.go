package conformance

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/jabberii/server/plugins/sdk/xdb"
)

const (
	ann = "ann@example.org"
	bob = "bob@example.org"
)

// must returns v where err was not expected.
func must[V any](v V, err error) func(*testing.T) V {
	return func(t *testing.T) V {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func (s *store) put(t *testing.T, owner, ns, key, value string) xdb.Rev {
	t.Helper()
	return must(s.Put(t.Context(), owner, ns, key, []byte(value)))(t)
}

// value returns an item in a form to compare: its value, "-" without one.
func (s *store) value(t *testing.T, owner, ns, key string) string {
	t.Helper()
	it, found, err := s.Get(t.Context(), owner, ns, key)
	if err != nil {
		t.Fatal(err)
	}
	if !found {
		return "-"
	}
	return string(it.Value)
}

func (s *store) want(t *testing.T, owner, ns, key, value string) {
	t.Helper()
	if got := s.value(t, owner, ns, key); got != value {
		t.Errorf("%q of %q in %q is %.60q, want %.60q", key, owner, ns, got, value)
	}
}

// list returns items in a form to compare: "a=1 b=2".
func list(items []xdb.Item) string {
	parts := make([]string, len(items))
	for i, it := range items {
		parts[i] = it.Key + "=" + string(it.Value)
	}
	return strings.Join(parts, " ")
}

func nothing(t *testing.T, s *store) {
	ctx := t.Context()
	s.want(t, ann, "roster", "bob", "-")
	if items := must(s.GetAll(ctx, ann, "roster"))(t); len(items) != 0 {
		t.Errorf("got %v", items)
	}
	page := must(s.Query(ctx, ann, "roster", xdb.Query{Count: true}))(t)
	if len(page.Items) != 0 || page.More || page.Count != 0 {
		t.Errorf("got %+v", page)
	}
	if names := must(s.Namespaces(ctx, ann))(t); len(names) != 0 {
		t.Errorf("got %v", names)
	}
	if err := s.Delete(ctx, ann, "roster", "bob"); err != nil {
		t.Error(err)
	}
	if err := s.Drop(ctx, ann, "", ""); err != nil {
		t.Error(err)
	}
	if owners, more, err := s.Owners(ctx, "example.org", "", "", 10); err != nil || more || len(owners) != 0 {
		t.Errorf("got %v, %v, %v", owners, more, err)
	}
}

func putGetDelete(t *testing.T, s *store) {
	rev := s.put(t, ann, "roster", "bob", "<a/>")
	it, found, err := s.Get(t.Context(), ann, "roster", "bob")
	if err != nil || !found || it.Rev != rev || it.Key != "bob" || string(it.Value) != "<a/>" || it.With != "" {
		t.Errorf("got %+v, %v, %v; put with %v", it, found, err, rev)
	}
	s.put(t, ann, "roster", "bob", "<b/>")
	s.want(t, ann, "roster", "bob", "<b/>")
	s.put(t, ann, "roster", "bob", "")
	s.want(t, ann, "roster", "bob", "")
	if err := s.Delete(t.Context(), ann, "roster", "bob"); err != nil {
		t.Fatal(err)
	}
	s.want(t, ann, "roster", "bob", "-")
}

func revisionsGrow(t *testing.T, s *store) {
	seen := xdb.Rev(0)
	for i := range 200 {
		rev := s.put(t, ann, "roster", "bob", fmt.Sprint(i))
		if rev <= seen {
			t.Fatalf("revision %v after %v", rev, seen)
		}
		seen = rev
		if i%3 == 0 {
			if err := s.Delete(t.Context(), ann, "roster", "bob"); err != nil {
				t.Fatal(err)
			}
		}
		if i%50 == 0 {
			if err := s.Drop(t.Context(), ann, "", ""); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func severalKeys(t *testing.T, s *store) {
	for i, key := range []string{"c", "a", "d", "b"} {
		s.put(t, ann, "n", key, fmt.Sprint(i))
	}
	if got := list(must(s.GetAll(t.Context(), ann, "n"))(t)); got != "a=1 b=3 c=0 d=2" {
		t.Errorf("all are %s", got)
	}
	if got := list(must(s.GetAll(t.Context(), ann, "n", "d", "x", "a", "d"))(t)); got != "d=2 a=1 d=2" {
		t.Errorf("those asked for are %s", got)
	}
}

func apart(t *testing.T, s *store) {
	places := [][3]string{
		{"", "n", "k"}, {"example.org", "n", "k"}, {ann, "n", "k"}, {ann + "/home", "n", "k"}, {"ann@example.org.uk", "n", "k"},
		{"nn@example.org", "n", "k"}, {"annn@example.org", "n", "k"}, {ann, "nk", "k"}, {ann, "n", "kk"}, {ann, "nn", "k"},
		{ann, "N", "k"}, {ann, "n", "K"}, {"ann@sub.example.org", "n", "k"}, {"example.org/n", "n", "k"}, {ann, "n n", "k k"},
	}
	for i, p := range places {
		s.put(t, p[0], p[1], p[2], fmt.Sprint(i))
	}
	for i, p := range places {
		s.want(t, p[0], p[1], p[2], fmt.Sprint(i))
	}
	for i, p := range places {
		if err := s.Delete(t.Context(), p[0], p[1], p[2]); err != nil {
			t.Fatal(err)
		}
		for j, q := range places[i+1:] {
			s.want(t, q[0], q[1], q[2], fmt.Sprint(i+1+j))
		}
	}
}

func compareAndSet(t *testing.T, s *store) {
	ctx := t.Context()
	refused := func(what string, err error) {
		t.Helper()
		if !xdb.IsConflict(err) {
			t.Errorf("%s: got %v, want a conflict", what, err)
		}
	}
	_, err := s.CompareAndSet(ctx, ann, "n", "k", 7, []byte("x"))
	refused("what is not there", err)
	s.want(t, ann, "n", "k", "-")
	first := must(s.CompareAndSet(ctx, ann, "n", "k", 0, []byte("1")))(t)
	_, err = s.CompareAndSet(ctx, ann, "n", "k", 0, []byte("x"))
	refused("creation of what is there", err)
	second := must(s.CompareAndSet(ctx, ann, "n", "k", first, []byte("2")))(t)
	_, err = s.CompareAndSet(ctx, ann, "n", "k", first, []byte("x"))
	refused("an old revision", err)
	s.want(t, ann, "n", "k", "2")

	refused("delete of an old revision", s.Batch(ctx, ann, []xdb.Change{{Op: xdb.Delete, NS: "n", Key: "k", Check: true, Was: first}}))
	s.want(t, ann, "n", "k", "2")
	if err := s.Batch(ctx, ann, []xdb.Change{{Op: xdb.Delete, NS: "n", Key: "k", Check: true, Was: second}}); err != nil {
		t.Error(err)
	}
	_, err = s.CompareAndSet(ctx, ann, "n", "k", second, []byte("x"))
	refused("the revision before the delete", err)
	s.want(t, ann, "n", "k", "-")
}

func appends(t *testing.T, s *store) {
	ctx, last := t.Context(), ""
	for i := range 100 {
		key := must(s.Append(ctx, ann, "offline", bob, fmt.Appendf(nil, "<m>%d</m>", i)))(t)
		if key <= last {
			t.Fatalf("key %q after %q", key, last)
		}
		last = key
	}
	page := must(s.Query(ctx, ann, "offline", xdb.Query{}))(t)
	for i, it := range page.Items {
		if want := fmt.Sprintf("<m>%d</m>", i); string(it.Value) != want || it.With != bob {
			t.Fatalf("item %d is %+v, want %s", i, it, want)
		}
	}
	if len(page.Items) != 100 || page.More || page.Count != -1 {
		t.Errorf("got %d items, more %v, count %d", len(page.Items), page.More, page.Count)
	}
	rev := s.put(t, ann, "offline", last, "<gone/>")
	if it, _, err := s.Get(ctx, ann, "offline", last); err != nil || it.Rev != rev || string(it.Value) != "<gone/>" {
		t.Errorf("what replaced an appended item is %+v, %v", it, err)
	}
}

func givenKeys(t *testing.T, s *store) {
	ctx := t.Context()
	add := func(key, value string) error {
		return s.Batch(ctx, ann, []xdb.Change{{Op: xdb.Append, NS: "archive", Key: key, With: bob, Value: []byte(value)}})
	}
	for _, key := range []string{"0b", "0d", "0a", "0c"} {
		if err := add(key, key); err != nil {
			t.Fatal(err)
		}
	}
	if err := add("0c", "0c"); err != nil {
		t.Errorf("the same again: %v", err)
	}
	if err := add("0c", "other"); !xdb.IsConflict(err) {
		t.Errorf("another under the same key: %v, want a conflict", err)
	}
	if got := list(must(s.GetAll(ctx, ann, "archive"))(t)); got != "0a=0a 0b=0b 0c=0c 0d=0d" {
		t.Errorf("got %s", got)
	}
	// The keys that the store gives go on after those that it was given.
	last := must(s.Append(ctx, ann, "archive", bob, nil))(t)
	rev, err := xdb.ParseRev(last)
	if err != nil {
		t.Fatal(err)
	}
	ahead := (rev + 60e9).String()
	if err := add(ahead, "x"); err != nil {
		t.Fatal(err)
	}
	if key := must(s.Append(ctx, ann, "archive", bob, nil))(t); key <= ahead {
		t.Errorf("key %s after %s", key, ahead)
	}
}

func values(t *testing.T, s *store) {
	for i, value := range []string{
		"text", " \n\t<a>\n</a> ", "&lt;&amp;&#x20AC;", "<![CDATA[<&>]]>", "<a xmlns='urn:x' b=\"'\">ü€𐍈</a>tail<b/>",
		"<x:a xmlns:x='urn:x' x:b='&quot;'/>", "]]&gt;", strings.Repeat("<a>", 100) + strings.Repeat("</a>", 100),
		"<item key='k'/><done key='k' rev='0'/><page/>", "<put key='a'>x</put>", "line\nline\n",
	} {
		key := fmt.Sprint(i)
		s.put(t, ann, "values", key, value)
		s.want(t, ann, "values", key, value)
	}
}

// oddNames are hard on those who make file names, keys or XML of them.
var oddNames = []string{
	".", "..", "../..", "a/b", "/", "a\\b", "%", "%2e", "%2E", ".hidden", "-", "*", "?", "a:b", "CON", "x.xml", "x.xml~",
	"<&'\">", "]]>", "ü", "u\u0308", "ß", "€", "𐍈", "日本語", "A", "a", " ", "  ", "a ", " a", "http://jabber.org/protocol/pubsub#event",
	"bob@example.org/Tür zu", "0", "true", "null", "tmp", "lock", "batch",
}

func names(t *testing.T, s *store) {
	odd := append([]string{strings.Repeat("k", xdb.MaxNS), strings.Repeat("日", xdb.MaxNS/3), strings.Repeat("k", xdb.MaxNS-1) + "j"}, oddNames...)
	for i, name := range odd {
		owner := name + "@example.org"
		s.put(t, ann, name, "k", fmt.Sprint("ns", i))
		s.put(t, ann, "n", name, fmt.Sprint("key", i))
		s.put(t, owner, "n", "k", fmt.Sprint("owner", i))
	}
	long := strings.Repeat("x", xdb.MaxKey)
	s.put(t, ann, "n", long, "long")
	s.want(t, ann, "n", long, "long")
	for i, name := range odd {
		s.want(t, ann, name, "k", fmt.Sprint("ns", i))
		s.want(t, ann, "n", name, fmt.Sprint("key", i))
		s.want(t, name+"@example.org", "n", "k", fmt.Sprint("owner", i))
	}
	if got := must(s.Namespaces(t.Context(), ann))(t); len(got) != len(odd)+1 {
		t.Errorf("%d namespaces, want %d: %q", len(got), len(odd)+1, got)
	}
	for _, name := range odd {
		if err := s.Drop(t.Context(), ann, name, ""); err != nil {
			t.Fatal(err)
		}
	}
	if got := must(s.Namespaces(t.Context(), ann))(t); len(got) != 1 || got[0] != "n" {
		t.Errorf("left are %q", got)
	}
}

func largeValues(t *testing.T, s *store) {
	value := bytes.Repeat([]byte("0123456789abcdef"), xdb.MaxValue/16)
	for _, key := range []string{"a", "b", "c"} {
		must(s.Put(t.Context(), ann, "large", key, value))(t)
	}
	for _, key := range []string{"a", "b", "c"} {
		it, _, err := s.Get(t.Context(), ann, "large", key)
		if err != nil || !bytes.Equal(it.Value, value) {
			t.Errorf("%s has %d bytes, %v", key, len(it.Value), err)
		}
	}
	if _, err := s.Put(t.Context(), ann, "large", "d", append(value, 'x')); condition(err) != "resource-constraint" {
		t.Errorf("a value beyond the limit: %v", err)
	}
	if _, err := s.GetAll(t.Context(), ann, "large"); condition(err) != "resource-constraint" {
		t.Errorf("a namespace beyond the limit: %v", err)
	}
	must(s.Put(t.Context(), ann, "large", "a", nil))(t)
	s.want(t, ann, "large", "a", "")
}

// atLimits has everything as long as it may be, at once.
func atLimits(t *testing.T, s *store) {
	fill := func(n int, rest string) string { return strings.Repeat("x", n-len(rest)) + rest }
	owner, ns := fill(xdb.MaxOwner, "@example.org"), fill(xdb.MaxNS, "")
	value := bytes.Repeat([]byte("0123456789abcdef"), xdb.MaxValue/16)
	var changes []xdb.Change
	for i := range 2 {
		changes = append(changes, xdb.Change{NS: ns, Key: fill(xdb.MaxKey, fmt.Sprint(i)), With: fill(xdb.MaxOwner, fmt.Sprint("@example.org/", i)), Value: value})
	}
	for i := range changes { // a question has room for one of them
		if err := s.Batch(t.Context(), owner, changes[i:i+1]); err != nil {
			t.Fatal(err)
		}
	}
	for i := range changes {
		c := &changes[i]
		it, found, err := s.Get(t.Context(), owner, ns, c.Key)
		if err != nil || !found || it.Rev != c.Rev || it.With != c.With || !bytes.Equal(it.Value, value) {
			t.Errorf("item %d: %v, %v, %v, %d bytes, %v", i, found, it.Rev, it.With == c.With, len(it.Value), err)
		}
		page, err := s.Query(t.Context(), owner, ns, xdb.Query{With: c.With, NoValue: true})
		if err != nil || len(page.Items) != 1 || page.Items[0].Key != c.Key {
			t.Errorf("item %d: found %d by its address, %v", i, len(page.Items), err)
		}
	}
	if owners, _, err := s.Owners(t.Context(), "example.org", ns, "", 9); err != nil || len(owners) != 1 || owners[0] != owner {
		t.Errorf("%d owners, %v", len(owners), err)
	}
	// Small items with long names are no reason to refuse a full transaction.
	changes = nil
	for i := range xdb.MaxBody/(xdb.MaxKey+64) - 1 {
		changes = append(changes, xdb.Change{NS: "n", Key: fill(xdb.MaxKey, fmt.Sprintf("%04d", i))})
	}
	if err := s.Batch(t.Context(), ann, changes); err != nil {
		t.Errorf("%d items with long keys: %v", len(changes), err)
	}
	if err := s.Drop(t.Context(), owner, "", ""); err != nil {
		t.Error(err)
	}
	if names, err := s.Namespaces(t.Context(), owner); err != nil || len(names) > 0 {
		t.Errorf("%d namespaces are left, %v", len(names), err)
	}
}

func givenUp(t *testing.T, s *store) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Put(ctx, ann, "n", "k", nil); err == nil {
		t.Error("a change that nobody waits for was made")
	}
	s.want(t, ann, "n", "k", "-")
}
