package journal_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/jabberii/server/plugins/sdk/journal"
)

// open opens a journal and returns its records.
func open(t testing.TB, dir string, o journal.Options) (*journal.Journal, []string, journal.Replayed) {
	t.Helper()
	var records []string
	var last journal.Pos
	j, done, err := journal.Open(t.Context(), dir, o, func(at journal.Pos, record []byte) error {
		if len(records) > 0 && at <= last {
			t.Errorf("record at %d follows one at %d", at, last)
		}
		last = at
		records = append(records, string(record))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { j.Close() })
	return j, records, done
}

func appendAll(t testing.TB, j *journal.Journal, records ...string) (places []journal.Pos) {
	t.Helper()
	for _, r := range records {
		at, err := j.Append([]byte(r))
		if err != nil {
			t.Fatal(err)
		}
		places = append(places, at)
	}
	if err := j.Commit(); err != nil {
		t.Fatal(err)
	}
	return places
}

// copyDir copies what a process that is killed now would leave.
func copyDir(t testing.TB, from string) string {
	t.Helper()
	to := t.TempDir()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	return to
}

func TestRecordsComeBack(t *testing.T) {
	for _, sync := range []bool{false, true} {
		t.Run(fmt.Sprintf("sync=%v", sync), func(t *testing.T) {
			dir := t.TempDir()
			o := journal.Options{Sync: sync, Segment: 64}
			j, records, _ := open(t, dir, o)
			if len(records) != 0 {
				t.Fatalf("a new journal has %q", records)
			}
			want := []string{"one", "two", strings.Repeat("three", 100), "four"}
			for _, r := range want {
				appendAll(t, j, r)
			}
			if j.Durable() != j.Next() {
				t.Errorf("durable up to %d of %d", j.Durable(), j.Next())
			}
			if err := j.Close(); err != nil {
				t.Fatal(err)
			}
			j, records, _ = open(t, dir, o)
			if !slices.Equal(records, want) {
				t.Errorf("got %q", records)
			}
			appendAll(t, j, "five")
			j.Close()
			if _, records, _ = open(t, dir, o); !slices.Equal(records, append(want, "five")) {
				t.Errorf("got %q", records)
			}
		})
	}
}

func TestWhatIsNotCommittedIsNotWritten(t *testing.T) {
	dir := t.TempDir()
	j, _, _ := open(t, dir, journal.Options{})
	appendAll(t, j, "committed")
	at, err := j.Append([]byte("second"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := j.Append([]byte("third")); err != nil {
		t.Fatal(err)
	}
	if _, records, _ := open(t, copyDir(t, dir), journal.Options{}); !slices.Equal(records, []string{"committed"}) {
		t.Errorf("got %q", records)
	}
	if err := j.CommitTo(at); err != nil {
		t.Fatal(err)
	}
	if j.Durable() <= at {
		t.Errorf("durable up to %d, after committing to %d", j.Durable(), at)
	}
}

func TestRelease(t *testing.T) {
	dir := t.TempDir()
	j, _, _ := open(t, dir, journal.Options{Segment: 1})
	at := appendAll(t, j, "a")
	at = append(at, appendAll(t, j, "b")...)
	at = append(at, appendAll(t, j, "c")...)
	if err := j.Release(at[1]); err != nil {
		t.Fatal(err)
	}
	if _, records, _ := open(t, copyDir(t, dir), journal.Options{}); !slices.Equal(records, []string{"b", "c"}) {
		t.Errorf("got %q", records)
	}
	if err := j.Release(j.Next()); err != nil {
		t.Fatal(err)
	}
	appendAll(t, j, "d")
	j.Close()
	// The last segment stays, so that places go on.
	j, records, _ := open(t, dir, journal.Options{Segment: 1})
	if !slices.Equal(records, []string{"c", "d"}) {
		t.Errorf("got %q", records)
	}
	if next := appendAll(t, j, "e")[0]; next <= at[2] {
		t.Errorf("place %d comes again after %d", next, at[2])
	}
}

func TestDamageInTheMiddle(t *testing.T) {
	dir := t.TempDir()
	j, _, _ := open(t, dir, journal.Options{Segment: 1})
	appendAll(t, j, "first")
	appendAll(t, j, "second")
	appendAll(t, j, "third")
	j.Close()
	files, _ := filepath.Glob(filepath.Join(dir, "*.log"))
	b, err := os.ReadFile(files[1])
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)-1] ^= 1
	if err := os.WriteFile(files[1], b, 0o600); err != nil {
		t.Fatal(err)
	}
	j, records, done := open(t, dir, journal.Options{Segment: 1})
	if !slices.Equal(records, []string{"first"}) || !done.Torn || len(done.Aside) != 1 {
		t.Fatalf("got %q, %+v", records, done)
	}
	if _, err := os.Stat(filepath.Join(dir, done.Aside[0])); err != nil {
		t.Error(err)
	}
	appendAll(t, j, "fourth")
	j.Close()
	if _, records, done = open(t, dir, journal.Options{}); !slices.Equal(records, []string{"first", "fourth"}) || done.Torn {
		t.Errorf("got %q, %+v", records, done)
	}
}

func TestMissingSegment(t *testing.T) {
	dir := t.TempDir()
	j, _, _ := open(t, dir, journal.Options{Segment: 1})
	appendAll(t, j, "first")
	appendAll(t, j, "second")
	appendAll(t, j, "third")
	j.Close()
	files, _ := filepath.Glob(filepath.Join(dir, "*.log"))
	if err := os.Remove(files[1]); err != nil {
		t.Fatal(err)
	}
	j, records, done := open(t, dir, journal.Options{Segment: 1})
	if !slices.Equal(records, []string{"first"}) || len(done.Aside) != 1 {
		t.Fatalf("got %q, %+v", records, done)
	}
	appendAll(t, j, "fourth")
	j.Close()
	if _, records, _ = open(t, dir, journal.Options{}); !slices.Equal(records, []string{"first", "fourth"}) {
		t.Errorf("got %q", records)
	}
}

func TestRefusals(t *testing.T) {
	dir := t.TempDir()
	j, _, _ := open(t, dir, journal.Options{})
	for name, record := range map[string][]byte{"empty": nil, "too long": make([]byte, journal.MaxRecord+1)} {
		if _, err := j.Append(record); err == nil {
			t.Errorf("a record that is %s was taken", name)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
	defer cancel()
	if _, _, err := journal.Open(ctx, dir, journal.Options{}, nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a second opening: %v", err)
	}
	appendAll(t, j, "x")
	j.Close()
	if _, err := j.Append([]byte("y")); !errors.Is(err, os.ErrClosed) {
		t.Errorf("append after Close: %v", err)
	}
	bad := errors.New("bad")
	if _, _, err := journal.Open(t.Context(), dir, journal.Options{}, func(journal.Pos, []byte) error { return bad }); !errors.Is(err, bad) {
		t.Errorf("an error of replay: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, strings.Repeat("0", 16)+".log"), []byte("something else"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := journal.Open(t.Context(), dir, journal.Options{}, nil); err == nil || !strings.Contains(err.Error(), "no journal") {
		t.Errorf("a foreign file: %v", err)
	}
}

// A write that fails leaves what was to be written in memory, in its order.
func TestWriteIsTriedAgain(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Log("as root a folder without write permission is no obstacle; a missing one is")
	}
	dir := filepath.Join(t.TempDir(), "journal")
	j, _, _ := open(t, dir, journal.Options{Segment: 1})
	appendAll(t, j, "a")
	aside := dir + ".away"
	if err := os.Rename(dir, aside); err != nil {
		t.Fatal(err)
	}
	if _, err := j.Append([]byte("b")); err != nil {
		t.Fatal(err)
	}
	if err := j.Commit(); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("commit without a folder: %v", err)
	}
	if err := os.Rename(aside, dir); err != nil {
		t.Fatal(err)
	}
	appendAll(t, j, "c")
	j.Close()
	if _, records, _ := open(t, dir, journal.Options{}); !slices.Equal(records, []string{"a", "b", "c"}) {
		t.Errorf("got %q", records)
	}
}

func TestManyWriters(t *testing.T) {
	const writers, each = 8, 200
	dir := t.TempDir()
	j, _, _ := open(t, dir, journal.Options{Segment: 4096})
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for n := range each {
				at, err := j.Append(binary.BigEndian.AppendUint32([]byte{byte(w)}, uint32(n)))
				if err == nil {
					err = j.CommitTo(at)
				}
				if err == nil && j.Durable() <= at {
					err = errors.New("committed is not durable")
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	_, records, _ := open(t, copyDir(t, dir), journal.Options{})
	var next [writers]uint32
	for _, r := range records {
		w := r[0]
		if n := binary.BigEndian.Uint32([]byte(r[1:])); n != next[w] {
			t.Fatalf("writer %d: record %d where %d is due", w, n, next[w])
		}
		next[w]++
	}
	if len(records) != writers*each {
		t.Errorf("%d records", len(records))
	}
}

// Whatever was done, a cut at any byte, which is what a death in the middle of
// a write leaves, yields the records before it, all that were committed before
// it among them, and a journal that goes on from there.
func TestCutAnywhere(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		dir, err := os.MkdirTemp(t.TempDir(), "")
		if err != nil {
			r.Fatal(err)
		}
		o := journal.Options{Segment: int64(rapid.IntRange(1, 300).Draw(r, "segment"))}
		j, _, _ := open(t, dir, o)
		var all []string
		var places []journal.Pos
		released, committed := 0, 0
		r.Repeat(map[string]func(*rapid.T){
			"append": func(r *rapid.T) {
				size := rapid.IntRange(0, 40).Draw(r, "size")
				record := fmt.Appendf(nil, "%d%*s", len(all), size, "")
				at, err := j.Append(record)
				if err != nil {
					r.Fatal(err)
				}
				all, places = append(all, string(record)), append(places, at)
			},
			"commit": func(r *rapid.T) {
				if err := j.Commit(); err != nil {
					r.Fatal(err)
				}
				committed = len(all)
			},
			"release": func(r *rapid.T) {
				if len(all) == 0 {
					r.Skip()
				}
				released = max(released, rapid.IntRange(0, len(all)-1).Draw(r, "before"))
				if err := j.Release(places[released]); err != nil {
					r.Fatal(err)
				}
			},
			"": func(*rapid.T) {},
		})
		dead := copyDir(t, dir)
		j.Close()
		files, _ := filepath.Glob(filepath.Join(dead, "*.log"))
		cut, whole := false, 0 // records that are whole in what is left
		if len(files) > 0 {
			last := files[len(files)-1]
			info, err := os.Stat(last)
			if err != nil {
				r.Fatal(err)
			}
			keep := rapid.Int64Range(0, info.Size()).Draw(r, "keep")
			cut = keep < info.Size()
			var start journal.Pos
			fmt.Sscanf(filepath.Base(last), "%x", &start)
			for i, at := range places {
				if i < committed && (at < start || int64(at-start)+8+8+int64(len(all[i])) <= keep) {
					whole = i + 1
				}
			}
			if err := os.Truncate(last, keep); err != nil {
				r.Fatal(err)
			}
		}
		j, got, _ := open(t, dead, o)
		first := len(all)
		if len(got) > 0 {
			first = slices.Index(all, got[0])
		}
		if first+len(got) > len(all) || !slices.Equal(got, all[first:first+len(got)]) {
			r.Fatalf("got %q of %q", got, all)
		}
		if !cut {
			whole = committed
		}
		if first > released && whole > released || first+len(got) < whole {
			r.Fatalf("replay has records %d to %d; %d were released, %d are whole", first, first+len(got), released, whole)
		}
		appendAll(t, j, "after")
		j.Close()
		if j, again, _ := open(t, dead, o); !slices.Equal(again, append(got, "after")) {
			r.Fatalf("got %q after %q", again, got)
		} else {
			j.Close()
		}
	})
}

func FuzzOpen(f *testing.F) {
	dir := f.TempDir()
	j, _, _ := open(f, dir, journal.Options{})
	appendAll(f, j, "a", "b")
	j.Close()
	name := strings.Repeat("0", 16) + ".log"
	good, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(good[:len(good)-1])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
		var frames int
		j, _, err := journal.Open(t.Context(), dir, journal.Options{}, func(_ journal.Pos, record []byte) error {
			frames += len(record) + 8
			return nil
		})
		if err != nil {
			return
		}
		defer j.Close()
		if frames > len(b) {
			t.Errorf("%d bytes of records in %d bytes", frames, len(b))
		}
	})
}

func BenchmarkAppend(b *testing.B) {
	j, _, _ := open(b, b.TempDir(), journal.Options{})
	record := bytes.Repeat([]byte("x"), 300)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := j.Append(record); err != nil {
			b.Fatal(err)
		}
		if j.Next()%(1<<16) < 308 {
			if err := j.Commit(); err != nil {
				b.Fatal(err)
			}
		}
	}
}

// BenchmarkCommit is what one packet waits: its record appended and committed,
// by so many at once.
func BenchmarkCommit(b *testing.B) {
	for _, sync := range []bool{false, true} {
		for _, writers := range []int{1, 16, 64} {
			b.Run(fmt.Sprintf("sync=%v/writers=%d", sync, writers), func(b *testing.B) {
				j, _, _ := open(b, b.TempDir(), journal.Options{Sync: sync})
				record := bytes.Repeat([]byte("x"), 300)
				b.SetParallelism((writers + 1) / 2)
				b.ReportAllocs()
				b.RunParallel(func(p *testing.PB) {
					for p.Next() {
						at, err := j.Append(record)
						if err == nil {
							err = j.CommitTo(at)
						}
						if err != nil {
							b.Error(err)
						}
						if j.Size() > 64<<20 {
							j.Release(at)
						}
					}
				})
			})
		}
	}
}
