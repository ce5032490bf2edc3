package e2e_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/jabberii/server/jabberd/server"
	"github.com/jabberii/server/plugins/sdk/xdb"
)

const oldStore = `
xdb "old" {
  host "localhost" {}
  file { path = "old" }
}
`

// The host needs somebody who has its users.
const users = `
service "users" {
  host "localhost" {}
  load "sm" {}
}
`

const newStore = `
xdb "new" {
  host "localhost" {}
  cache {}
  badger { path = "new" }
}
`

// restartWith stops the server, if it runs, and starts it with another file.
func (r *running) restartWith(isolation string, sections ...string) {
	r.t.Helper()
	if r.cmd != nil {
		r.stop()
	}
	text := fmt.Sprintf("engine {\n  data_dir = %q\n  isolation = %q\n}\n%s", r.data, isolation, users+strings.Join(sections, ""))
	file := filepath.Join(r.data, "test.hcl")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		r.t.Fatal(err)
	}
	r.args = []string{"run", file}
	r.launch()
}

// TestMoveToAnotherStore moves a server from files to a database, as docs/storage.md
// says: the new store stands behind the old one, is filled, and takes its place.
func TestMoveToAnotherStore(t *testing.T) {
	everyIsolation(t, func(t *testing.T, vars map[string]string) {
		isolation := vars["isolation"]
		r := &running{t: t, bin: binaries(t), data: t.TempDir()}
		r.restartWith(isolation, oldStore)
		t.Cleanup(r.stop)
		store := xdb.New(server.Dial(filepath.Join(r.data, server.SocketName)), "test")
		for i := range 20 {
			user := fmt.Sprintf("u%02d@localhost", i)
			changes := []xdb.Change{
				{NS: "roster", Key: "bob@localhost", Value: []byte("<item/>")}, {NS: "roster", Key: "carl@localhost"},
				{NS: "offline", Op: xdb.Append, With: "bob@localhost", Value: []byte("<message/>")},
			}
			if err := store.Batch(t.Context(), user, changes); err != nil {
				t.Fatal(err)
			}
		}
		r.must("user", "add", "ann@localhost", "--password", "secret")

		r.restartWith(isolation, oldStore, newStore)
		if out := r.must("xdb", "owners", "localhost", "--section", "new"); strings.Contains(out, "@") { // what the host itself has is put there at the start
			t.Errorf("the new store has %s", out)
		}
		if out := r.must("xdb", "copy", "new"); !strings.Contains(out, "section new is being copied anew") {
			t.Errorf("copy: %q", out)
		}
		for i := range 20 { // while it is copied
			if err := store.Delete(t.Context(), fmt.Sprintf("u%02d@localhost", i), "roster", "carl@localhost"); err != nil {
				t.Fatal(err)
			}
		}
		r.await("the new store has all", func() bool { return len(r.status().Stale) == 0 })
		if out := r.must("xdb", "copy", "new", "--wait"); out != "section new has everything\n" {
			t.Errorf("copy, waiting for its end: %q", out)
		}
		if out, err := r.jabberd("xdb", "copy", "archive"); err == nil || !strings.Contains(out, "there are: old, new") {
			t.Errorf("copy into a store that is not there: %s", out)
		}
		said := map[string]string{}
		reads := []string{
			"owners localhost", "owners localhost auth", "list ann@localhost", "list u07@localhost roster", "get ann@localhost auth",
			"get u07@localhost roster bob@localhost", "get u11@localhost offline", "get u07@localhost roster carl@localhost",
		}
		for _, read := range reads {
			args := append([]string{"xdb"}, strings.Fields(read)...)
			said[read] = r.must(args...)
			if in := r.must(append(args, "--section", "new")...); in != said[read] {
				t.Errorf("%s: the new store says\n%sthe old one\n%s", read, in, said[read])
			}
		}
		if got := said["get u07@localhost roster bob@localhost"]; !strings.HasPrefix(got, `{"key":"bob@localhost","rev":"`) || !strings.HasSuffix(got, `,"value":"<item/>"}`+"\n") {
			t.Errorf("an item is shown as %s", got)
		}

		r.restartWith(isolation, newStore)
		for _, read := range reads {
			if out := r.must(append([]string{"xdb"}, strings.Fields(read)...)...); out != said[read] {
				t.Errorf("%s: afterwards\n%sbefore\n%s", read, out, said[read])
			}
		}
		r.must("user", "remove", "ann@localhost")
		if out := r.must("xdb", "list", "ann@localhost"); out != "" {
			t.Errorf("of ann there is %s", out)
		}
	})
}

const mirrored = `
xdb "first" {
  host "localhost" {}
  badger { path = "first" }
}
xdb "second" {
  host "localhost" {}
  file {
    path    = "second"
    process = "mirror"
  }
}
`

// TestDeathOfACopy kills the process of a store that has copies, again and again
// while changes are made: each is answered, and in the end the copies are right.
func TestDeathOfACopy(t *testing.T) {
	r := &running{t: t, bin: binaries(t), data: t.TempDir()}
	r.restartWith("process", mirrored)
	t.Cleanup(r.stop)
	const askers, each = 4, 100
	progress := make(chan struct{}, askers*each)
	var asking sync.WaitGroup
	for asker := range askers {
		store := xdb.New(server.Dial(filepath.Join(r.data, server.SocketName)), fmt.Sprint("test ", asker))
		asking.Go(func() {
			for i := range each {
				owner := fmt.Sprintf("u%d@localhost", i%10)
				changes := []xdb.Change{{NS: "n", Key: fmt.Sprint(asker, i%7), Value: fmt.Append(nil, i)}, {NS: "m", Op: xdb.Append, Value: fmt.Append(nil, asker, i)}}
				err := store.Batch(t.Context(), owner, changes)
				if err == nil && i%5 == 0 {
					err = store.Delete(t.Context(), owner, "n", fmt.Sprint((asker+1)%askers, i%7))
				}
				if err != nil {
					t.Error(err)
				}
				progress <- struct{}{}
			}
		})
	}
	for n := range askers * each {
		<-progress
		if n%100 == 50 {
			r.kill("mirror")
		}
	}
	asking.Wait()
	r.await("copies are whole", func() bool { return len(r.status().Stale) == 0 })
	items := 0
	for i := range 10 {
		for _, ns := range []string{"n", "m"} {
			read := []string{"xdb", "get", fmt.Sprintf("u%d@localhost", i), ns}
			first, second := r.must(append(read, "--section", "first")...), r.must(append(read, "--section", "second")...)
			if first != second {
				t.Errorf("%s: the copies are\n%sof\n%s", read, second, first)
			}
			items += strings.Count(first, "\n")
		}
	}
	if items < askers*each {
		t.Errorf("%d items are there", items)
	}
}
