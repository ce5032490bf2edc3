package sm

import (
	"iter"
	"slices"
	"sync"

	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sdk/journal"
)

// A queue has the stanzas to a client that it has not acknowledged, in order.
// It takes room from a pool while it has some: most queues are empty.
type queue struct {
	rooms []*queueRoom
	head  int // of the first, in the first room
	count int
	bytes int
	pool  *sync.Pool // of *queueRoom
}

// A queueRoom has some of the stanzas of a queue.
type queueRoom [8]queued

// A queued stanza waits for its acknowledgement.
type queued struct {
	p      packet.Packet // as it was for the account
	at     int64         // when it came, Unix milliseconds
	place  journal.Pos   // of its record
	stored string        // its key among the offline messages, "" if it is none
	copies *copies       // with other sessions; nil if it is the only one
}

// Copies are the sessions that one message went to: while one of them has it,
// the others need not.
type copies struct {
	held  int  // unacknowledged in so many queues
	taken bool // a client has it
}

// size is about what a stanza takes in memory.
func (q *queued) size() int {
	p := &q.p
	return 512 + len(p.Body) + len(p.Attrs) + len(p.To) + len(p.From) + len(p.ID)
}

func (u *queue) len() int { return u.count }

func (u *queue) at(i int) *queued {
	i += u.head
	return &u.rooms[i/len(queueRoom{})][i%len(queueRoom{})]
}

// all iterates over the stanzas; the first is at 0.
func (u *queue) all() iter.Seq2[int, *queued] {
	return func(yield func(int, *queued) bool) {
		for i := range u.len() {
			if !yield(i, u.at(i)) {
				return
			}
		}
	}
}

func (u *queue) push(q *queued) {
	if u.head+u.count == len(u.rooms)*len(queueRoom{}) {
		room, _ := u.pool.Get().(*queueRoom)
		if room == nil {
			room = new(queueRoom)
		}
		u.rooms = append(u.rooms, room)
	}
	u.count++
	*u.at(u.count - 1) = *q
	u.bytes += q.size()
}

// drop takes the first stanzas away, which the client has, and returns the keys
// of those among them that are in storage.
func (u *queue) drop(n int) (stored []string) {
	for i := range n {
		q := u.at(i)
		if q.stored != "" {
			stored = append(stored, q.stored)
		}
		if q.copies != nil {
			q.copies.taken = true
			q.copies.held--
		}
		u.bytes -= q.size()
		*q = queued{}
	}
	u.head += n
	u.count -= n
	u.leave(u.head / len(queueRoom{}))
	if u.count == 0 {
		u.leave(len(u.rooms))
	}
	return stored
}

// remove takes one stanza away that the client was not given.
func (u *queue) remove(i int) {
	q := u.at(i)
	if q.copies != nil {
		q.copies.held--
	}
	u.bytes -= q.size()
	for ; i < u.count-1; i++ {
		*u.at(i) = *u.at(i + 1)
	}
	*u.at(u.count - 1) = queued{}
	u.count--
	if full := (u.head + u.count + len(queueRoom{}) - 1) / len(queueRoom{}); full < len(u.rooms) {
		u.pool.Put(u.rooms[full])
		u.rooms = u.rooms[:full]
	}
	if u.count == 0 {
		u.leave(len(u.rooms))
	}
}

// leave gives the first rooms back.
func (u *queue) leave(n int) {
	for _, room := range u.rooms[:n] {
		u.pool.Put(room)
	}
	if u.rooms = slices.Delete(u.rooms, 0, n); len(u.rooms) == 0 {
		u.rooms, u.head = nil, 0
		return
	}
	u.head -= n * len(queueRoom{})
}
