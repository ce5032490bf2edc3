package main_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/jabberd/server"
	"github.com/jabberii/server/plugins/sdk/sdktest"
	"github.com/jabberii/server/plugins/sdk/xdb"
	"github.com/jabberii/server/xdb/badger"
	"github.com/jabberii/server/xdb/cache"
	"github.com/jabberii/server/xdb/file"
	"github.com/jabberii/server/xdb/filter"
	"github.com/jabberii/server/xdb/memory"
)

var modules = []module.Module{filter.Module, cache.Module, memory.Module, file.Module, badger.Module}

const ann = "ann@example.org"

// TestStores asks each store through a server.
func TestStores(t *testing.T) {
	for name, chain := range map[string][]module.Link{
		"memory": {sdktest.Block("memory", `{}`)},
		"file":   {sdktest.Block("file", `{"path":"xdb"}`)},
		"badger": {sdktest.Block("badger", `{"path":"xdb"}`)},
		"cached": {sdktest.Block("cache", `{}`), sdktest.Block("badger", `{"path":"xdb"}`)},
	} {
		t.Run(name, func(t *testing.T) {
			plan := sdktest.Plan{Modules: modules, Sections: []module.Section{
				sdktest.Section("store", packet.XDB, append([]module.Link{sdktest.Host("*")}, chain...)...),
			}}
			sdktest.Both(t, plan, func(t *testing.T, h *sdktest.Harness) {
				store := xdb.New(h.Env(), "tester@example.org")
				large := bytes.Repeat([]byte("0123456789abcdef"), xdb.MaxValue/16)
				rev, err := store.Put(t.Context(), ann, "n", "large", large)
				if err != nil {
					t.Fatal(err)
				}
				for range 3 {
					it, found, err := store.Get(t.Context(), ann, "n", "large")
					if err != nil || !found || it.Rev != rev || !bytes.Equal(it.Value, large) {
						t.Errorf("got %v, %d bytes, %v, %v", found, len(it.Value), it.Rev, err)
					}
				}
				if _, err := store.CompareAndSet(t.Context(), ann, "n", "large", 7, nil); !xdb.IsConflict(err) {
					t.Errorf("got %v, want a conflict", err)
				}
				for i := range 250 {
					if _, err := store.Append(t.Context(), ann, "queue", "bob@example.org", fmt.Append(nil, i)); err != nil {
						t.Fatal(err)
					}
				}
				page, err := store.Query(t.Context(), ann, "queue", xdb.Query{Count: true, Reverse: true, Max: 2})
				if err != nil || page.Count != 250 || len(page.Items) != 2 || string(page.Items[0].Value) != "249" || !page.More {
					t.Errorf("got %+v, %v", page, err)
				}
				if owners, _, err := store.Owners(t.Context(), "example.org", "n", "", 9); err != nil || len(owners) != 1 || owners[0] != ann {
					t.Errorf("got %v, %v", owners, err)
				}
				if name != "memory" {
					h.Restart()
					store = xdb.New(h.Env(), "tester@example.org")
					if it, found, err := store.Get(t.Context(), ann, "n", "large"); err != nil || !found || it.Rev != rev {
						t.Errorf("after a restart: %v, %v, %v", found, it.Rev, err)
					}
				}
				if err := store.Drop(t.Context(), ann, "", ""); err != nil {
					t.Error(err)
				}
				if names, err := store.Namespaces(t.Context(), ann); err != nil || len(names) != 0 {
					t.Errorf("left are %v, %v", names, err)
				}
			})
		})
	}
}

// TestNamespaces: each namespace has its store, and another has none.
func TestNamespaces(t *testing.T) {
	plan := sdktest.Plan{Modules: modules, Sections: []module.Section{
		sdktest.Section("accounts", packet.XDB, sdktest.Host("example.org"),
			sdktest.Block("filter", `{"namespaces":["auth"]}`), sdktest.Block("file", `{"path":"accounts"}`)),
		sdktest.Section("archive", packet.XDB, sdktest.Host("example.org"),
			sdktest.Block("filter", `{"namespaces":["urn:xmpp:*"]}`), sdktest.Block("badger", `{"path":"archive"}`)),
	}}
	sdktest.Both(t, plan, func(t *testing.T, h *sdktest.Harness) {
		store := xdb.New(h.Env(), "tester@example.org")
		for _, ns := range []string{"auth", "urn:xmpp:mam:2"} {
			if _, err := store.Put(t.Context(), ann, ns, "k", []byte(ns)); err != nil {
				t.Fatal(err)
			}
			if it, _, err := store.Get(t.Context(), ann, ns, "k"); err != nil || string(it.Value) != ns {
				t.Errorf("%s: got %s, %v", ns, it.Value, err)
			}
		}
		_, err := store.Put(t.Context(), ann, "roster", "k", nil)
		var reject *packet.Reject
		if !errors.As(err, &reject) || reject.Condition != "service-unavailable" {
			t.Errorf("a namespace without a store: %v", err)
		}
		err = store.Batch(t.Context(), ann, []xdb.Change{{NS: "auth", Key: "a"}, {NS: "urn:xmpp:mam:2", Key: "a"}})
		if !errors.As(err, &reject) || reject.Condition != "not-acceptable" {
			t.Errorf("a batch in two stores: %v", err)
		}
		if it, found, err := store.Get(t.Context(), ann, "auth", "a"); err != nil || found {
			t.Errorf("half of a batch was made: %v, %v", it, err)
		}
	})
}

// TestCacheRemembers: behind the cache there is a store that counts.
func TestCacheRemembers(t *testing.T) {
	plan := sdktest.Plan{Modules: modules, Sections: []module.Section{
		sdktest.Section("store", packet.XDB, sdktest.Host("*"), sdktest.Block("cache", `{}`), sdktest.Block("memory", `{}`)),
	}}
	sdktest.Both(t, plan, func(t *testing.T, h *sdktest.Harness) {
		store := xdb.New(h.Env(), "tester@example.org")
		explain := func() string {
			why := h.Explain(&packet.Packet{
				Kind: packet.XDB, To: ann, From: "tester@example.org", Name: "get", Type: "get", NS: "n", Body: []byte("<item key='k'/>"),
			})
			return fmt.Sprint(why)
		}
		for round := range 3 {
			value := fmt.Append(nil, round)
			if _, err := store.Put(t.Context(), ann, "n", "k", value); err != nil {
				t.Fatal(err)
			}
			if why := explain(); !strings.Contains(why, "does not remember") {
				t.Errorf("after the change: %s", why)
			}
			for range 2 {
				if it, _, err := store.Get(t.Context(), ann, "n", "k"); err != nil || !bytes.Equal(it.Value, value) {
					t.Errorf("got %s, %v, want %s", it.Value, err, value)
				}
				if why := explain(); !strings.Contains(why, "remembers the answer until") {
					t.Errorf("after the get: %s", why)
				}
			}
		}
	})
}

// TestCopies: what one store changed comes to the store behind it, with the
// same keys and revisions.
func TestCopies(t *testing.T) {
	plan := sdktest.Plan{Modules: modules, Sections: []module.Section{
		sdktest.Section("first", packet.XDB, sdktest.Host("*"), sdktest.Block("badger", `{"path":"first"}`)),
		sdktest.Section("second", packet.XDB, sdktest.Host("*"), sdktest.Block("cache", `{}`), sdktest.Block("file", `{"path":"second"}`)),
	}}
	sdktest.Both(t, plan, func(t *testing.T, h *sdktest.Harness) {
		store := xdb.New(h.Env(), "tester@example.org")
		second := func(ns string) string {
			a, err := h.Ask(&packet.Packet{Section: "second", To: ann, From: "tester@example.org", Name: "get", Type: "get", NS: ns})
			if err != nil {
				t.Fatal(err)
			}
			return string(a.Body)
		}
		if got := second("n"); got != "" {
			t.Errorf("at first the second store has %s", got)
		}
		rev, err := store.Put(t.Context(), ann, "n", "k", []byte("<v/>"))
		if err != nil {
			t.Fatal(err)
		}
		key, err := store.Append(t.Context(), ann, "n", "bob@example.org", []byte("1"))
		if err != nil {
			t.Fatal(err)
		}
		changes := []xdb.Change{{NS: "m", Key: "k"}, {Op: xdb.Delete, NS: "n", Key: "none"}}
		if err := store.Batch(t.Context(), ann, changes); err != nil {
			t.Fatal(err)
		}
		if _, err := store.CompareAndSet(t.Context(), ann, "n", "k", 0, nil); !xdb.IsConflict(err) {
			t.Fatal(err)
		}
		want := fmt.Sprintf("<item key='%s' rev='%s' with='bob@example.org'>1</item><item key='k' rev='%s'><v/></item>", key, key, rev)
		if got := second("n"); got != want {
			t.Errorf("the second store has\n%s, want\n%s", got, want)
		}
		if got, want := second("m"), fmt.Sprintf("<item key='k' rev='%s'/>", changes[0].Rev); got != want {
			t.Errorf("the second store has %s, want %s", got, want)
		}
		if err := store.Drop(t.Context(), ann, "n", ""); err != nil {
			t.Fatal(err)
		}
		if got := second("n"); got != "" {
			t.Errorf("after the drop the second store has %s", got)
		}
	})
}

// TestCacheAfterRefusal: a change that was refused does not keep the cache from
// remembering.
func TestCacheAfterRefusal(t *testing.T) {
	plan := sdktest.Plan{Modules: modules, Sections: []module.Section{
		sdktest.Section("store", packet.XDB, sdktest.Host("*"), sdktest.Block("cache", `{}`), sdktest.Block("memory", `{}`)),
	}}
	sdktest.Both(t, plan, func(t *testing.T, h *sdktest.Harness) {
		store := xdb.New(h.Env(), "tester@example.org")
		if _, err := store.CompareAndSet(t.Context(), ann, "n", "k", 7, nil); !xdb.IsConflict(err) {
			t.Fatal(err)
		}
		if _, _, err := store.Get(t.Context(), ann, "n", "k"); err != nil {
			t.Fatal(err)
		}
		why := fmt.Sprint(h.Explain(&packet.Packet{
			Kind: packet.XDB, To: ann, From: "tester@example.org", Name: "get", Type: "get", NS: "n", Body: []byte("<item key='k'/>"),
		}))
		if !strings.Contains(why, "remembers the answer until") {
			t.Errorf("after a get: %s", why)
		}
	})
}

// TestCacheSeesAllWriters: the cache is in front of the store for whoever asks,
// from whatever process. What one has changed another sees at once.
func TestCacheSeesAllWriters(t *testing.T) {
	plan := sdktest.Plan{Modules: modules, Sections: []module.Section{
		sdktest.Section("store", packet.XDB, sdktest.Host("*"), sdktest.Block("cache", `{}`), sdktest.Block("badger", `{"path":"xdb","durability":"process"}`)),
	}}
	sdktest.Both(t, plan, func(t *testing.T, h *sdktest.Harness) {
		module := xdb.New(h.Env(), "tester@example.org")
		command := xdb.New(server.Dial(filepath.Join(h.Data, server.SocketName)), "a command")
		ctx, stop := context.WithCancel(t.Context())
		var readers sync.WaitGroup
		for i := range 2 { // who keep filling the cache
			reader := xdb.New(h.Env(), fmt.Sprint("reader ", i))
			readers.Go(func() {
				for last := -1; ctx.Err() == nil; {
					it, _, err := reader.Get(context.Background(), ann, "n", "k")
					n, _ := strconv.Atoi(string(it.Value))
					if err != nil || n < last {
						t.Errorf("read %d after %d, %v", n, last, err)
						return
					}
					last = n
				}
			})
		}
		for i := range 200 {
			writer, reader := module, command
			if i%2 == 1 {
				writer, reader = command, module
			}
			value := fmt.Append(nil, i)
			if _, err := writer.Put(t.Context(), ann, "n", "k", value); err != nil {
				t.Fatal(err)
			}
			if it, _, err := reader.Get(t.Context(), ann, "n", "k"); err != nil || !bytes.Equal(it.Value, value) {
				t.Fatalf("read %s, %v, want %s", it.Value, err, value)
			}
		}
		stop()
		readers.Wait()
	})
}
