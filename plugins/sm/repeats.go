package sm

import (
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jabberii/server/jabberd/packet"
)

// Repeats remember which stanzas accounts were given, for those that come again
// after the death of the process before: by the journal, which says what that
// one gave, and by this one, since a stanza may come again from who held it and
// from the journal. Stanzas of one origin come in order, so that it is enough
// to know the last.
//
// Presence may be repeated, and one stanza of a client may lead to several to
// one account.
type repeats struct {
	on atomic.Bool

	mu         sync.Mutex
	young, old map[origin]*uint64
	end        moment // when nothing can come again
}

// origin is where stanzas to an account come from.
type origin struct {
	to   string // bare
	from packet.Token
}

const (
	// remembered is for how long after a start stanzas may come again: longer
	// than any packet lives in the tree.
	remembered = moment(5 * time.Minute / tick)
	// maxRepeats is how many origins are remembered at least; about a hundred
	// bytes each, and at most twice as many.
	maxRepeats = 1 << 16
)

func isOnce(p *packet.Packet) bool { return p.Name != "presence" && hasOrigin(p) }

// note remembers that an account is given a stanza.
func (r *repeats) note(jid string, p *packet.Packet) {
	if !r.on.Load() || !isOnce(p) {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	o := origin{jid, p.Near}
	if r.last(o) >= p.Seq {
		return
	}
	if last := r.young[o]; last != nil {
		*last = p.Seq
		return
	}
	if len(r.young) >= maxRepeats || r.young == nil {
		r.young, r.old = map[origin]*uint64{}, r.young
	}
	last := p.Seq
	r.young[origin{strings.Clone(jid), p.Near.Own()}] = &last
}

func (r *repeats) last(o origin) (seq uint64) {
	for _, last := range [...]*uint64{r.young[o], r.old[o]} {
		if last != nil {
			seq = max(seq, *last)
		}
	}
	return seq
}

// has reports whether an account was given a stanza.
func (r *repeats) has(jid string, p *packet.Packet) bool {
	if !r.on.Load() || !isOnce(p) {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.last(origin{jid, p.Near}) >= p.Seq
}

// until says when to forget all.
func (r *repeats) until(end moment) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.end = end
}

// forget gives memory back once nothing can come again.
func (r *repeats) forget(now moment) {
	if !r.on.Load() {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.end != 0 && now > r.end {
		r.on.Store(false)
		r.young, r.old = nil, nil
	}
}
