package xdb

import (
	"fmt"
	"math"
	"sync/atomic"
	"time"

	"github.com/jabberii/server/jabberd/packet"
)

// A Rev is the revision of an item: the moment of the change that made it, in
// nanoseconds since 1970, or one more than the revision before where the clock
// did not move on. In one store a later change has a greater Rev, so that no
// revision comes back after a delete. 0 is no revision.
//
// So who keeps one of an owner's namespace can ask what has changed since. Stores
// differ: those of two are compared for equality only.
type Rev uint64

// MaxRev is the greatest revision, in the year 2262.
const MaxRev Rev = math.MaxInt64

// revLength is the length of a revision in text.
const revLength = 13

const revDigits = "0123456789abcdefghijklmnopqrstuv"

// At returns the revision that a change at t would have. Entries of the past
// are appended under the key At(t).String(). Before 1970 it is 0.
func At(t time.Time) Rev {
	if t.Before(time.Unix(0, 0)) {
		return 0
	}
	if t.After(MaxRev.Time()) {
		return MaxRev
	}
	return Rev(t.UnixNano())
}

// Time returns the moment of r.
func (r Rev) Time() time.Time { return time.Unix(0, int64(min(r, MaxRev))).UTC() }

// String returns r as 13 digits 0-9a-v, which sort as revisions do. The key of
// an appended item is one. No revision is "".
func (r Rev) String() string {
	if r == 0 {
		return ""
	}
	return string(r.append(make([]byte, 0, revLength)))
}

func (r Rev) append(dst []byte) []byte {
	if r == 0 {
		return dst
	}
	for shift := (revLength - 1) * 5; shift >= 0; shift -= 5 {
		dst = append(dst, revDigits[r>>shift&31])
	}
	return dst
}

// ParseRev reads what String wrote.
func ParseRev(s string) (Rev, error) {
	if s == "" {
		return 0, nil
	}
	r, ok := parseRev(s)
	if !ok {
		return 0, packet.Refuse("bad-request", fmt.Sprintf("%.40q is no revision", s))
	}
	return r, nil
}

func parseRev(s string) (r Rev, ok bool) {
	if len(s) != revLength {
		return 0, false
	}
	for i := range len(s) {
		switch c := s[i]; {
		case '0' <= c && c <= '9':
			r = r<<5 | Rev(c-'0')
		case 'a' <= c && c <= 'v':
			r = r<<5 | Rev(c-'a'+10)
		default:
			return 0, false
		}
	}
	return r, s[0] < '8' && r != 0
}

// A Clock makes revisions, each greater than all that it made or saw. The zero
// Clock is ready; a store that outlives its process shows it the greatest
// revision of before. It is safe for concurrent use.
type Clock struct{ last atomic.Uint64 }

// Next returns the first of n new revisions, which follow one another.
func (c *Clock) Next(n int) Rev {
	for {
		last := c.last.Load()
		first := max(uint64(At(time.Now())), last+1)
		if c.last.CompareAndSwap(last, first+uint64(n)-1) {
			return Rev(first)
		}
	}
}

// Last returns the greatest revision that was made or seen.
func (c *Clock) Last() Rev { return Rev(c.last.Load()) }

// Saw makes all revisions to come greater than r.
func (c *Clock) Saw(r Rev) {
	for {
		last := c.last.Load()
		if uint64(r) <= last || c.last.CompareAndSwap(last, uint64(min(r, MaxRev))) {
			return
		}
	}
}

// Stamp gives a revision to each change that has none from elsewhere, and to
// each [Append] without a key its revision as the key.
func (c *Clock) Stamp(changes []Change) {
	for i := range changes {
		ch := &changes[i]
		if ch.Copy {
			c.Saw(ch.Rev)
		}
		if r, ok := parseRev(ch.Key); ok && ch.Op == Append {
			c.Saw(r)
		}
	}
	next := c.Next(len(changes))
	for i := range changes {
		ch := &changes[i]
		if ch.Copy {
			continue
		}
		ch.Rev = next + Rev(i)
		if ch.Op == Append && ch.Key == "" {
			ch.Key = ch.Rev.String()
		}
	}
}
