package main

import (
	"bytes"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// ring is how many messages of a pair can be in flight with their latency known;
// more than any window.
const ring = 1 << 12

// A pair is a sender, a receiver, and the messages between them: their ids are
// numbers that the receiver checks for gaps and repetitions.
type pair struct {
	from, to *Conn
	receiver int    // number of the user that to is of
	before   []byte // of a message, up to its number
	after    []byte // the rest of it

	mu      sync.Mutex
	out     []byte
	seq     uint64 // next to send
	sent    [ring]int64
	arrived atomic.Uint64
	bounced atomic.Uint64
	ended   atomic.Bool // the sender's stream
	_       [64]byte
}

func newPair(from, to *Conn, address string, body int) *pair {
	return &pair{
		from: from, to: to,
		before: []byte("<message to='" + address + "' type='chat' id='x"),
		after:  []byte("'><body>" + text(body) + "</body></message>"),
	}
}

// text is a body of so many bytes.
func text(length int) string {
	return strings.Repeat("lorem ipsum dolor sit amet ", length/27+1)[:length]
}

// send writes so many messages, in one write or one write each. A request for
// an acknowledgement goes in the write of the message before it.
func (p *pair) send(messages int, coalesce bool, start time.Time) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.out = p.out[:0]
	now := int64(time.Since(start))
	held := 0
	for range messages {
		p.sent[p.seq%ring] = now
		p.out = append(p.out, p.before...)
		p.out = strconv.AppendUint(p.out, p.seq, 10)
		p.out = append(p.out, p.after...)
		p.seq++
		if a := p.from.acks; a != nil && p.seq%uint64(a.every) == 0 {
			p.out = append(p.out, ackRequest...)
		}
		if held++; coalesce {
			continue
		}
		if err := p.from.Send(p.out, held); err != nil {
			return err
		}
		p.out, held = p.out[:0], 0
		now = int64(time.Since(start))
	}
	if held > 0 {
		return p.from.Send(p.out, held)
	}
	return nil
}

func (p *pair) sentSoFar() uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.seq
}

// open is how many messages have neither arrived nor come back.
func (p *pair) open() uint64 {
	settled := p.arrived.Load() + p.bounced.Load()
	return p.sentSoFar() - min(settled, p.sentSoFar())
}

// missing is how many messages the server has acknowledged to a sender whose
// stream has ended, and neither delivered nor sent back. Of the others the sender
// knows that it has to send them again.
func (p *pair) missing() uint64 {
	if p.from.acks == nil {
		return 0
	}
	const others = 2 // stanzas that are no messages: those of Present
	acked := max(uint64(p.from.acks.acked.Load()), others) - others
	return acked - min(p.arrived.Load()+p.bounced.Load(), acked)
}

// numberOf finds the number in a message of a pair.
func numberOf(el []byte) (uint64, bool) {
	i := bytes.Index(el, []byte(" id="))
	if i < 0 || i+6 >= len(el) || el[i+5] != 'x' {
		return 0, false
	}
	var n uint64
	at := i + 6
	for ; at < len(el) && el[at] >= '0' && el[at] <= '9'; at++ {
		n = n*10 + uint64(el[at]-'0')
	}
	return n, at > i+6
}

// isError reports whether a stanza has type error.
func isError(el []byte) bool {
	end := bytes.IndexByte(el, '>')
	return end > 0 && bytes.Contains(el[:end], []byte("error"))
}
