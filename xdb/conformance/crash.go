package conformance

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/jabberii/server/plugins/sdk/xdb"
)

// victim names the folder in which a process that is to be killed writes, and
// victimAs how the folder is to be opened.
const (
	victim   = "XDB_VICTIM"
	victimAs = "XDB_VICTIM_AS"
)

// Main is what TestMain calls in a package that tests with [Killed], since the
// process that is killed is the test's program again. Openers have names, such
// as for ways in which changes are durable.
func Main(m *testing.M, openers map[string]Opener) {
	if dir := os.Getenv(victim); dir != "" {
		if err := writeUntilKilled(dir, openers[os.Getenv(victimAs)], os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		os.Exit(1)
	}
	os.Exit(m.Run())
}

const writers = 4

func owner(writer int) string { return fmt.Sprintf("u%d@example.org", writer) }

// writeUntilKilled changes things, and says what was answered: writer and number.
func writeUntilKilled(dir string, open Opener, out io.Writer) error {
	b, _, err := open(dir)
	if err != nil {
		return err
	}
	store := NewStore(b)
	failed := make(chan error)
	for w := range writers {
		go func() {
			large := bytes.Repeat([]byte("x"), 20<<10)
			for i := next(store, w); ; i++ {
				n := strconv.Itoa(i)
				err := store.Batch(context.Background(), owner(w), []xdb.Change{
					{NS: "last", Key: "n", Value: []byte(n)},
					{NS: "large", Key: "n", Value: append([]byte(n+" "), large[:i%20<<10]...)},
					{Op: xdb.Append, NS: "all", With: owner(i), Value: []byte(n)},
				})
				if err != nil {
					failed <- err
					return
				}
				if i%dropEach == dropEach-1 {
					if err := fillAndDrop(store, owner(w)); err != nil {
						failed <- err
						return
					}
				}
				fmt.Fprintln(out, w, n)
			}
		}()
	}
	return <-failed
}

// Of a namespace that each writer fills now and then, with two batches, and drops.
const (
	dropEach = 40
	dropped  = 600 // items of a batch
)

func fillAndDrop(store *xdb.Store, owner string) error {
	for batch := range 2 {
		changes := make([]xdb.Change, dropped)
		for i := range changes {
			changes[i] = xdb.Change{NS: "dropped", Key: fmt.Sprint(batch, i), With: "bob@example.org"}
		}
		if err := store.Batch(context.Background(), owner, changes); err != nil {
			return err
		}
	}
	return store.Drop(context.Background(), owner, "dropped", "")
}

// next is the number with which a writer goes on.
func next(store *xdb.Store, w int) int {
	it, found, err := store.Get(context.Background(), owner(w), "last", "n")
	if err != nil || !found {
		return 0
	}
	n, _ := strconv.Atoi(string(it.Value))
	return n + 1
}

// Killed looks that a store has all that was answered, and each batch as a
// whole, after the process that wrote was killed. See [Main].
func Killed(t *testing.T, openers map[string]Opener) {
	for name, open := range openers {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			answered := make([]int, writers)
			for i := range answered {
				answered[i] = -1
			}
			for round := range 3 {
				kill(t, dir, name, 200*(round+1), answered)
				survived(t, dir, open, answered)
			}
		})
	}
}

// kill runs a process and kills it when it has said so many lines. answered are
// the last numbers of each writer.
func kill(t *testing.T, dir, as string, lines int, answered []int) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), victim+"="+dir, victimAs+"="+as)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	in := bufio.NewScanner(out)
	for n := 0; in.Scan(); n++ {
		if n == lines {
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
		var w, i int
		if _, err := fmt.Sscan(in.Text(), &w, &i); err != nil {
			break // the last line, cut
		}
		answered[w] = i
	}
	if err := cmd.Wait(); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Fatalf("the process ended with %v", err)
	}
}

// survived looks that all that was answered is there, and each batch as a whole.
func survived(t *testing.T, dir string, open Opener, answered []int) {
	b, closed, err := open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer closed()
	store := NewStore(b)
	for w := range writers {
		last := next(store, w) - 1
		if last < answered[w] || last > answered[w]+1 {
			t.Errorf("writer %d: %d is there, %d was answered", w, last, answered[w])
		}
		it, _, err := store.Get(t.Context(), owner(w), "large", "n")
		if err != nil || !strings.HasPrefix(string(it.Value), strconv.Itoa(last)+" ") || len(it.Value) < last%20<<10 {
			t.Errorf("writer %d: of the batch %d the large value is %.20s, %v", w, last, it.Value, err)
		}
		all, after := 0, ""
		for more := true; more; {
			page, err := store.Query(t.Context(), owner(w), "all", xdb.Query{After: after, Max: xdb.MaxPage})
			if err != nil {
				t.Fatal(err)
			}
			for _, it := range page.Items {
				if string(it.Value) != strconv.Itoa(all) {
					t.Fatalf("writer %d: %s where %d was to be", w, it.Value, all)
				}
				all++
				after = it.Key
			}
			more = page.More
		}
		if all != last+1 {
			t.Errorf("writer %d: %d appended, the last is %d", w, all, last)
		}
		left, err := store.Query(t.Context(), owner(w), "dropped", xdb.Query{Max: -1, Count: true})
		if err != nil || left.Count%dropped != 0 {
			t.Errorf("writer %d: of a drop %d items are left, %v", w, left.Count, err)
		}
		page, err := store.Query(t.Context(), owner(w), "all", xdb.Query{With: owner(last)})
		if err != nil || len(page.Items) != 1 {
			t.Errorf("writer %d: found %d by address, %v", w, len(page.Items), err)
		}
	}
}
