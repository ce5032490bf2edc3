package link

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"github.com/jabberii/server/jabberd/frame"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/xmpp/stanza"
)

// A Stream is one connection of a link, on which both sides have proved who they
// are. One goroutine reads, one writes.
type Stream struct {
	link   *Link
	conn   *tls.Conn
	r      *bufio.Reader
	theirs *greeting

	some  chan struct{} // has a token when there may be something to write
	ended chan struct{} // closed when it is over
	heard atomic.Int64  // messages

	// With the link's lock:
	stops   []frame.Stop // verdicts to be written
	owed    int          // packets that were brought and are not answered
	answers int          // signs of life that were asked for
	asks    bool         // ask for one
	parting parting
	broken  bool
	why     error // why it ended, the first that was found out
}

// A parting is how far the end of a stream is.
type parting struct {
	ours, theirs bool // who has said that it leaves
	said         bool // it was written
}

const (
	probeTime   = 3 * time.Second // for an old stream to show that it lives
	partingTime = 5 * time.Second // for verdicts when a side leaves
)

// take makes a connection the stream of the link. If there is one already, it has
// to be the same peer's, which has come back, or dead.
func (l *Link) take(ctx context.Context, conn *tls.Conn, r *bufio.Reader, theirs *greeting) (*Stream, error) {
	s := &Stream{link: l, conn: conn, r: r, theirs: theirs, some: make(chan struct{}, 1), ended: make(chan struct{})}
	for {
		l.mu.Lock()
		old := l.stream
		if l.closed {
			l.mu.Unlock()
			return nil, errors.New("the section is closed")
		}
		if old == nil {
			l.enter(s)
			l.mu.Unlock()
			return s, nil
		}
		l.mu.Unlock()
		if old.theirs.ID != theirs.ID && old.lives(ctx) {
			return nil, &Refused{Condition: "conflict", Text: "another server is connected, from " + old.conn.RemoteAddr().String()}
		}
		old.cut(errors.New("its peer has connected anew"))
		select {
		case <-old.ended:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// lives asks for a sign of life and reports whether there is one.
func (s *Stream) lives(ctx context.Context) bool {
	l := s.link
	before := s.heard.Load()
	l.mu.Lock()
	s.asks = true
	s.wake()
	l.mu.Unlock()
	late := time.NewTimer(probeTime)
	defer late.Stop()
	look := time.NewTicker(10 * time.Millisecond)
	defer look.Stop()
	for {
		select {
		case <-s.ended:
			return false
		case <-late.C:
			return false
		case <-ctx.Done():
			return true // it is not known to be dead
		case <-look.C:
			if s.heard.Load() != before {
				return true
			}
		}
	}
}

// RemoteAddr returns where the peer is.
func (s *Stream) RemoteAddr() string { return s.conn.RemoteAddr().String() }

// Run carries packets until the connection ends, and says why: io.EOF if the peer
// has left in order. When ctx is done it takes leave: nothing new is handed over,
// and verdicts are waited for, for 5 seconds at most.
func (s *Stream) Run(ctx context.Context) error {
	l := s.link
	stop := context.AfterFunc(ctx, s.leave)
	defer stop()
	written := make(chan struct{})
	go func() {
		defer close(written)
		err := s.write()
		if err != nil || s.conn.CloseWrite() != nil {
			s.cut(err)
		} // else the peer reads all that was written, and closes
	}()
	s.cut(s.read(ctx))
	<-written
	s.abandon(nil)
	l.mu.Lock()
	defer l.mu.Unlock()
	return s.why
}

// leave begins the end of the stream.
func (s *Stream) leave() {
	s.link.mu.Lock()
	s.parting.ours = true
	s.wake()
	s.link.mu.Unlock()
	late := time.AfterFunc(partingTime, func() { s.cut(io.EOF) })
	<-s.ended
	late.Stop()
}

// cut ends the stream at once, for the reason that is given first.
func (s *Stream) cut(why error) {
	l := s.link
	l.mu.Lock()
	if s.why == nil {
		s.why = why
	}
	s.broken = true
	s.wake()
	l.mu.Unlock()
	_ = s.conn.NetConn().Close() // not an orderly end of TLS, which could wait
}

// abandon ends a stream that nothing reads or writes, for the reason that was
// given first.
func (s *Stream) abandon(why error) {
	s.cut(why)
	s.link.exit(s)
	close(s.ended)
}

// wake has the writer look. With the link's lock; s may be nil.
func (s *Stream) wake() {
	if s == nil {
		return
	}
	select {
	case s.some <- struct{}{}:
	default:
	}
}

// read takes what the peer says.
func (s *Stream) read(ctx context.Context) error {
	in := &incoming{Stream: s, gate: newGate(s.link), until: deadline{Context: context.WithoutCancel(ctx)}}
	patience := time.Duration(s.theirs.Idle)*time.Millisecond + s.link.Ping.Answer.Std()
	var d frame.Decoder
	for {
		if s.theirs.Idle > 0 && s.link.Ping.Answer > 0 {
			if err := s.conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
				return err
			}
		}
		kind, content, err := read(s.r, maxMessage)
		var timeout interface{ Timeout() bool }
		switch {
		case errors.As(err, &timeout) && timeout.Timeout():
			return fmt.Errorf("nothing was heard for %v", patience)
		case errors.Is(err, io.EOF):
			return s.closed()
		case err != nil:
			return fmt.Errorf("read: %w", err)
		}
		s.heard.Add(1)
		switch kind {
		case records:
			if err := d.Decode(content, in); err != nil {
				return err
			}
		case ask, leaving:
			s.note(kind)
		}
	}
}

// closed is why the stream ended when the peer has closed the connection.
func (s *Stream) closed() error {
	s.link.mu.Lock()
	defer s.link.mu.Unlock()
	if s.parting.theirs || s.parting.ours {
		return io.EOF
	}
	return errors.New("the connection was closed")
}

// note takes what the peer says of the stream itself.
func (s *Stream) note(kind byte) {
	s.link.mu.Lock()
	defer s.link.mu.Unlock()
	if kind == ask {
		s.answers = min(s.answers+1, 8)
	} else {
		s.parting.theirs = true
	}
	s.wake()
}

// incoming takes the records of the peer.
type incoming struct {
	*Stream
	gate     *gate
	until    deadline
	stopping bool // this server is: its tree takes nothing
}

// OnWalk implements frame.Receiver: a packet of the peer.
func (s *incoming) OnWalk(w *frame.Walk) {
	l := s.link
	if s.stopping {
		return // it will come again
	}
	l.mu.Lock()
	s.owed++
	a, full := l.in.arrive(w, s.Stream, l.in.room(l))
	if full {
		s.reply(w.ID, packet.Refuse(string(stanza.ResourceConstraint), "too much is under way"))
	}
	l.mu.Unlock()
	if a == nil {
		return
	}
	if r := s.gate.enter(&w.Packet); r != nil {
		l.mu.Lock()
		l.in.end(a.tag, r)
		l.mu.Unlock()
		return
	}
	s.until.at = time.Now().Add(max(w.Timeout, 0))
	if err := l.in.source.Deliver(&s.until, &w.Packet, a.tag); err != nil {
		l.mu.Lock()
		l.in.drop(a)
		s.owed--
		s.wake()
		l.mu.Unlock()
		s.stopping = true
	}
}

// OnCommit implements frame.Receiver: verdicts on what was handed over.
func (s *incoming) OnCommit(c *frame.Commit) {
	for i := range c.Stops {
		stop := &c.Stops[i]
		s.link.mu.Lock()
		x := s.link.out.answered(stop.Walk)
		s.wake() // there is room in the window
		s.link.mu.Unlock()
		switch {
		case x == nil: // given up meanwhile
		case stop.Reject != nil:
			x.end.End(packet.Pass, defined(stop.Reject))
		default:
			x.end.End(packet.Claim, nil)
		}
	}
}

// defined returns a refusal with words that may stand in an error stanza.
func defined(r *packet.Reject) *packet.Reject {
	if !stanza.Condition(r.Condition).Defined() {
		r.Condition = string(stanza.UndefinedCondition)
	}
	switch stanza.ErrorType(r.Type) {
	case "cancel", "modify", "auth", "wait", "continue":
	default:
		r.Type = ""
	}
	return r
}

// OnSettle implements frame.Receiver. A link has no such records, nor the ones below.
func (s *incoming) OnSettle(*frame.Settlement) {}

// OnHost implements frame.Receiver.
func (s *incoming) OnHost(*frame.HostChange) {}

// OnExplain implements frame.Receiver.
func (s *incoming) OnExplain(*frame.Explain) {}

// answer gives the peer the verdict on an arrival. With the link's lock.
func (s *Stream) answer(a *arrival) {
	s.reply(a.walk, a.reject)
	a.stream = nil
}

// maxText is how much of the text of a refusal crosses, in bytes.
const maxText = 1 << 10

// reply gives the peer the verdict on a walk. With the link's lock.
func (s *Stream) reply(walk uint64, r *packet.Reject) {
	s.owed--
	if s.broken {
		return
	}
	if r != nil && len(r.Text) > maxText {
		short := *r
		short.Text = r.Text[:maxText] // the frame makes it UTF-8 again
		r = &short
	}
	s.stops = append(s.stops, frame.Stop{Walk: walk, Verdict: verdict(r), Reject: r})
	s.wake()
}

func verdict(r *packet.Reject) packet.Verdict {
	if r != nil {
		return packet.Pass
	}
	return packet.Claim
}
