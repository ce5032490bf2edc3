package peer

import (
	"slices"
	"sync"

	"github.com/jabberii/server/jabberd/packet"
)

// maxPongs is how many answers may wait at once.
const maxPongs = 64

// An account counts the packets of a stream that are under way, and keeps the
// answers to pings that wait for those before them.
type account struct {
	mu    sync.Mutex
	open  int // under way
	pongs []pong
}

// A pong waits for the packets with a tag up to its own.
type pong struct {
	tag    uint64
	waits  int
	answer packet.Packet
}

// begin counts a packet that enters the tree.
func (a *account) begin() {
	a.mu.Lock()
	a.open++
	a.mu.Unlock()
}

// after keeps an answer until all packets up to tag, the last one, have ended. now
// says that they have; ok is false if too many wait.
func (a *account) after(tag uint64, answer packet.Packet) (now, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case a.open == 0:
		return true, true
	case len(a.pongs) == maxPongs:
		return false, false
	}
	a.pongs = append(a.pongs, pong{tag, a.open, answer})
	return false, true
}

// end counts a packet that has ended, and returns what may be answered now.
func (a *account) end(tag uint64) (answers []packet.Packet) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.open--
	if len(a.pongs) == 0 {
		return nil
	}
	for i := range a.pongs {
		p := &a.pongs[i]
		if tag <= p.tag {
			p.waits--
		}
		if p.waits == 0 {
			answers = append(answers, p.answer)
		}
	}
	a.pongs = slices.DeleteFunc(a.pongs, func(p pong) bool { return p.waits == 0 })
	return answers
}
