package conformance

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"syscall"
	"testing"

	"github.com/jabberii/server/plugins/sdk/xdb"
)

// Bench measures a backend as the server uses it, by packets but without the
// server: rosters, an archive, and changes by one asker and by 64, each about
// an owner of its own. An operation is one question; cpu-ns/op is the time of
// processors that it takes, in all threads.
func Bench(b *testing.B, open Opener) {
	s := benched(b, open)
	benchChanges(b, s)
	benchReads(b, s)
}

func benched(b *testing.B, open Opener) *xdb.Store {
	backend, closed, err := open(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := closed(); err != nil {
			b.Error(err)
		}
	})
	return NewStore(backend)
}

const askers = 64

func benchChanges(b *testing.B, s *xdb.Store) {
	roster, message := bytes.Repeat([]byte("r"), 200), bytes.Repeat([]byte("m"), 300)
	changes := []struct {
		name   string
		change func(asker, n int) error
	}{
		{"put", func(asker, n int) error {
			_, err := s.Put(context.Background(), owner(asker), "roster", fmt.Sprintf("c%02d@example.org", n%100), roster)
			return err
		}},
		{"append", func(asker, n int) error {
			_, err := s.Append(context.Background(), fmt.Sprintf("a%d-%d@example.org", asker, n/1000), "archive", owner(n%50), message)
			return err
		}},
	}
	for _, c := range changes {
		for _, askers := range []int{1, askers} {
			b.Run(fmt.Sprintf("%s/askers=%d", c.name, askers), func(b *testing.B) {
				for asker := range askers { // the first change of an owner may make folders
					if err := c.change(asker, 0); err != nil {
						b.Fatal(err)
					}
				}
				b.ResetTimer()
				defer processors(b)()
				var asking sync.WaitGroup
				for asker := range askers {
					asking.Go(func() {
						for n := range (b.N + askers - 1) / askers {
							if err := c.change(asker, n); err != nil {
								b.Error(err)
								return
							}
						}
					})
				}
				asking.Wait()
			})
		}
	}
}

func benchReads(b *testing.B, s *xdb.Store) {
	ctx := context.Background()
	for i := 0; i < 10000; i += 500 {
		var changes []xdb.Change
		for n := range 500 {
			changes = append(changes, xdb.Change{Op: xdb.Append, NS: "archive", With: owner((i + n) % 100), Value: bytes.Repeat([]byte("m"), 300)})
		}
		if err := s.Batch(ctx, "reader@example.org", changes); err != nil {
			b.Fatal(err)
		}
	}
	for i := range 100 {
		if _, err := s.Put(ctx, "reader@example.org", "roster", owner(i), bytes.Repeat([]byte("r"), 200)); err != nil {
			b.Fatal(err)
		}
	}
	page := func(q xdb.Query) func() error {
		return func() error {
			p, err := s.Query(ctx, "reader@example.org", "archive", q)
			if err == nil && len(p.Items) != max(q.Max, 0) {
				err = fmt.Errorf("%d items", len(p.Items))
			}
			return err
		}
	}
	for _, c := range []struct {
		name string
		read func() error
	}{
		{"get", func() error {
			_, found, err := s.Get(ctx, "reader@example.org", "roster", owner(50))
			if err == nil && !found {
				err = fmt.Errorf("it is not there")
			}
			return err
		}},
		{"get/roster of 100", func() error {
			items, err := s.GetAll(ctx, "reader@example.org", "roster")
			if err == nil && len(items) != 100 {
				err = fmt.Errorf("%d items", len(items))
			}
			return err
		}},
		{"page/last 50 of 10000", page(xdb.Query{Reverse: true, Max: 50})},
		{"page/last 50 with somebody", page(xdb.Query{Reverse: true, Max: 50, With: owner(7)})},
		{"page/count", page(xdb.Query{Count: true, Max: -1})},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			b.ResetTimer()
			defer processors(b)()
			for range b.N {
				if err := c.read(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// processors reports the time of processors until what it returns is called.
func processors(b *testing.B) (report func()) {
	used := func() int64 {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			b.Fatal(err)
		}
		return u.Utime.Nano() + u.Stime.Nano()
	}
	before := used()
	return func() { b.ReportMetric(float64(used()-before)/float64(b.N), "cpu-ns/op") }
}
