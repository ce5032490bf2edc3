// Package peer carries packets over streams of stanzas to one peer: an external
// component, or a server that we are a component of (XEP-0114).
//
// A [Peer] outlives its streams. Packets for it wait in one queue, from which the
// stream that there is writes all that has come in one go; without a stream they
// wait for the next one, for a while:
//
//	Put ──▶ queue ──▶ stream ──▶ socket        Serve returns when the stream ends,
//	          ▲         │                       and the next one goes on where the
//	          └─────────┘ what was not written  last one could no longer write
//
// What the peer sends enters the tree by a source of the stream's own, whose
// credits are what a peer that sends too fast waits for. A ping from the peer's
// domain to itself, or to nobody, is answered once all that came before it has
// ended in the tree: so the peer learns what was accepted.
package peer

import (
	"context"
	"sync"
	"time"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/xmpp/jid"
	"github.com/jabberii/server/plugins/xmpp/stanza"
	"github.com/jabberii/server/plugins/xmpp/stream"
)

// A Config says how a peer is served. All fields must be set but where it says so.
type Config struct {
	Env   module.Env
	Host  string     // the component's domain, prepared
	Names *jid.Cache // may be shared

	// Admit judges the addresses of a packet from the peer, "" being none. A
	// *packet.Reject is what the peer is told of this packet, any other error
	// ends its stream, a *stream.Error with that.
	Admit func(*packet.Packet) error

	Buffer int // bytes that may wait for the peer, connected or not
	Hold   Hold
	Ping   Ping
	Window int // packets of the peer under way at once; 0 is the tree's default
}

// Hold is the block of arguments for what waits while a peer is away.
type Hold struct {
	Packets int             `json:"packets" default:"1000" doc:"How many packets wait at most while the peer is away; further ones bounce, with resource-constraint. 0 holds nothing."`
	Time    module.Duration `json:"time" default:"1m" doc:"How long after the peer has left, or since the start, they wait for it. Then they bounce, with remote-server-timeout, and so does what comes later, with service-unavailable, until the peer is back."`
}

// Ping is the block of arguments for finding out that a peer is dead.
type Ping struct {
	Idle   module.Duration `json:"idle" default:"1m" doc:"How long the peer may be silent before it is pinged (XEP-0199). 0 never pings; then only TCP keepalive finds a dead connection."`
	Answer module.Duration `json:"answer" default:"30s" doc:"How long it may take to say anything then, before the stream is ended."`
}

// A Peer is where packets for one peer wait, and the stream to it. Its methods
// may be called from many goroutines.
type Peer struct {
	Config
	ctx    context.Context // of what is sent back
	cancel context.CancelFunc
	back   sync.WaitGroup // what is being sent back

	mu     sync.Mutex
	queue  []packet.Packet // not written yet
	size   int             // of queue and of what is being written, in bytes
	stream *link           // nil while the peer is away
	put    uint64          // packets, so far
	done   uint64          // of these, written or given up
	held   []held          // those that have not ended, by number
	slow   bool            // a write takes so long that none is held
	taken  bool            // there is a stream, or one is being negotiated
	gone   bool            // away for so long that nothing is held any more
	closed bool
	timer  *time.Timer // makes it gone; nil while there is a stream
}

// New returns a peer that is away. Close ends it.
func New(c Config) *Peer {
	p := &Peer{Config: c}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	p.mu.Lock()
	defer p.mu.Unlock()
	p.leave()
	return p
}

// A held packet ends when it is written.
type held struct {
	number  uint64
	release func()
}

// Put takes responsibility for a packet to the peer, of which it keeps a copy, or
// says with a *packet.Reject why it does not. It never waits. With the ctx of
// Handle, a packet to a peer that is connected and reads ends only when it is
// written: should this process die before, it comes again.
func (p *Peer) Put(ctx context.Context, q *packet.Packet) error {
	n := sizeOf(q)
	p.mu.Lock()
	defer p.mu.Unlock()
	if r := p.refusal(n); r != nil {
		return r
	}
	p.queue = append(p.queue, *q)
	p.size += n
	p.put++
	if h, ok := p.Env.(module.Holder); ok && p.stream != nil && !p.slow {
		p.held = append(p.held, held{p.put, h.Hold(ctx)})
	}
	p.stream.wake()
	return nil
}

// written returns those held of which n more were written. With the lock held.
func (p *Peer) written(n int) []held {
	p.done += uint64(n)
	i := 0
	for i < len(p.held) && p.held[i].number <= p.done {
		i++
	}
	ended := p.held[:i:i]
	if p.held = p.held[i:]; len(p.held) == 0 {
		p.held = nil
	}
	return ended
}

// let returns all that are held: they wait in memory alone from now on. With the
// lock held.
func (p *Peer) let() []held {
	all := p.held
	p.held = nil
	return all
}

// release ends held packets. No lock is held.
func release(list []held) {
	for _, h := range list {
		h.release()
	}
}

// refusal is why a packet of n bytes is not taken, nil if it is. With the lock held.
func (p *Peer) refusal(n int) *packet.Reject {
	switch {
	case p.gone && !p.taken || p.closed:
		return packet.Refuse(string(stanza.ServiceUnavailable), p.Host+" is not connected")
	case p.stream == nil && !p.taken && len(p.queue) >= p.Hold.Packets, p.size > 0 && p.size+n > p.Buffer:
		return packet.Refuse(string(stanza.ResourceConstraint), "too much waits for "+p.Host)
	}
	return nil
}

// Explain says what Put would do with a packet.
func (p *Peer) Explain(q *packet.Packet) (packet.Verdict, string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if r := p.refusal(sizeOf(q)); r != nil {
		return packet.Refuses, r.Error()
	}
	if p.stream == nil {
		return packet.Claim, "it waits for " + p.Host + ", which is away"
	}
	return packet.Claim, "it is written to " + p.Host + " at " + p.stream.conn.RemoteAddr().String()
}

// Take reserves the peer for a stream that is being negotiated, until Serve or
// Release; packets wait for it. It returns false if there is a stream: that one is pinged, in case it
// is dead without anybody having noticed.
func (p *Peer) Take() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.taken || p.closed {
		p.stream.probe()
		return false
	}
	p.taken = true
	return true
}

// Release undoes Take for a stream that came to nothing.
func (p *Peer) Release() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.taken = false
	if p.gone {
		p.expire()
	}
}

// Close ends a peer whose last stream has ended. What waits for it is lost, and
// it returns how much that is: at the end of the server there is nobody left to
// bounce it.
func (p *Peer) Close() (lost int) {
	p.cancel()
	p.mu.Lock()
	p.closed = true
	if p.timer != nil {
		p.timer.Stop()
	}
	lost = len(p.queue)
	p.queue, p.size = nil, 0
	all := p.let()
	p.mu.Unlock()
	release(all)
	p.back.Wait()
	return lost
}

// enter makes s the stream of the peer.
func (p *Peer) enter(s *link) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stream, p.gone = s, false
	if p.timer != nil {
		p.timer.Stop()
		p.timer = nil
	}
	s.wake()
}

// exit notes that s can no longer be written to.
func (p *Peer) exit(s *link) {
	p.mu.Lock()
	var all []held
	if p.stream == s {
		p.stream = nil
		p.leave()
		all = p.let()
	}
	p.mu.Unlock()
	release(all)
}

// leave begins the time during which packets wait. With the lock held.
func (p *Peer) leave() {
	if p.Hold.Packets <= 0 || p.Hold.Time <= 0 {
		p.expire()
		return
	}
	var t *time.Timer
	t = time.AfterFunc(p.Hold.Time.Std(), func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.timer == t {
			p.expire()
		}
	})
	p.timer = t
}

// expire gives up what has waited in vain. With the lock held.
func (p *Peer) expire() {
	p.timer, p.gone = nil, true
	late := p.queue
	p.queue = nil
	p.done += uint64(len(late))
	if len(late) == 0 || p.closed {
		return
	}
	for i := range late {
		p.size -= sizeOf(&late[i])
	}
	p.back.Add(1)
	go p.bounce(late)
}

// bounce tells the senders of packets that the peer did not come back in time.
func (p *Peer) bounce(late []packet.Packet) {
	defer p.back.Done()
	p.Env.Log().Warn("packets have waited in vain and are sent back", "host", p.Host, "packets", len(late))
	why := packet.Refuse(string(stanza.RemoteServerTimeout), p.Host+" is not connected")
	for i := range late {
		if q, ok := refused(&late[i], why); ok && p.Env.Deliver(p.ctx, &q) != nil {
			return
		}
	}
}

// refused returns the error that answers a packet, if it may be answered with one.
func refused(q *packet.Packet, r *packet.Reject) (packet.Packet, bool) {
	if q.From == "" || !(stanza.Stanza{Name: q.Name, Type: q.Type}).Answerable() {
		return packet.Packet{}, false
	}
	e := stanza.Error{Condition: stanza.Condition(r.Condition), Type: stanza.ErrorType(r.ErrorType()), Text: r.Text}
	return packet.Packet{
		Kind: packet.Normal, To: q.From, From: q.To, Name: q.Name, Type: stanza.TypeError,
		ID: q.ID, NS: q.NS, Lang: q.Lang, Body: e.Append(nil),
	}, true
}

// sizeOf is what a packet takes while it waits, in bytes.
func sizeOf(q *packet.Packet) int {
	const fields = 256 // of the struct
	return fields + len(q.Body) + len(q.Attrs) + len(q.ID)
}

// systemShutdown is what peers are told at the end.
func systemShutdown() error { return &stream.Error{Condition: stream.SystemShutdown} }
