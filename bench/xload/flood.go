package main

import (
	"fmt"
	"time"
)

// pour sends from one pair what is due, in few writes and without a window. It
// waits only while the socket takes no more; what was due meanwhile is not sent
// later.
func (v *conversation) pour(p *pair, rate float64) {
	const most = 64
	start := time.Now()
	for n := 0; !v.stop.Load(); {
		due := int(time.Since(start).Seconds()*rate) - n
		n += due
		if due > most {
			v.held.Add(int64(due - most))
		}
		if p.send(min(due, most), true, v.start) != nil {
			p.ended.Store(true)
			return // the reader of the stream knows why
		}
		time.Sleep(500 * time.Microsecond)
	}
}

// endure reads what comes to the receiver of a pair in a flood. A server may
// end the stream of somebody who does not read fast enough; then the receiver
// comes back, as clients do, and nothing may be missing. What the server did
// not know to have arrived may come again.
func (v *conversation) endure(p *pair) {
	var seen numbers
	for {
		el, err := p.to.Next()
		if err != nil {
			if v.closing.Load() {
				return
			}
			v.cut.Add(1)
			if err := v.comeBack(p); err != nil {
				v.failed.add(fmt.Errorf("%s: %w", p.to.User, err))
				return
			}
			continue
		}
		if n, ok := numberOf(el); ok && isElement(el, "message") && !isError(el) {
			if seen.add(n) {
				p.arrived.Add(1)
			} else {
				v.repeated.Add(1)
			}
		}
	}
}

// comeBack logs the receiver of a pair in again.
func (v *conversation) comeBack(p *pair) error {
	p.to.socket.Close()
	c, err := v.Login(p.receiver, v.Resource)
	if err != nil {
		return fmt.Errorf("come back: %w", err)
	}
	c.grow(16 << 10)
	if c.acks != nil {
		c.answerApart()
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.closing.Load() {
		c.Close(false)
		return nil // the next read tells
	}
	p.to, v.conns[p.receiver] = c, c
	return c.Send([]byte("<presence/>"), 1)
}

// numbers is a set of numbers from 0 on, of which few are missing.
type numbers struct{ bits []uint64 }

// add reports whether the number is new.
func (s *numbers) add(n uint64) bool {
	for n/64 >= uint64(len(s.bits)) {
		s.bits = append(s.bits, 0)
	}
	word, bit := &s.bits[n/64], uint64(1)<<(n%64)
	is := *word&bit == 0
	*word |= bit
	return is
}
