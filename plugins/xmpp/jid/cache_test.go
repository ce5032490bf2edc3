package jid_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"unsafe"

	"github.com/jabberii/server/plugins/xmpp/jid"
)

func TestCache(t *testing.T) {
	c := jid.NewCache(16)
	for range 2 {
		for _, in := range []string{"a@b", "A@B", "\u00c9@b\u00fccher.example/\u265a", "a@b/" + strings.Repeat("x", 1000)} {
			want := jid.MustParse(in)
			if j, err := c.Parse(in); err != nil || j != want {
				t.Errorf("%q is %q, %v", in, j, err)
			}
			if j, err := c.ParseBytes([]byte(in)); err != nil || j != want {
				t.Errorf("%q is %q, %v", in, j, err)
			}
		}
		if j, err := c.ParseBytes([]byte("@")); err == nil {
			t.Errorf("@ is %q", j)
		}
	}
	one, _ := c.ParseBytes([]byte("a@b/c"))
	two, _ := c.Parse("a@b/" + strings.Repeat("c", 1))
	if unsafe.StringData(one.String()) != unsafe.StringData(two.String()) {
		t.Error("equal addresses have memory of their own")
	}
}

// The bytes are the caller's, and a cached address doesn't hold what it was cut
// from.
func TestCacheKeepsNothing(t *testing.T) {
	c := jid.NewCache(16)
	b := []byte("a@b/c")
	j, _ := c.ParseBytes(b)
	copy(b, "xxxxx")
	if k, _ := c.Parse("a@b/c"); j.String() != "a@b/c" || k != j {
		t.Errorf("%q, %q", j, k)
	}
	text := "d@e/f and much more"
	d, _ := c.Parse(text[:5])
	if unsafe.StringData(d.String()) == unsafe.StringData(text) {
		t.Error("holds the text around it")
	}
}

func TestCacheConcurrently(t *testing.T) {
	c := jid.NewCache(16) // so that they take places from each other
	var wait sync.WaitGroup
	for g := range 4 {
		wait.Go(func() {
			for i := range 1000 {
				in := fmt.Sprintf("\u00c9%d@example.org", i%40)
				want := fmt.Sprintf("\u00e9%d@example.org", i%40)
				if j, err := c.ParseBytes([]byte(in)); err != nil || j.String() != want {
					t.Errorf("%d: %q, %v", g, j, err)
				}
			}
		})
	}
	wait.Wait()
}

func TestAllocations(t *testing.T) {
	c := jid.NewCache(16)
	long := []byte("\u00c9lo\u00efse@b\u00fccher.example/\u265a")
	full := jid.MustParse("juliet@example.com/balcony")
	other := jid.MustParse("juliet@example.com/balcony")
	table := map[jid.JID]int{full: 1}
	if _, err := c.ParseBytes(long); err != nil {
		t.Fatal(err)
	}
	for name, f := range map[string]func() bool{
		"ASCII":      func() bool { _, err := jid.Parse("juliet@example.com/balcony"); return err == nil },
		"server":     func() bool { _, err := jid.Parse("conference.example.com"); return err == nil },
		"resource":   func() bool { _, err := jid.Parse("a@example.com/Psi+ (A b@c/d)"); return err == nil },
		"cached":     func() bool { _, err := c.ParseBytes(long); return err == nil },
		"parts":      func() bool { return full.Local() != full.Domain() && full.Resource() != "" },
		"bare":       func() bool { return full.Bare() != full && full.Server() != full.Bare() },
		"comparison": func() bool { return full == other && full.Compare(other) == 0 },
		"key":        func() bool { return table[other] == 1 },
	} {
		if n := testing.AllocsPerRun(100, func() {
			if !f() {
				t.Error(name)
			}
		}); n > 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func BenchmarkParse(b *testing.B) {
	for _, bench := range []struct{ name, in string }{
		{"ASCII", "juliet@example.com/balcony"},
		{"upper case", "Juliet@example.com/balcony"},
		{"Unicode", "\u00e9lo\u00efse@b\u00fccher.example/\u265a"},
	} {
		b.Run(bench.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := jid.Parse(bench.in); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(bench.name+", cached", func(b *testing.B) {
			b.ReportAllocs()
			c, in := jid.NewCache(64), []byte(bench.in)
			for b.Loop() {
				if _, err := c.ParseBytes(in); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
