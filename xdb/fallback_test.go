package main_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sdk/sdktest"
	"github.com/jabberii/server/plugins/sdk/xdb"
)

const (
	vcards = "vcard-temp"
	bob    = "bob@example.org"
	carl   = "carl@example.org"
)

// directory is a store as LDAP is one: it knows the vCards of some, cannot be
// written to, and is away when it is asked about carl.
func directory() module.Module {
	return module.Define("directory", "Knows the vCards of some.", module.On(packet.XDB), func(env module.Env, _ struct{}) (packet.Handler, error) {
		return packet.HandlerFunc(func(ctx context.Context, p *packet.Packet) (packet.Verdict, error) {
			switch {
			case p.Type != "get" || p.NS != vcards && p.NS != "":
				return packet.Pass, nil
			case p.To == carl:
				return packet.Pass, packet.Refuse("remote-server-timeout", "the directory is away")
			}
			a := packet.Packet{Type: "result"}
			switch {
			case p.Name == "owners":
				a.Body = []byte("<owner jid='" + ann + "'/><page/>")
			case p.To == ann && p.NS == "":
				a.Body = []byte("<namespace name='" + vcards + "'/>")
			case p.To == ann:
				a.Body = []byte("<item key='vcard' rev='0000000000001'>of the directory</item>")
			}
			if p.NS != "" && (p.Name == "query" || p.Name == "list") {
				a.Body = append(a.Body, "<page/>"...)
				if strings.Contains(string(p.Body), "count='true'") && p.To != ann {
					a.Body = []byte("<page count='0'/>")
				}
			}
			return packet.Claim, env.Answer(ctx, p, &a)
		}), nil
	})
}

func falling(s module.Section) module.Section {
	s.Fallback = true
	return s
}

func vcardOf(t *testing.T, s *xdb.Store, owner string) string {
	t.Helper()
	it, _, err := s.Get(t.Context(), owner, vcards, "vcard")
	if err != nil {
		t.Fatal(err)
	}
	return string(it.Value)
}

// TestDirectoryFirst: who is in the directory has its vCard from there, others
// have their own.
func TestDirectoryFirst(t *testing.T) {
	plan := sdktest.Plan{Modules: append(modules, directory()), Sections: []module.Section{
		falling(sdktest.Section("directory", packet.XDB, sdktest.Host("*"), sdktest.Block("directory", `{}`))),
		sdktest.Section("internal", packet.XDB, sdktest.Host("*"), sdktest.Block("cache", `{}`), sdktest.Block("badger", `{"path":"xdb"}`)),
	}}
	sdktest.Both(t, plan, func(t *testing.T, h *sdktest.Harness) {
		ctx, store := t.Context(), xdb.New(h.Env(), "tester@example.org")
		if got := vcardOf(t, store, bob); got != "" {
			t.Errorf("bob has %q", got)
		}
		for _, owner := range []string{ann, bob, carl} {
			if _, err := store.Put(ctx, owner, vcards, "vcard", []byte("my own")); err != nil {
				t.Fatal(err)
			}
		}
		for range 2 { // the second time from the cache
			if a, b := vcardOf(t, store, ann), vcardOf(t, store, bob); a != "of the directory" || b != "my own" {
				t.Errorf("ann has %q, bob %q", a, b)
			}
		}
		for what, q := range map[string]xdb.Query{"items": {}, "count and items": {Count: true}, "count": {Count: true, Max: -1}} {
			page, err := store.Query(ctx, bob, vcards, q)
			if err != nil || q.Count && page.Count != 1 || q.Max == 0 && (len(page.Items) != 1 || page.Items[0].Rev != 0) {
				t.Errorf("%s of bob: %+v, %v", what, page, err)
			}
		}
		if owners, _, err := store.Owners(ctx, "example.org", vcards, "", 9); err != nil || strings.Join(owners, " ") != ann+" "+bob+" "+carl {
			t.Errorf("owners are %q, %v", owners, err)
		}
		// Never on an error: carl may be in the directory.
		var why *packet.Reject
		if _, _, err := store.Get(ctx, carl, vcards, "vcard"); !errors.As(err, &why) || why.Condition != "remote-server-timeout" {
			t.Errorf("while the directory is away: %v", err)
		}
		if s := h.Status().Stale; len(s) > 0 {
			t.Errorf("a store that passes changes is stale: %+v", s)
		}
	})
}

// TestOwnFirst: a vCard from the directory is what who has none of their own
// begins with.
func TestOwnFirst(t *testing.T) {
	plan := sdktest.Plan{Modules: append(modules, directory()), Sections: []module.Section{
		falling(sdktest.Section("internal", packet.XDB, sdktest.Host("*"), sdktest.Block("cache", `{}`), sdktest.Block("badger", `{"path":"xdb"}`))),
		sdktest.Section("directory", packet.XDB, sdktest.Host("*"), sdktest.Block("directory", `{}`)),
	}}
	sdktest.Both(t, plan, func(t *testing.T, h *sdktest.Harness) {
		ctx, store := t.Context(), xdb.New(h.Env(), "tester@example.org")
		for range 2 {
			if got := vcardOf(t, store, ann); got != "of the directory" {
				t.Errorf("at first ann has %q", got)
			}
		}
		if all, err := store.GetAll(ctx, ann, vcards); err != nil || len(all) != 1 {
			t.Errorf("all of the namespace: %v, %v", all, err)
		}
		_, err := store.Update(ctx, ann, vcards, "vcard", func(old *xdb.Item) ([]byte, error) {
			return append([]byte("changed, was "), old.Value...), nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if got := vcardOf(t, store, ann); got != "changed, was of the directory" {
			t.Errorf("then ann has %q", got)
		}
		if it, _, err := store.Get(ctx, ann, vcards, "vcard"); err != nil || it.Rev == 0 {
			t.Errorf("an item of the owner's store has revision %v, %v", it.Rev, err)
		}
		if err := store.Delete(ctx, ann, vcards, "vcard"); err != nil {
			t.Fatal(err)
		}
		if got := vcardOf(t, store, ann); got != "of the directory" {
			t.Errorf("in the end ann has %q", got)
		}
		// An error of the one that is asked instead is told: there may be something.
		if _, _, err := store.Get(ctx, carl, vcards, "vcard"); err == nil {
			t.Error("that the directory is away is not told")
		}
		if got, err := store.Put(ctx, carl, vcards, "vcard", []byte("x")); err != nil || got == 0 || vcardOf(t, store, carl) != "x" {
			t.Errorf("while the directory is away: %v, %v", got, err)
		}
	})
}
