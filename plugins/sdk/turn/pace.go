package turn

const (
	share   = 32 << 10 // bytes in one tick that are done as they come
	quantum = 8 << 10  // bytes of one turn
)

// A Pace says whether a connection is busy: whether it brings more than 32 KiB
// in one tick, or did in the last, which with two ticks a second is some 300
// messages a second. The zero value has brought nothing. It is not for
// concurrent use.
type Pace struct {
	tick uint32
	came int // bytes in the tick
	left int // of its turn
	busy bool
}

// Came notes bytes that the connection has brought.
func (p *Pace) Came(bytes int) {
	p.came += bytes
	p.left -= bytes
}

// Due reports, in a tick of the caller's clock, whether the connection has to
// wait for its turn before it goes on. The turn is then 8 KiB: much less, and
// what is answered in one write gets too little.
func (p *Pace) Due(tick uint32) bool {
	if tick != p.tick {
		p.busy = p.came > share && tick == p.tick+1
		p.tick, p.came = tick, 0
	}
	if p.left > 0 || !p.busy && p.came <= share {
		return false
	}
	p.left = quantum
	return true
}
