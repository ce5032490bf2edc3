package link

import (
	"context"
	"time"

	"github.com/jabberii/server/jabberd/frame"
	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/xmpp/stanza"
)

// A name names a packet of the peer, however often it is handed over.
type name struct{ origin, num, part uint64 }

// An arrival is a packet of the peer: it is being handled, or its verdict is
// remembered for the case that it comes again.
type arrival struct {
	name
	tag    uint64
	until  int64 // when the peer has given it up, in ns since 1970
	walk   uint64
	stream *Stream // that wants the verdict, as the answer to walk; nil if none does
	done   bool
	reject *packet.Reject
}

// most is how many packets a link remembers, the oldest going first. It is beyond
// what is in flight within a deadline.
const most = 1 << 18

// An inbox is what the peer has handed over. With the link's lock.
type inbox struct {
	source  module.Source
	known   map[name]*arrival
	order   []*arrival // all that are known, oldest first but for those that were moved back
	handled map[uint64]*arrival
	tag     uint64
	settled map[uint64]uint64 // by origin: numbers below will not come again
}

// open makes the source of the packets.
func (b *inbox) open(l *Link) {
	b.known, b.handled, b.settled = map[name]*arrival{}, map[uint64]*arrival{}, map[uint64]uint64{}
	b.source = l.Env.Source(module.SourceConfig{Window: b.room(l), Hop: true, Settled: l.settled})
}

// room is how many packets are handled at once: those that the peer has given up
// and that are handled all the same come on top of its window.
func (b *inbox) room(l *Link) int { return 4 * l.Window }

// arrive notes a walk that s has brought. It returns nil if there is nothing to
// do: it is known. full says that too many are being handled.
func (b *inbox) arrive(w *frame.Walk, s *Stream, room int) (a *arrival, full bool) {
	now := time.Now().UnixNano()
	if w.Settled > b.settled[w.Origin] {
		b.settle(w.Origin, w.Settled)
	}
	b.forget(now, 2)
	n := name{w.Origin, w.Num, w.Part}
	if a := b.known[n]; a != nil {
		a.walk, a.stream = w.ID, s
		if a.done {
			s.answer(a)
		}
		return nil, false
	}
	if len(b.handled) >= room {
		return nil, true
	}
	b.tag++
	a = &arrival{name: n, tag: b.tag, walk: w.ID, stream: s, until: now + int64(max(w.Timeout, 0)) + int64(slack)}
	b.known[n], b.handled[a.tag] = a, a
	b.order = append(b.order, a)
	return a, false
}

// slack is how much longer than its deadline a packet may be on its way.
const slack = 10 * time.Second

// settle notes the number below which an origin asks for nothing again.
func (b *inbox) settle(origin, below uint64) {
	if len(b.settled) >= 1024 { // origins are processes, and most of these have ended
		clear(b.settled)
	}
	b.settled[origin] = below
}

// forget looks at the n oldest arrivals, and forgets those that will not come
// again. Others are moved back, so that none is in the way.
func (b *inbox) forget(now int64, n int) {
	for range min(n, len(b.order)) {
		a := b.order[0]
		b.order[0] = nil
		b.order = b.order[1:]
		if a.done && (a.num < b.settled[a.origin] || now > a.until || len(b.order) >= most) {
			if b.known[a.name] == a { // it may have been dropped, and have come again
				delete(b.known, a.name)
			}
			continue
		}
		b.order = append(b.order, a)
	}
}

// end notes a verdict: of the tree, or of the inbox itself.
func (b *inbox) end(tag uint64, reject *packet.Reject) {
	a := b.handled[tag]
	if a == nil {
		return
	}
	delete(b.handled, tag)
	a.done, a.reject = true, reject
	if a.stream != nil {
		a.stream.answer(a)
	}
}

// drop forgets an arrival that the tree did not take.
func (b *inbox) drop(a *arrival) {
	delete(b.handled, a.tag)
	delete(b.known, a.name)
	a.done, a.until = true, 0
}

// settled is told by the tree how packets of the peer ended.
func (l *Link) settled(outcomes []packet.Outcome) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, o := range outcomes {
		var r *packet.Reject
		if o.Result != packet.Claimed {
			if r = o.Reason; r == nil {
				r = packet.Refuse(string(stanza.ServiceUnavailable), "")
			}
		}
		l.in.end(o.Tag, r)
	}
}

// A deadline is a context that ends when its parent does, and says when a packet
// is given up: one for all packets of a stream, and no timer.
type deadline struct {
	context.Context
	at time.Time
}

func (d *deadline) Deadline() (time.Time, bool) { return d.at, true }
