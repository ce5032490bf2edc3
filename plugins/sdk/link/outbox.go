package link

import (
	"time"

	"github.com/jabberii/server/jabberd/frame"
	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
)

// A letter is a packet that was handed to the link and has no verdict yet.
type letter struct {
	walk  frame.Walk
	end   module.Ending
	until time.Time
	size  int
	sent  bool // on some stream, so that it may have been handled
	flies bool // it is on the stream that there is
}

// An outbox holds letters in the order of their numbers, which are those of their
// walks, until the peer has answered them. With the link's lock.
type outbox struct {
	base    uint64    // the number of letters[0]
	letters []*letter // nil where there is a verdict
	next    uint64    // the first that is not written to the stream
	flying  int       // written to the stream and without a verdict
	count   int       // letters without a verdict
	size    int       // their bytes
}

// put adds a packet, of which it keeps a copy. One without a name gets that of
// this life of the link.
func (o *outbox) put(origin uint64, p *packet.Packet, end module.Ending, until time.Time, size int) {
	x := &letter{end: end, until: until, size: size}
	x.walk.ID = o.base + uint64(len(o.letters))
	x.walk.Packet = *p
	x.walk.Packet.Host, x.walk.Packet.Section = "", "" // names in this tree
	if n := end.Name(); n.Origin != 0 {
		x.walk.Origin, x.walk.Num, x.walk.Part, x.walk.Settled = n.Origin, n.Num, n.Part, n.Settled
	} else {
		x.walk.Origin, x.walk.Num = origin, x.walk.ID
		x.walk.Settled = o.base
	}
	o.letters = append(o.letters, x)
	o.count++
	o.size += size
}

// again has all that has no verdict be written to a new stream.
func (o *outbox) again() {
	o.next, o.flying = o.base, 0
	for _, x := range o.letters {
		if x != nil {
			x.flies = false
		}
	}
}

// write takes the letters that are to be written next: at most so many bytes,
// and so many that window are unanswered.
func (o *outbox) write(to []*letter, bytes, window int, now time.Time) []*letter {
	for o.flying < window && bytes > 0 && o.next < o.base+uint64(len(o.letters)) {
		x := o.letters[o.next-o.base]
		o.next++
		if x == nil || now.After(x.until) { // its sender is being told
			continue
		}
		if x.sent {
			x.walk.Packet.Flags |= packet.Redelivered
		}
		x.sent, x.flies = true, true
		o.flying++
		bytes -= x.size
		to = append(to, x)
	}
	return to
}

// answered takes the letter with a number, nil if there is none.
func (o *outbox) answered(id uint64) *letter {
	if id < o.base || id-o.base >= uint64(len(o.letters)) {
		return nil
	}
	return o.take(int(id - o.base))
}

func (o *outbox) take(i int) *letter {
	x := o.letters[i]
	if x == nil {
		return nil
	}
	o.letters[i] = nil
	o.count--
	o.size -= x.size
	if x.flies {
		o.flying--
	}
	n := 0
	for n < len(o.letters) && o.letters[n] == nil {
		n++
	}
	o.base += uint64(n)
	o.next = max(o.next, o.base)
	if o.letters = o.letters[n:]; len(o.letters) == 0 {
		o.letters = nil
	}
	return x
}

// late takes the letters whose time is up.
func (o *outbox) late(now time.Time) (late []*letter) {
	for id, end := o.base, o.base+uint64(len(o.letters)); id < end; id++ {
		if id < o.base { // what was before it is taken, too
			continue
		}
		if x := o.letters[id-o.base]; x != nil && now.After(x.until) {
			late = append(late, o.take(int(id-o.base)))
		}
	}
	return late
}

// takeAll takes all letters.
func (o *outbox) takeAll() (all []*letter) {
	for _, x := range o.letters {
		if x != nil {
			all = append(all, x)
		}
	}
	o.base += uint64(len(o.letters))
	o.letters, o.next, o.flying, o.count, o.size = nil, o.base, 0, 0, 0
	return all
}
