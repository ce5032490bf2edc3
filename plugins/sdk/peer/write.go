package peer

import (
	"fmt"
	"time"

	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sdk/element"
	"github.com/jabberii/server/plugins/xmpp/ns"
	"github.com/jabberii/server/plugins/xmpp/stream"
)

const (
	batchSize = 256 << 10   // about how much is written at once, in bytes
	holdTime  = time.Second // that a write may take before no packet waits for it
)

// A batch is what one write is made of.
type batch struct {
	packets []packet.Packet
	ends    []int // where each of them ends in buf
	buf     []byte
	ending  []byte
}

// write writes until the stream has ended or the connection is lost.
func (s *link) write() {
	defer close(s.written)
	var b batch
	slow := time.AfterFunc(holdTime, s.slow)
	slow.Stop()
	for s.next(&b) {
		for i := range b.packets {
			b.buf = appendElement(b.buf, &b.packets[i])
			b.ends = append(b.ends, len(b.buf))
		}
		b.buf = append(b.buf, b.ending...)
		slow.Reset(holdTime)
		n, err := s.conn.Write(b.buf)
		slow.Stop()
		s.settle(&b, n)
		if err != nil {
			s.fail(fmt.Errorf("write: %w", err))
			return
		}
		if b.ending != nil {
			s.peer.exit(s)
			s.conn.finish()
			return
		}
		if cap(b.buf) > 2*batchSize {
			b.buf = nil
		}
	}
}

// next waits for something to write. It returns false if the connection is lost.
func (s *link) next(b *batch) bool {
	p := s.peer
	for {
		p.mu.Lock()
		if s.broken {
			p.mu.Unlock()
			return false
		}
		b.buf, b.ends, b.packets, b.ending = append(b.buf[:0], s.raw...), b.ends[:0], nil, nil
		s.raw = s.raw[:0]
		if s.ending == nil || s.drain {
			b.packets = p.shift()
		}
		if len(b.packets) == 0 {
			b.ending = s.ending
		}
		p.mu.Unlock()
		if len(b.packets) > 0 || len(b.buf) > 0 || b.ending != nil {
			return true
		}
		<-s.some
	}
}

// shift takes the packets for one write from the queue. With the lock held.
func (p *Peer) shift() []packet.Packet {
	n, size := 0, 0
	for n < len(p.queue) && size < batchSize {
		size += sizeOf(&p.queue[n])
		n++
	}
	b := p.queue[:n:n]
	if p.queue = p.queue[n:]; len(p.queue) == 0 {
		p.queue = nil
	}
	return b
}

// settle forgets the packets of a batch of which n bytes were written, and puts
// back those that the peer has not got in whole: the next stream will write them.
func (s *link) settle(b *batch, n int) {
	p := s.peer
	p.mu.Lock()
	done := 0
	for done < len(b.packets) && b.ends[done] <= n {
		p.size -= sizeOf(&b.packets[done])
		done++
	}
	if rest := b.packets[done:]; len(rest) > 0 {
		p.queue = append(rest, p.queue...)
	}
	p.slow = false
	ended := p.written(done)
	p.mu.Unlock()
	release(ended)
}

// slow is called when a write takes long: who sends to this peer does not wait
// for it any more, lest two that write to each other without reading wait for
// each other.
func (s *link) slow() {
	p := s.peer
	p.mu.Lock()
	p.slow = true
	all := p.let()
	p.mu.Unlock()
	release(all)
}

// say writes something of the stream's own, ahead of what waits. A peer that
// makes us say more than it reads loses its connection.
func (s *link) say(q packet.Packet) {
	p := s.peer
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(s.raw) > p.Buffer {
		s.why = fmt.Errorf("the peer does not read what it is answered")
		s.breakOff()
		return
	}
	if s.ending == nil && !s.broken {
		s.raw = appendElement(s.raw, &q)
		s.wake()
	}
}

// end ends the stream, with an error unless it is nil.
func (s *link) end(err error, drain bool) {
	s.peer.mu.Lock()
	defer s.peer.mu.Unlock()
	s.stop(err, drain)
}

// stop is end with the lock held.
func (s *link) stop(err error, drain bool) {
	if s.ending != nil {
		return
	}
	s.drain = drain
	if err != nil {
		s.ending = stream.ErrorOf(err).Append(nil)
	}
	s.ending = append(s.ending, stream.Close...)
	s.wake()
}

// fail notes that the connection is of no more use, and why, unless it is known.
func (s *link) fail(why error) {
	s.peer.mu.Lock()
	if s.why == nil && s.ending == nil {
		s.why = why
	}
	s.breakOff()
	s.peer.mu.Unlock()
	s.peer.exit(s)
}

// breakOff closes the connection. With the lock held.
func (s *link) breakOff() {
	s.broken = true
	s.wake()
	_ = s.conn.Close() // so the reader notices
}

// wake has the writer look. s may be nil.
func (s *link) wake() {
	if s == nil {
		return
	}
	select {
	case s.some <- struct{}{}:
	default:
	}
}

// appendElement writes a packet as a stanza of the stream.
func appendElement(dst []byte, q *packet.Packet) []byte {
	if q.NS == ns.Client {
		c := *q
		c.NS = "" // the stream has a name of its own for it
		q = &c
	}
	return element.Append(dst, q)
}
