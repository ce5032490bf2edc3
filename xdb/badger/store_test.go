package badger

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	badgerdb "github.com/dgraph-io/badger/v4"

	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sdk/xdb"
)

const ann = "ann@example.org"

func opened(t *testing.T, dir string) *Store {
	t.Helper()
	s, err := Open(dir, Options{Cache: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func (s *Store) must(t *testing.T, owner string, changes ...xdb.Change) {
	t.Helper()
	if err := s.Change(t.Context(), owner, changes); err != nil {
		t.Fatal(err)
	}
}

func (s *Store) count(t *testing.T, owner, ns string) int {
	t.Helper()
	page, err := s.Query(t.Context(), owner, ns, xdb.Query{Max: -1, Count: true})
	if err != nil {
		t.Fatal(err)
	}
	return page.Count
}

// entries counts what the database has, but for the clock.
func (s *Store) entries(t *testing.T) (n int) {
	t.Helper()
	err := s.read(func(txn *badgerdb.Txn) error {
		cursor := txn.NewIterator(badgerdb.IteratorOptions{})
		defer cursor.Close()
		for cursor.Rewind(); cursor.Valid(); cursor.Next() {
			if string(cursor.Item().Key()) != clockKey {
				n++
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func fillMany(t *testing.T, s *Store, ns string, n int) {
	t.Helper()
	var changes []xdb.Change
	for i := range n {
		changes = append(changes, xdb.Change{NS: ns, Key: fmt.Sprintf("%05d", i), With: "bob@example.org/x"})
		if len(changes) == 1000 || i == n-1 {
			s.must(t, ann, changes...)
			changes = nil
		}
	}
}

// A drop that is cut short by the end of the process goes on at the next start.
func TestDropGoesOn(t *testing.T) {
	for _, c := range []struct{ name, ns, before string }{
		{"namespace", "a", ""}, {"owner", "", ""}, {"part", "a", "01700"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			s := opened(t, dir)
			fillMany(t, s, "a", 1800)
			fillMany(t, s, "b", 1800)
			s.must(t, "bob@example.org", xdb.Change{NS: "a", Key: "k"})
			first := &request{owner: ann, drop: &drop{ns: c.ns, before: c.before}}
			if err := s.ask(t.Context(), first); err != nil || !first.drop.more {
				t.Fatalf("%v, more %v", err, first.drop.more)
			}
			if n := s.count(t, ann, "a"); n != 1800-dropAtOnce {
				t.Fatalf("%d left of the first transaction", n)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}

			s = opened(t, dir)
			wantA, wantB := 0, 1800
			if c.before != "" {
				wantA = 100
			}
			if c.ns == "" {
				wantB = 0
			}
			if a, b := s.count(t, ann, "a"), s.count(t, ann, "b"); a != wantA || b != wantB {
				t.Errorf("left are %d and %d, want %d and %d", a, b, wantA, wantB)
			}
			if n := s.entries(t); n != 2*wantA+2*wantB+1 { // an item, and where its address finds it
				t.Errorf("the database has %d entries", n)
			}
		})
	}
}

// Nothing of an item stays: no index, whatever its address becomes.
func TestNothingIsLeft(t *testing.T) {
	s := opened(t, t.TempDir())
	for _, with := range []string{"", "bob@example.org", "bob@example.org/a", "bob@example.org/b", "carl@example.org", "", "/x", "bob@example.org"} {
		s.must(t, ann, xdb.Change{NS: "n", Key: "k", With: with})
		want := 2
		if with == "" {
			want = 1
		}
		if n := s.entries(t); n != want {
			t.Errorf("with %q the database has %d entries, want %d", with, n, want)
		}
		page, err := s.Query(t.Context(), ann, "n", xdb.Query{With: with})
		if err != nil || len(page.Items) != 1 || page.Items[0].With != with {
			t.Errorf("with %q finds %+v, %v", with, page.Items, err)
		}
	}
	s.must(t, ann, xdb.Change{Op: xdb.Delete, NS: "n", Key: "k"})
	if n := s.entries(t); n != 0 {
		t.Errorf("%d entries are left", n)
	}
	if len(s.readers) != 0 {
		t.Errorf("readers are left: %v", s.readers)
	}
}

// A reader sees the state of one moment, however much is changed and compacted
// meanwhile.
func TestReaderKeepsItsMoment(t *testing.T) {
	s := opened(t, t.TempDir())
	s.must(t, ann, xdb.Change{NS: "n", Key: "a", Value: []byte("first")}, xdb.Change{NS: "n", Key: "b", Value: []byte("first")})
	value := bytes.Repeat([]byte("x"), 3000)
	err := s.read(func(txn *badgerdb.Txn) error {
		for range 25 {
			changes := make([]xdb.Change, 0, 600)
			for i := range 600 {
				changes = append(changes, xdb.Change{NS: "n", Key: fmt.Sprint("a", i), Value: value})
			}
			s.must(t, ann, append(changes, xdb.Change{NS: "n", Key: "a", Value: value}, xdb.Change{Op: xdb.Delete, NS: "n", Key: "b"})...)
		}
		if len(s.db.Tables()) == 0 {
			t.Error("nothing went to the tables")
		}
		if err := s.db.Flatten(1); err != nil {
			t.Error(err)
		}
		for _, key := range []string{"a", "b"} {
			it, found, err := get(txn, append(spacePrefix(itemKey, ann, "n"), key...), key)
			if err != nil || !found || string(it.Value) != "first" {
				t.Errorf("%s is %.20s, %v, %v", key, it.Value, found, err)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// What the largest values took on the disk is given back.
func TestCollect(t *testing.T) {
	dir := t.TempDir()
	value := bytes.Repeat([]byte("0123456789abcdef"), xdb.MaxValue/16)
	for range 6 { // so that there are enough tables to compact
		s := opened(t, dir)
		for i := range 30 {
			s.must(t, ann, xdb.Change{NS: "n", Key: fmt.Sprint(i % 4), Value: value})
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	before := valueLogs(t, dir)
	s := opened(t, dir)
	if err := s.db.Flatten(1); err != nil { // as compaction would in time
		t.Fatal(err)
	}
	if err := s.Collect(t.Context()); err != nil {
		t.Fatal(err)
	}
	for i := range 4 {
		items, err := s.Get(t.Context(), ann, "n", []string{fmt.Sprint(i)}, nil)
		if err != nil || len(items) != 1 || !bytes.Equal(items[0].Value, value) {
			t.Errorf("item %d: %d, %v", i, len(items), err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if after := valueLogs(t, dir); after >= before/2 || before < 150<<20 {
		t.Errorf("the large values take %d bytes, %d before", after, before)
	}
}

func valueLogs(t *testing.T, dir string) (size int64) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.vlog"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		size += info.Size()
	}
	return size
}

// While the disk is almost full nothing is written, but read and taken away.
func TestDiskFull(t *testing.T) {
	dir := t.TempDir()
	s := opened(t, dir)
	s.must(t, ann, xdb.Change{NS: "n", Key: "a"}, xdb.Change{NS: "n", Key: "b"})
	free := int64(reserve - 1)
	s.room = room{free: func(at string) (int64, error) {
		if at != dir {
			t.Errorf("asked for the room at %s", at)
		}
		return free, nil
	}}
	for _, c := range []xdb.Change{{NS: "n", Key: "c"}, {Op: xdb.Append, NS: "n"}} {
		var why *packet.Reject
		if err := s.Change(t.Context(), ann, []xdb.Change{c}); !errors.As(err, &why) || why.Condition != "resource-constraint" {
			t.Errorf("%v: got %v", c.Op, err)
		}
	}
	s.must(t, ann, xdb.Change{Op: xdb.Delete, NS: "n", Key: "a"})
	if n := s.count(t, ann, "n"); n != 1 {
		t.Errorf("%d items", n)
	}
	if err := s.Drop(t.Context(), ann, "n", ""); err != nil {
		t.Error(err)
	}
	s.room.checked = time.Time{} // time goes by
	free++
	s.must(t, ann, xdb.Change{NS: "n", Key: "c"})
	if free, err := diskFree(dir); err != nil || free < 1 {
		t.Errorf("of the disk %d bytes are free, %v", free, err)
	}
}

// TestKilledBetweenFiles opens what a process left that was killed when it had
// created files and not yet given them a size.
func TestKilledBetweenFiles(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(dir, Options{Cache: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	s.must(t, ann, xdb.Change{Op: xdb.Put, NS: "n", Key: "k", Value: []byte("v")})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"00077.mem", "00078.mem", "000077.vlog", "000078.vlog"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s = opened(t, dir)
	if n := s.count(t, ann, "n"); n != 1 {
		t.Errorf("%d items are left", n)
	}
	s.must(t, ann, xdb.Change{Op: xdb.Put, NS: "n", Key: "l", Value: []byte("v")})
}
