package main

import (
	"fmt"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jabberii/server/bench/proc"
)

// A conversation is a chat run: its pairs and what is counted over all of them.
//
// In a closed loop, the default, an arrival releases the next message of its
// pair. With a rate, messages are sent when they are due, as long as the pair's
// window is not full; a flood has no window.
type conversation struct {
	*load
	start     time.Time
	stop      atomic.Bool // send no more
	measuring atomic.Bool
	closing   atomic.Bool // ends of streams are expected
	pairs     []*pair
	conns     []*Conn
	disorder  atomic.Int64
	repeated  atomic.Int64 // in a flood: messages that came twice
	cut       atomic.Int64 // in a flood: receivers whose streams ended
	dead      atomic.Int64
	held      atomic.Int64 // messages that were due while the window was full
	failed    failures
	readers   sync.WaitGroup
	mu        sync.Mutex
	took      latencies
	memory    proc.Memory // of the server, at the end of the measured window
}

func chat(l *load) *Result {
	v := &conversation{load: l}
	if !v.connect() {
		return v.failed.result(nil)
	}
	v.start = time.Now()
	for _, p := range v.pairs {
		v.readers.Go(func() { v.watch(p) })
		if l.flood {
			v.readers.Go(func() { v.endure(p) })
		} else {
			v.readers.Go(func() { v.receive(p) })
		}
	}
	senders := v.sendAll()
	time.Sleep(l.warmup)
	runtime.GC()
	v.measuring.Store(true)
	from, before := l.read(), v.arrived()
	time.Sleep(l.duration)
	to, after := l.read(), v.arrived()
	v.memory = proc.MemoryOf(l.pids...)
	v.measuring.Store(false)
	v.stop.Store(true)
	if l.flood {
		// A server that takes no more does not hold this up for long.
		for _, p := range v.pairs {
			p.from.socket.SetWriteDeadline(time.Now().Add(l.drain))
		}
	}
	senders.Wait()
	v.settle()
	return v.result(from, to, float64(after-before))
}

// connect logs in both users of all pairs.
func (v *conversation) connect() bool {
	v.conns = make([]*Conn, 2*v.load.pairs+v.beside)
	each(len(v.conns), v.workers, 0, func(i int) {
		c, err := v.Login(i, v.Resource)
		if err == nil {
			err = c.Present()
		}
		if err != nil {
			v.failed.add(err)
			return
		}
		v.conns[i] = c
		if i < 2*v.load.pairs {
			c.grow(16 << 10)
			if v.flood && c.acks != nil {
				c.answerApart()
			}
			return
		}
		v.readers.Go(func() { v.ended(c, discard(c)) })
	})
	if v.failed.n.Load() > 0 {
		return false
	}
	for i := 0; i < 2*v.load.pairs; i += 2 {
		address := v.conns[i+1].JID
		if v.to == "bare" {
			address = bare(address)
		}
		p := newPair(v.conns[i], v.conns[i+1], address, v.body)
		p.receiver = i + 1
		v.pairs = append(v.pairs, p)
	}
	time.Sleep(300 * time.Millisecond) // what the logins have set off
	return true
}

// sendAll begins to send.
func (v *conversation) sendAll() *sync.WaitGroup {
	var senders sync.WaitGroup
	switch {
	case v.flood:
		for _, p := range v.pairs {
			senders.Go(func() { v.pour(p, v.rate/float64(len(v.pairs))) })
		}
	case v.rate > 0:
		senders.Go(v.pace)
	default:
		for _, p := range v.pairs {
			v.failed.add(p.send(v.window, v.coalesce, v.start))
		}
	}
	return &senders
}

// pace sends from all pairs in turn.
func (v *conversation) pace() {
	start := time.Now()
	for n := 0; !v.stop.Load(); time.Sleep(500 * time.Microsecond) {
		for due := int(time.Since(start).Seconds() * v.rate); n < due && !v.stop.Load(); n++ {
			p := v.pairs[n%len(v.pairs)]
			if p.open() >= uint64(v.window) {
				v.held.Add(1)
				continue
			}
			if err := p.send(1, false, v.start); err != nil {
				v.failed.add(err)
				return
			}
		}
	}
}

// watch reads what comes to the sender of a pair: messages that came back.
func (v *conversation) watch(p *pair) {
	for {
		el, err := p.from.Next()
		if err != nil {
			p.ended.Store(true)
			v.ended(p.from, err)
			return
		}
		if isElement(el, "message") && isError(el) {
			if p.bounced.Add(1) == 1 && !v.flood {
				v.failed.add(fmt.Errorf("%s got %s", p.from.User, el))
			}
		}
	}
}

func (v *conversation) ended(c *Conn, err error) {
	if v.closing.Load() {
		return
	}
	v.dead.Add(1)
	if !v.flood {
		v.failed.add(fmt.Errorf("%s: %w", c.User, err))
	} else if v.dead.Load() <= 3 {
		fmt.Fprintf(os.Stderr, "xload: %s: %v\n", c.User, err)
	}
}

// receive reads what comes to the receiver of a pair, and releases as much.
func (v *conversation) receive(p *pair) {
	expected := uint64(0)
	took := make(latencies, 0, 1<<14)
	defer func() {
		v.mu.Lock()
		v.took = append(v.took, took...)
		v.mu.Unlock()
	}()
	credit := 0
	release := func() {
		if credit > 0 && v.rate == 0 && !v.stop.Load() {
			v.failed.add(p.send(credit, v.coalesce, v.start))
		}
		credit = 0
	}
	if v.coalesce {
		p.to.beforeRead = release
	}
	for {
		el, err := p.to.Next()
		if err != nil {
			v.ended(p.to, err)
			return
		}
		if n, ok := numberOf(el); ok && isElement(el, "message") && !isError(el) {
			if n != expected {
				v.disorder.Add(1)
				v.failed.add(fmt.Errorf("%s: message %d where %d was due", p.to.User, n, expected))
			}
			expected = n + 1
			if v.measuring.Load() {
				took = append(took, uint32((int64(time.Since(v.start))-p.sent[n%ring])/100))
			}
			p.arrived.Add(1)
			credit++
		}
		if !v.coalesce {
			release()
		}
	}
}

func (v *conversation) arrived() (n uint64) {
	for _, p := range v.pairs {
		n += p.arrived.Load()
	}
	return n
}

// open counts messages in flight, and stanzas that are not acknowledged.
func (v *conversation) open() (messages uint64, stanzas uint32) {
	for _, p := range v.pairs {
		if p.ended.Load() {
			messages += p.missing()
			continue
		}
		messages += p.open()
		if p.from.acks != nil {
			stanzas += p.from.acks.open()
		}
	}
	return messages, stanzas
}

// settle waits for what is in flight, then for the acknowledgements of it all.
func (v *conversation) settle() {
	wait := func(settled func() bool) {
		for end := time.Now().Add(v.drain); !settled() && time.Now().Before(end); {
			time.Sleep(20 * time.Millisecond)
		}
	}
	// A receiver may still have had something to release when the end was called.
	time.Sleep(100 * time.Millisecond)
	wait(func() bool { messages, _ := v.open(); return messages == 0 })
	if v.Acks > 0 {
		for _, p := range v.pairs {
			if !p.ended.Load() {
				v.failed.add(p.from.write(ackRequest))
			}
		}
		wait(func() bool { _, stanzas := v.open(); return stanzas == 0 })
	}
}

// result closes the streams and says what was counted.
func (v *conversation) result(from, to reading, n float64) *Result {
	lost, unacked := v.open()
	v.mu.Lock()
	v.closing.Store(true)
	conns := v.conns
	v.mu.Unlock()
	hangUp(conns, &v.readers)
	var sent, bounced uint64
	for _, p := range v.pairs {
		sent += p.sentSoFar()
		bounced += p.bounced.Load()
	}
	if lost > 0 {
		v.failed.add(fmt.Errorf("%d of %d messages lost", lost, sent))
	}
	if unacked > 0 {
		v.failed.add(fmt.Errorf("%d stanzas not acknowledged", unacked))
	}
	r := v.failed.result(map[string]float64{
		"sent": float64(sent), "delivered": float64(v.arrived()), "lost": float64(lost), "bounced": float64(bounced),
		"unacked": float64(unacked), "disorder": float64(v.disorder.Load()), "dead_streams": float64(v.dead.Load()),
		"held_back": float64(v.held.Load()), "repeated": float64(v.repeated.Load()),
		"cut": float64(v.cut.Load()), "pss_mib": float64(v.memory.PSS) / 1024,
	})
	r.window(from, to, n, "msgs")
	r.quantiles(v.took)
	return r
}
