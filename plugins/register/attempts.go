package register

import (
	"container/list"
	"sync"
	"time"
)

// attempts count registrations by address, and all of them. What counts is forgotten
// steadily. The table is bounded: with too many addresses the one that tried least
// recently goes, for which the bound on all is there.
type attempts struct {
	limit limitArgs

	mu     sync.Mutex
	all    level
	counts map[string]*list.Element // of *origin
	recent list.List                // the one that tried last in front
}

type origin struct {
	address string
	level
}

// A level is how many attempts are not forgotten, at a time.
type level struct {
	n  float64
	at time.Time
}

const maxOrigins = 20000

func (a *attempts) init(limit limitArgs) {
	a.limit, a.counts = limit, map[string]*list.Element{}
}

// take counts an attempt, and reports whether it is not one too many.
func (a *attempts) take(address string, now time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	window := a.limit.Window.Std()
	var own level
	el := a.counts[address]
	if el != nil {
		own = el.Value.(*origin).level
	}
	if !own.hasRoom(a.limit.Address, window, now) || !a.all.hasRoom(a.limit.Total, window, now) {
		return false
	}
	own.add(a.limit.Address, window, now)
	a.all.add(a.limit.Total, window, now)
	if el != nil {
		el.Value.(*origin).level = own
		a.recent.MoveToFront(el)
		return true
	}
	a.counts[address] = a.recent.PushFront(&origin{address, own})
	if len(a.counts) > maxOrigins {
		delete(a.counts, a.recent.Remove(a.recent.Back()).(*origin).address)
	}
	return true
}

// left is what counts of a level now.
func (l *level) left(limit int, window time.Duration, now time.Time) float64 {
	return max(0, l.n-now.Sub(l.at).Seconds()/window.Seconds()*float64(limit))
}

func (l *level) hasRoom(limit int, window time.Duration, now time.Time) bool {
	return limit == 0 || l.left(limit, window, now)+1 <= float64(limit)
}

func (l *level) add(limit int, window time.Duration, now time.Time) {
	*l = level{l.left(limit, window, now) + 1, now}
}
