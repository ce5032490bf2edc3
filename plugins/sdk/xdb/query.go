package xdb

import (
	"time"

	"github.com/jabberii/server/jabberd/packet"
)

// Limits of a query.
const (
	DefaultPage = 100  // items, if the query does not say
	MaxPage     = 1000 // items, whatever the query says
)

// A Query asks for a page of a namespace, in the order of keys. The zero Query
// asks for its first 100 items.
type Query struct {
	// The range, of which Count tells the size. Start and End compare with
	// keys that are revisions, which those of appended items are; both are in
	// the range. With takes items about an address; a bare one takes those
	// about its resources too.
	Start, End time.Time
	With       string

	// The page: items after and before these keys, which need not be there,
	// Max at most; 0 is DefaultPage, less than 0 is none.
	After, Before string
	Max           int

	Reverse bool // from the greatest key down, and the page from the end of the range
	Count   bool // count the range
	NoValue bool // leave the values out
}

// A Page is the answer to a [Query].
type Page struct {
	Items []Item
	More  bool // there are further items in the direction of the query
	Count int  // items in the range; -1 if it was not asked for

	bytes int
}

// Add puts an item into the page, or says that the page is full, by number or
// by [MaxBody], and that the backend can stop.
func (p *Page) Add(q *Query, it Item) (full bool) {
	if q.NoValue {
		it.Value = nil
	}
	if len(p.Items) >= q.limit() || p.bytes+it.size() > MaxBody && len(p.Items) > 0 {
		p.More = true
		return true
	}
	p.bytes += it.size()
	p.Items = append(p.Items, it)
	return false
}

func (q *Query) limit() int {
	switch {
	case q.Max < 0:
		return 0
	case q.Max == 0:
		return DefaultPage
	}
	return min(q.Max, MaxPage)
}

// Empty reports whether the query asks for no items, only for their count.
func (q *Query) Empty() bool { return q.Max < 0 }

// Keys returns the keys of the page: from is the least that may be in it, to
// the least that is beyond it, "" being no end.
func (q *Query) Keys() (from, to string) {
	from, to = q.Range()
	if q.After != "" {
		from = max(from, q.After+"\x00")
	}
	if q.Before != "" && (to == "" || q.Before < to) {
		to = q.Before
	}
	return from, to
}

// Range returns the keys of the range, as Keys does for the page.
func (q *Query) Range() (from, to string) {
	if !q.Start.IsZero() {
		from = At(q.Start).String()
	}
	if !q.End.IsZero() {
		to = max(At(q.End)+1, 1).String()
	}
	return from, to
}

// Takes reports whether the query asks for items about an address.
func (q *Query) Takes(with string) bool {
	return q.With == "" || q.With == with || len(q.With) < len(with) && q.With == packet.Bare(with)
}

// check reports what is wrong with the query.
func (q *Query) check() error {
	for _, name := range []string{q.After, q.Before, q.With} {
		if err := checkName("a bound or an address", name, MaxKey); err != nil {
			return err
		}
	}
	return nil
}
