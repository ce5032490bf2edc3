package link

import (
	"fmt"
	"time"

	"github.com/jabberii/server/jabberd/frame"
)

// A batch is what one write is made of.
type batch struct {
	buf     []byte
	stops   []frame.Stop
	letters []*letter
	signs   []byte // kinds of messages without content
	last    bool   // nothing comes behind it
}

// write writes until the stream ends. Without an error it has said all that was to
// be said.
func (s *Stream) write() error {
	var b batch
	idle := s.link.Ping.Idle.Std()
	if idle <= 0 {
		idle = time.Hour // nothing was promised
	}
	silence := time.NewTimer(idle)
	defer silence.Stop()
	for {
		for !s.next(&b) {
			if b.last {
				return nil
			}
			select {
			case <-s.some:
			case <-silence.C:
				s.link.mu.Lock()
				s.answers++
				s.link.mu.Unlock()
				silence.Reset(idle)
			}
		}
		if _, err := s.conn.Write(b.encode()); err != nil {
			return fmt.Errorf("write: %w", err)
		}
		silence.Reset(idle)
	}
}

// next gathers all that is to be written, up to the size of a batch: verdicts
// first. It returns false if there is nothing.
func (s *Stream) next(b *batch) bool {
	l := s.link
	l.mu.Lock()
	defer l.mu.Unlock()
	clear(b.letters)
	b.letters, b.signs = b.letters[:0], b.signs[:0]
	if b.last = s.broken; b.last {
		return false
	}
	b.stops, s.stops = s.stops, b.stops[:0]
	for ; s.answers > 0; s.answers-- {
		b.signs = append(b.signs, here)
	}
	if s.asks {
		b.signs, s.asks = append(b.signs, ask), false
	}
	if s.parting.ours && !s.parting.said {
		b.signs, s.parting.said = append(b.signs, leaving), true
	}
	if !s.parting.ours && !s.parting.theirs {
		b.letters = l.out.write(b.letters, batchSize, s.theirs.Window, time.Now())
	}
	some := len(b.stops)+len(b.signs)+len(b.letters) > 0
	b.last = !some && s.parting.said && s.owed == 0 && (l.out.flying == 0 || s.parting.theirs)
	return some
}

// encode returns the bytes of a batch.
func (b *batch) encode() []byte {
	if cap(b.buf) > 4*batchSize {
		b.buf = nil
	}
	buf, at := begin(b.buf[:0], records)
	if len(b.stops) > 0 {
		buf = frame.AppendCommit(buf, &frame.Commit{Stops: b.stops})
	}
	now := time.Now()
	for _, x := range b.letters {
		if len(buf)-at > 0 && len(buf)-at+2*x.size > maxMessage {
			buf, at = begin(finish(buf, at), records)
		}
		w := x.walk // the outbox marks its own when it is written again
		w.Timeout = x.until.Sub(now)
		buf = frame.AppendWalk(buf, &w)
	}
	if buf = finish(buf, at); len(buf) == at {
		buf = buf[:at-headerSize] // no records
	}
	for _, kind := range b.signs {
		buf, at = begin(buf, kind)
		buf = finish(buf, at)
	}
	b.buf = buf
	return buf
}
