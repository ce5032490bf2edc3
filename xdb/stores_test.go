package main_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sdk/sdktest"
	"github.com/jabberii/server/plugins/sdk/xdb"
	"github.com/jabberii/server/xdb/conformance"
	"github.com/jabberii/server/xdb/memory"
)

// several is a domain whose namespaces are in three stores: the first and the
// second have some of their own, the third has copies of all and the rest.
func several() sdktest.Plan {
	return sdktest.Plan{Modules: modules, Sections: []module.Section{
		sdktest.Section("accounts", packet.XDB, sdktest.Host("*"),
			sdktest.Block("filter", `{"namespaces":["auth"]}`), sdktest.Block("file", `{"path":"accounts","durability":"process"}`)),
		sdktest.Section("archive", packet.XDB, sdktest.Host("*"),
			sdktest.Block("filter", `{"namespaces":["urn:xmpp:*"]}`), sdktest.Block("cache", `{}`),
			sdktest.Block("badger", `{"path":"archive","durability":"process"}`)),
		sdktest.Section("rest", packet.XDB, sdktest.Host("*"), sdktest.Block("memory", `{}`)),
	}}
}

var namespaces = []string{"auth", "urn:xmpp:mam:2", "urn:xmpp:bookmarks:1", "roster", "offline"}

// TestSeveralAreAsOne: what several stores have between them is told as one
// store that had it all would tell it, in its order and a page at a time.
func TestSeveralAreAsOne(t *testing.T) {
	h := sdktest.New(t, several(), false)
	run := 0
	rapid.Check(t, func(rt *rapid.T) {
		run++ // a domain of its own
		a := &alike{t: t, domain: fmt.Sprintf("d%d.example.org", run), stores: xdb.New(h.Env(), "tester@example.org"),
			one: conformance.NewStore(memory.Open(64 << 20))}
		rt.Repeat(map[string]func(*rapid.T){"put": a.put, "put 2": a.put, "delete": a.delete, "drop": a.drop, "compare": a.compare})
		a.compare(rt)
	})
}

type alike struct {
	t           *testing.T
	domain      string
	stores, one *xdb.Store
}

func (a *alike) owner(t *rapid.T) string {
	return rapid.SampledFrom([]string{"ann@", "bob@", "bob!@", "zoe@", "", "carl@", "dora@"}).Draw(t, "owner") + a.domain +
		rapid.SampledFrom([]string{"", "", "", "/home"}).Draw(t, "resource")
}

func (a *alike) both(t *rapid.T, do func(*xdb.Store) error) {
	for _, s := range []*xdb.Store{a.stores, a.one} {
		if err := do(s); err != nil {
			t.Fatal(err)
		}
	}
}

func (a *alike) put(t *rapid.T) {
	owner, ns := a.owner(t), rapid.SampledFrom(namespaces).Draw(t, "ns")
	a.both(t, func(s *xdb.Store) error {
		_, err := s.Put(a.t.Context(), owner, ns, "k", nil)
		return err
	})
}

func (a *alike) delete(t *rapid.T) {
	owner, ns := a.owner(t), rapid.SampledFrom(namespaces).Draw(t, "ns")
	a.both(t, func(s *xdb.Store) error { return s.Delete(a.t.Context(), owner, ns, "k") })
}

func (a *alike) drop(t *rapid.T) {
	owner, ns := a.owner(t), rapid.SampledFrom(append(namespaces, "", "")).Draw(t, "ns")
	a.both(t, func(s *xdb.Store) error { return s.Drop(a.t.Context(), owner, ns, "") })
}

func (a *alike) compare(t *rapid.T) {
	ns := rapid.SampledFrom(append(namespaces, "", "")).Draw(t, "ns")
	size := rapid.IntRange(1, 5).Draw(t, "size")
	all := a.pages(t, a.one, ns, size)
	if got := a.pages(t, a.stores, ns, size); !slices.Equal(got, all) {
		t.Fatalf("owners in %q, %d a page: %q, want %q", ns, size, got, all)
	}
	for _, page := range all {
		for owner := range strings.FieldsSeq(page) {
			a.both(t, func(s *xdb.Store) error {
				names, err := s.Namespaces(a.t.Context(), owner)
				want, wantErr := a.one.Namespaces(a.t.Context(), owner)
				if err != nil || wantErr != nil || !slices.Equal(names, want) {
					t.Fatalf("namespaces of %s: %q, %v, want %q", owner, names, err, want)
				}
				return nil
			})
		}
	}
}

// pages are the pages of owners, each in a string.
func (a *alike) pages(t *rapid.T, s *xdb.Store, ns string, size int) (pages []string) {
	after := ""
	for more := true; more; {
		var owners []string
		var err error
		if owners, more, err = s.Owners(a.t.Context(), a.domain, ns, after, size); err != nil {
			t.Fatal(err)
		}
		if len(owners) > 0 {
			after = owners[len(owners)-1]
		}
		pages = append(pages, fmt.Sprint(strings.Join(owners, " "), " ", more))
		if len(pages) > 100 {
			t.Fatalf("no end of pages: %q", pages)
		}
	}
	return pages
}

// TestRemovalReachesAllStores: what an owner has is gone from every store, also
// from those that had only copies.
func TestRemovalReachesAllStores(t *testing.T) {
	sdktest.Both(t, several(), func(t *testing.T, h *sdktest.Harness) {
		store := xdb.New(h.Env(), "tester@example.org")
		for _, ns := range namespaces {
			if _, err := store.Put(t.Context(), ann, ns, "k", []byte("<v/>")); err != nil {
				t.Fatal(err)
			}
		}
		if got := stored(t, h, "rest"); len(got) != len(namespaces) {
			t.Errorf("the last store has copies of %q", got)
		}
		if err := store.Drop(t.Context(), ann, "", ""); err != nil {
			t.Fatal(err)
		}
		for _, section := range []string{"accounts", "archive", "rest"} {
			if got := stored(t, h, section); len(got) > 0 {
				t.Errorf("%s still has %q", section, got)
			}
		}
	})
}

// in is the store of one section.
func in(h *sdktest.Harness, section string) *xdb.Store {
	return xdb.New(oneSection{h, section}, "tester@example.org")
}

func stored(t *testing.T, h *sdktest.Harness, section string) []string {
	t.Helper()
	names, err := in(h, section).Namespaces(t.Context(), ann)
	if err != nil {
		t.Fatal(err)
	}
	return names
}

type oneSection struct {
	*sdktest.Harness
	section string
}

func (o oneSection) Ask(_ context.Context, q *packet.Packet) (*packet.Packet, error) {
	q.Section = o.section
	return o.Harness.Ask(q)
}
