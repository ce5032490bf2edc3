package badger_test

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
	"sync"
	"testing"

	"github.com/jabberii/server/plugins/sdk/xdb"
	"github.com/jabberii/server/xdb/badger"
	"github.com/jabberii/server/xdb/conformance"
)

// victim names the folder in which a process that is to be killed writes.
const victim = "XDB_BADGER_VICTIM"

func TestMain(m *testing.M) {
	if dir := os.Getenv(victim); dir != "" {
		if err := writeUntilKilled(dir, os.Getenv(victim+"_SYNC") != "", os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		os.Exit(1)
	}
	os.Exit(m.Run())
}

const writers = 4

func owner(writer int) string { return fmt.Sprintf("u%d@example.org", writer) }

// writeUntilKilled changes things, and says what was answered: writer and number.
func writeUntilKilled(dir string, sync bool, out io.Writer) error {
	b, err := badger.Open(dir, badger.Options{Sync: sync, Cache: 1 << 20})
	if err != nil {
		return err
	}
	store := conformance.NewStore(b)
	failed := make(chan error)
	for w := range writers {
		go func() {
			large := bytes.Repeat([]byte("x"), 20<<10) // beside the tables
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
				fmt.Fprintln(out, w, n)
			}
		}()
	}
	return <-failed
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

func TestKilled(t *testing.T) {
	for _, sync := range []string{"", "1"} {
		t.Run("sync="+sync, func(t *testing.T) {
			dir := t.TempDir()
			answered := make([]int, writers)
			for round := range 3 {
				kill(t, dir, sync, 200*(round+1), answered)
				check(t, dir, answered)
			}
		})
	}
}

// kill runs a process and kills it when it has said so many lines. answered are
// the last numbers of each writer.
func kill(t *testing.T, dir, sync string, lines int, answered []int) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), victim+"="+dir, victim+"_SYNC="+sync)
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

// check looks that all that was answered is there, and each batch as a whole.
func check(t *testing.T, dir string, answered []int) {
	b, err := badger.Open(dir, badger.Options{Cache: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	store := conformance.NewStore(b)
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
		page, err := store.Query(t.Context(), owner(w), "all", xdb.Query{With: owner(last)})
		if err != nil || len(page.Items) != 1 {
			t.Errorf("writer %d: found %d by address, %v", w, len(page.Items), err)
		}
	}
}

func BenchmarkPut(b *testing.B) {
	for _, c := range []struct {
		name   string
		sync   bool
		askers int
	}{
		{"process/1", false, 1}, {"process/64", false, 64}, {"disk/1", true, 1}, {"disk/64", true, 64},
	} {
		b.Run(c.name, func(b *testing.B) {
			s, err := badger.Open(b.TempDir(), badger.Options{Sync: c.sync, Cache: 8 << 20})
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			value := bytes.Repeat([]byte("x"), 300)
			b.ReportAllocs()
			b.ResetTimer()
			var all sync.WaitGroup
			for w := range c.askers {
				all.Go(func() {
					for range (b.N + c.askers - 1) / c.askers {
						change := []xdb.Change{{Op: xdb.Append, NS: "archive", With: "bob@example.org", Value: value}}
						if err := s.Change(b.Context(), owner(w), change); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			all.Wait()
		})
	}
}

func BenchmarkGet(b *testing.B) {
	s, err := badger.Open(b.TempDir(), badger.Options{Cache: 8 << 20})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	for i := range 10000 {
		c := []xdb.Change{{NS: "roster", Key: owner(i), Value: bytes.Repeat([]byte("x"), 200)}}
		if err := s.Change(b.Context(), owner(i%100), c); err != nil {
			b.Fatal(err)
		}
	}
	keys := make([]string, 1)
	b.ReportAllocs()
	for i := 0; b.Loop(); i = (i + 1) % 10000 {
		keys[0] = owner(i)
		if items, err := s.Get(b.Context(), owner(i%100), "roster", keys, nil); len(items) != 1 || err != nil {
			b.Fatal(items, err)
		}
	}
}

func BenchmarkPage(b *testing.B) {
	s, err := badger.Open(b.TempDir(), badger.Options{Cache: 8 << 20})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	for i := range 20000 {
		c := []xdb.Change{{Op: xdb.Append, NS: "archive", With: owner(i % 100), Value: bytes.Repeat([]byte("x"), 300)}}
		if err := s.Change(b.Context(), owner(0), c); err != nil {
			b.Fatal(err)
		}
	}
	for _, c := range []struct {
		name string
		q    xdb.Query
	}{
		{"last 50 of 20000", xdb.Query{Reverse: true, Max: 50}},
		{"last 50 with somebody", xdb.Query{Reverse: true, Max: 50, With: owner(7)}},
		{"count", xdb.Query{Count: true, Max: -1}},
	} {
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				if _, err := s.Query(b.Context(), owner(0), "archive", c.q); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
