package xdb_test

import (
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/jabberii/server/plugins/sdk/xdb"
)

func TestRevText(t *testing.T) {
	for rev, want := range map[xdb.Rev]string{
		0: "", 1: "0000000000001", 31: "000000000000v", 32: "0000000000010", xdb.MaxRev: "7vvvvvvvvvvvv",
	} {
		if got := rev.String(); got != want {
			t.Errorf("%d is %q, want %q", rev, got, want)
		}
		if back, err := xdb.ParseRev(want); err != nil || back != rev {
			t.Errorf("%q is %d, %v, want %d", want, back, err, rev)
		}
	}
	for _, s := range []string{"1", "000000000000w", "000000000000V", "0000000000000", "8000000000000", "00000000000001", " 000000000001"} {
		if rev, err := xdb.ParseRev(s); err == nil {
			t.Errorf("%q is %d", s, rev)
		}
	}
}

func TestRevSortsAsText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := xdb.Rev(rapid.Uint64Range(1, uint64(xdb.MaxRev)).Draw(t, "a"))
		b := xdb.Rev(rapid.Uint64Range(1, uint64(xdb.MaxRev)).Draw(t, "b"))
		if (a < b) != (a.String() < b.String()) {
			t.Fatalf("%d and %d are %s and %s", a, b, a, b)
		}
		if back, err := xdb.ParseRev(a.String()); err != nil || back != a {
			t.Fatalf("%d came back as %d, %v", a, back, err)
		}
	})
}

func TestRevTime(t *testing.T) {
	now := time.Now()
	if got := xdb.At(now).Time(); !got.Equal(now) {
		t.Errorf("%v came back as %v", now, got)
	}
	for at, want := range map[time.Time]xdb.Rev{
		time.Unix(-1, 0): 0, time.Unix(0, 0): 0, time.Unix(0, 1): 1, {}: 0,
		time.Date(2500, 1, 1, 0, 0, 0, 0, time.UTC): xdb.MaxRev,
	} {
		if got := xdb.At(at); got != want {
			t.Errorf("%v is %d, want %d", at, got, want)
		}
	}
}

func TestClock(t *testing.T) {
	var c xdb.Clock
	start := xdb.At(time.Now())
	if first := c.Next(3); first < start || first > xdb.At(time.Now()) {
		t.Errorf("the first revision is %v at %v", first.Time(), time.Now())
	} else if c.Last() != first+2 {
		t.Errorf("the last of three is %v after %v", c.Last(), first)
	}
	ahead := xdb.At(time.Now().Add(time.Hour))
	c.Saw(ahead)
	c.Saw(start)
	if next := c.Next(1); next != ahead+1 {
		t.Errorf("after %v comes %v", ahead, next)
	}
	seen := map[xdb.Rev]bool{}
	var mu sync.Mutex
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			last := xdb.Rev(0)
			for range 1000 {
				rev := c.Next(1)
				if rev <= last {
					t.Errorf("%v after %v", rev, last)
				}
				last = rev
				mu.Lock()
				if seen[rev] {
					t.Errorf("%v twice", rev)
				}
				seen[rev] = true
				mu.Unlock()
			}
		})
	}
	all.Wait()
}

func TestStamp(t *testing.T) {
	var c xdb.Clock
	ahead := xdb.At(time.Now().Add(time.Minute))
	changes := []xdb.Change{
		{Op: xdb.Put, Key: "k"}, {Op: xdb.Append}, {Op: xdb.Append, Key: ahead.String()}, {Op: xdb.Append},
		{Op: xdb.Put, Key: "copy", Copy: true, Rev: 5}, {Op: xdb.Put, Key: strings.Repeat("v", 13)},
	}
	c.Stamp(changes)
	for i, ch := range changes {
		if !ch.Copy && ch.Rev != changes[0].Rev+xdb.Rev(i) || ch.Rev <= ahead && !ch.Copy {
			t.Errorf("change %d has the revision %v", i, ch.Rev)
		}
	}
	if changes[4].Rev != 5 || changes[1].Key != changes[1].Rev.String() || changes[3].Key <= ahead.String() {
		t.Errorf("got %+v", changes)
	}
}
