package sm

import (
	"iter"

	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sdk/journal"
)

// A queue has the stanzas to a client that it has not acknowledged, in order.
type queue struct {
	items []queued // from head on; those before have gone
	head  int
	bytes int
}

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

func (u *queue) len() int { return len(u.items) - u.head }

func (u *queue) at(i int) *queued { return &u.items[u.head+i] }

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

// keptRoom is how many stanzas an empty queue keeps room for.
const keptRoom = 32

func (u *queue) push(q *queued) {
	if u.head > 0 && len(u.items) == cap(u.items) && u.head >= len(u.items)/2 {
		n := copy(u.items, u.items[u.head:])
		clear(u.items[n:])
		u.items, u.head = u.items[:n], 0
	}
	u.items = append(u.items, *q)
	u.bytes += q.size()
}

// drop takes the first stanzas away, which the client has, and returns the key
// of the last among them that was kept in storage.
func (u *queue) drop(n int) (stored string) {
	for i := range n {
		q := u.at(i)
		if q.stored != "" {
			stored = q.stored
		}
		if q.copies != nil {
			q.copies.taken = true
			q.copies.held--
		}
		u.bytes -= q.size()
	}
	clear(u.items[u.head : u.head+n])
	if u.head += n; u.head == len(u.items) {
		u.items, u.head = u.items[:0], 0
		if cap(u.items) > keptRoom {
			u.items = nil
		}
	}
	return stored
}
