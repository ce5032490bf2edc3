// Package link is the native link between two jabberds: a hop to another server,
// with the frames of a hop to another process (package frame), over TLS.
//
// A [Link] outlives its connections. It is handed packets by the engine, as a
// [module.Hop], and gives each one's verdict when the other side has said it. What
// has no verdict when a connection breaks is handed over again on the next one,
// in order; the other side remembers what it has handled and only repeats its
// verdict:
//
//	Hop ──▶ outbox ──▶ stream ══ TLS ══ stream ──▶ inbox ──▶ tree
//	  ▲                                             │ memory by name
//	  └── verdict ◀──────────────────────────────── ┘
//
// Both sides do both. jabberd/design/003-native-link.md says what is promised when
// connections break and processes die, and how the protocol is written.
package link

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sdk/peer"
	"github.com/jabberii/server/plugins/xmpp/jid"
	"github.com/jabberii/server/plugins/xmpp/stanza"
)

// A Config says how a link is served. All fields must be set but where it says so.
type Config struct {
	Env   module.Env
	Peer  string     // what the other server is called, in logs and in what senders are told
	Names *jid.Cache // may be shared

	// Secret is what both sides prove to know.
	Secret string

	// Admit reports whether the peer may speak for a domain.
	Admit func(domain string) bool

	Packet int // bytes of the largest packet that is taken from the peer, at most 8 MiB
	Window int // packets of the peer that are taken unanswered
	Buffer int // bytes of packets for the peer that have no verdict yet
	Hold   peer.Hold
	Ping   peer.Ping
}

// A Link is the way to one other server. Its methods may be called from many
// goroutines.
type Link struct {
	Config
	id uint64 // of this life of the process, random; the origin of packets without a name

	mu     sync.Mutex
	out    outbox
	in     inbox
	stream *Stream // nil while the peer is away
	held   int     // packets that have come since
	gone   bool    // away for so long that nothing is held any more
	closed bool
	timer  *time.Timer // makes it gone; nil while there is a stream
}

var _ module.Hop = (*Link)(nil)

// New returns a link whose peer is away. Close ends it.
func New(c Config) *Link {
	l := &Link{Config: c, id: rand.Uint64() | 1}
	l.out.base = 1
	l.in.open(l)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.leave()
	return l
}

// Handle implements packet.Handler: it hands *p over and waits for the verdict.
func (l *Link) Handle(ctx context.Context, p *packet.Packet) (packet.Verdict, error) {
	end := make(waiting, 1)
	l.Hop(ctx, p, end)
	select {
	case s := <-end:
		return s.verdict, s.err
	case <-ctx.Done():
		return packet.Pass, packet.Refuse(string(stanza.RemoteServerTimeout), l.Peer+" did not answer in time")
	}
}

// waiting is the ending of a packet that somebody waits for.
type waiting chan said

type said struct {
	verdict packet.Verdict
	err     error
}

func (w waiting) Name() module.Name { return module.Name{} }

func (w waiting) End(v packet.Verdict, err error) {
	select {
	case w <- said{v, err}:
	default:
	}
}

// Hop implements [module.Hop]. Packets of other kinds than normal are passed.
func (l *Link) Hop(ctx context.Context, p *packet.Packet, end module.Ending) {
	if p.Kind != packet.Normal {
		end.End(packet.Pass, nil)
		return
	}
	until, ok := ctx.Deadline()
	if !ok {
		until = time.Now().Add(defaultPatience)
	}
	n := sizeOf(p)
	l.mu.Lock()
	r := l.refusal(n)
	if r == nil {
		if l.stream == nil {
			l.held++
		}
		l.out.put(l.id, p, end, until, n)
		l.stream.wake()
	}
	l.mu.Unlock()
	if r != nil {
		end.End(packet.Pass, r)
	}
}

// defaultPatience is how long a packet without a deadline waits for its verdict.
const defaultPatience = 30 * time.Second

// refusal is why a packet of n bytes is not taken, nil if it is. With the lock held.
func (l *Link) refusal(n int) *packet.Reject {
	switch {
	case l.gone || l.closed:
		return packet.Refuse(string(stanza.ServiceUnavailable), l.Peer+" is not connected")
	case n > maxPacket:
		return packet.Refuse(string(stanza.PolicyViolation), "the packet is too large")
	case l.stream == nil && l.held >= l.Hold.Packets, l.out.size > 0 && l.out.size+n > l.Buffer:
		return packet.Refuse(string(stanza.ResourceConstraint), "too much waits for "+l.Peer)
	}
	return nil
}

// Explain says what becomes of a packet. It may be asked of a link that is nil,
// before the start.
func (l *Link) Explain(_ context.Context, p *packet.Packet) (packet.Verdict, string) {
	switch {
	case p.Kind != packet.Normal:
		return packet.Pass, "the link takes stanzas only"
	case l == nil:
		return packet.Claim, "it is handed over to the other server, whose verdict counts, or waits for it"
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if r := l.refusal(sizeOf(p)); r != nil {
		return packet.Refuses, r.Error()
	}
	if l.stream == nil {
		return packet.Claim, "it waits for " + l.Peer + ", which is away"
	}
	return packet.Claim, "it is handed over to " + l.stream.conn.RemoteAddr().String() + ", whose verdict counts"
}

// Tend ends the wait of packets whose time is up, until ctx is done. Without it
// they wait for the peer alone.
func (l *Link) Tend(ctx context.Context) {
	t := time.NewTicker(500 * time.Millisecond)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-t.C:
			l.mu.Lock()
			late := l.out.late(now)
			l.in.forget(now.UnixNano(), len(l.in.order))
			l.mu.Unlock()
			end(late, packet.Refuse(string(stanza.RemoteServerTimeout), l.Peer+" did not answer in time"))
		}
	}
}

// Close gives up all that has no verdict. The last stream must have ended.
func (l *Link) Close() {
	l.mu.Lock()
	l.closed = true
	if l.timer != nil {
		l.timer.Stop()
	}
	rest := l.out.takeAll()
	l.mu.Unlock()
	l.in.source.Close()
	end(rest, packet.Refuse(string(stanza.ServiceUnavailable), "the server is stopping"))
}

// enter makes s the stream of the link. With the lock held.
func (l *Link) enter(s *Stream) {
	l.stream, l.gone, l.held = s, false, 0
	if l.timer != nil {
		l.timer.Stop()
		l.timer = nil
	}
	l.out.again()
}

// exit notes that s has ended.
func (l *Link) exit(s *Stream) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stream == s {
		l.stream = nil
		l.leave()
	}
}

// leave begins the time during which packets wait for the peer. With the lock held.
func (l *Link) leave() {
	if l.closed {
		return
	}
	if l.Hold.Packets <= 0 || l.Hold.Time <= 0 {
		l.expire(nil)
		return
	}
	var t *time.Timer
	t = time.AfterFunc(l.Hold.Time.Std(), func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.expire(t)
	})
	l.timer = t
}

// expire gives up what has waited in vain, unless t is no longer the timer. With
// the lock held.
func (l *Link) expire(t *time.Timer) {
	if l.timer != t {
		return
	}
	l.timer, l.gone = nil, true
	if late := l.out.takeAll(); len(late) > 0 {
		l.Env.Log().Warn("packets have waited in vain and are sent back", "peer", l.Peer, "packets", len(late))
		go end(late, packet.Refuse(string(stanza.RemoteServerTimeout), l.Peer+" is not connected"))
	}
}

// end gives packets an error for a verdict.
func end(letters []*letter, why *packet.Reject) {
	for _, x := range letters {
		x.end.End(packet.Pass, why)
	}
}

// sizeOf is about what a packet takes while it waits, in bytes.
func sizeOf(p *packet.Packet) int {
	const fields = 512 // of the structs
	return fields + len(p.Body) + len(p.Attrs) + len(p.ID) + len(p.To) + len(p.From)
}
