package badger_test

import (
	"bytes"
	"fmt"
	"sync"
	"testing"

	"github.com/jabberii/server/plugins/sdk/xdb"
	"github.com/jabberii/server/xdb/badger"
)

func owner(n int) string { return fmt.Sprintf("u%d@example.org", n) }

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
