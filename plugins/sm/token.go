package sm

import (
	"crypto/rand"
	"encoding/binary"
	"sync"
	"sync/atomic"

	"github.com/jabberii/server/jabberd/packet"
)

// A table has the sessions by their tokens. Looking one up takes no lock.
type table struct {
	section string
	chunks  [1 << 10]atomic.Pointer[chunk]

	mu          sync.Mutex
	slots       uint32   // that were ever used
	free        []uint32 // of them
	incarnation uint32
	byConn      map[packet.Token]*session // by the token of the connection
}

const chunkBits = 12

type chunk [1 << chunkBits]atomic.Pointer[session]

// maxSlots is how many sessions one section can have.
const maxSlots = 1 << (10 + chunkBits)

func (t *table) init(section string) {
	t.section = section
	t.byConn = map[packet.Token]*session{}
	var seed [4]byte
	_, _ = rand.Read(seed[:]) // it never fails
	t.incarnation = binary.LittleEndian.Uint32(seed[:])
}

// at returns what is in a slot.
func (t *table) at(slot uint32) *session {
	if slot >= maxSlots {
		return nil
	}
	c := t.chunks[slot>>chunkBits].Load()
	if c == nil {
		return nil
	}
	return c[slot&(1<<chunkBits-1)].Load()
}

// find returns the session with a token, nil if it is gone.
func (t *table) find(token packet.Token) *session {
	if x := t.at(token.Slot); x != nil && x.token.Incarnation == token.Incarnation {
		return x
	}
	return nil
}

// of returns the session of a connection, nil if it has none.
func (t *table) of(conn packet.Token) *session {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.byConn[conn]
}

// enter gives a session its token, and says whether there was room.
func (t *table) enter(x *session, domain string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	slot := t.slots
	if n := len(t.free); n > 0 {
		slot, t.free = t.free[n-1], t.free[:n-1]
	} else if slot == maxSlots {
		return false
	} else {
		t.slots++
	}
	t.incarnation++
	x.token = packet.Token{Host: domain, Section: t.section, Slot: slot, Incarnation: t.incarnation}
	t.put(x)
	return true
}

// enterAgain puts a session of the journal where its token says, and reports
// whether the place was free.
func (t *table) enterAgain(x *session) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if x.token.Slot >= maxSlots || t.at(x.token.Slot) != nil {
		return false
	}
	t.slots = max(t.slots, x.token.Slot+1)
	t.put(x)
	return true
}

// findFree lists the free slots anew.
func (t *table) findFree() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.free = t.free[:0]
	for slot := range t.slots {
		if t.at(slot) == nil {
			t.free = append(t.free, slot)
		}
	}
}

func (t *table) put(x *session) {
	slot := x.token.Slot
	c := t.chunks[slot>>chunkBits].Load()
	if c == nil {
		c = new(chunk)
		t.chunks[slot>>chunkBits].Store(c)
	}
	c[slot&(1<<chunkBits-1)].Store(x)
}

// leave frees the token of a session.
func (t *table) leave(x *session) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.at(x.token.Slot) != x {
		return
	}
	t.chunks[x.token.Slot>>chunkBits].Load()[x.token.Slot&(1<<chunkBits-1)].Store(nil)
	t.free = append(t.free, x.token.Slot)
}

// connect says that a session has another connection, the zero token being
// none.
func (t *table) connect(x *session, old, conn packet.Token) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !old.IsZero() && t.byConn[old] == x {
		delete(t.byConn, old)
	}
	if !conn.IsZero() {
		t.byConn[conn] = x
	}
}

// each calls f with every session.
func (t *table) each(f func(*session)) {
	for i := range t.chunks {
		c := t.chunks[i].Load()
		if c == nil {
			return
		}
		for j := range c {
			if x := c[j].Load(); x != nil {
				f(x)
			}
		}
	}
}
