package peer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sdk/element"
	"github.com/jabberii/server/plugins/xmpp/ns"
	"github.com/jabberii/server/plugins/xmpp/stanza"
	"github.com/jabberii/server/plugins/xmpp/stream"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

// A link is one stream of a peer. One goroutine reads, one writes.
type link struct {
	peer    *Peer
	conn    *Conn
	source  module.Source
	sent    uint64      // tag of the last packet that entered the tree
	waits   atomic.Bool // the reader waits for credit
	account account

	some    chan struct{} // has a token when there may be something to write
	written chan struct{} // closed when nothing will be written any more

	// With the peer's lock:
	raw    []byte // what the stream itself has to say
	ending []byte // what ends the stream; nil while it goes on
	drain  bool   // the queue is written first
	broken bool
	why    error // why it ended, if it was not the reader who found out

	pulse pulse
}

// Serve carries packets over a stream that was negotiated on conn, with r behind
// the handshake, until it ends or ctx is done, in which case the peer is told so
// behind all that waits for it. It needs a Take before, and closes the connection.
// The error says why the stream ended: io.EOF if the peer closed it.
func (p *Peer) Serve(ctx context.Context, conn *Conn, r *xml.Reader) error {
	defer p.Release()
	s := &link{peer: p, conn: conn, some: make(chan struct{}, 1), written: make(chan struct{})}
	s.source = p.Env.Source(module.SourceConfig{Window: p.Window, Settled: s.settled})
	defer s.source.Close()
	go s.write()
	s.startPulse()
	p.enter(s)
	stop := context.AfterFunc(ctx, func() { s.end(systemShutdown(), true) })
	defer stop()
	err := s.read(ctx, r)
	s.stopPulse()
	s.finish(err)
	p.exit(s)
	conn.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	if s.why != nil {
		return s.why
	}
	return err
}

// said is an error that the peer ended the stream with.
type said struct{ error }

func (s said) Unwrap() error { return s.error }

// lost is the error of a connection that ended without its stream's end.
type lost struct{ error }

func (l lost) Unwrap() error { return l.error }

// read puts what the peer says into the tree until the stream ends.
func (s *link) read(ctx context.Context, r *xml.Reader) error {
	for {
		t, err := r.Next()
		var syntax *xml.SyntaxError
		switch {
		case errors.As(err, &syntax):
			return stream.ErrorOf(err)
		case err == io.EOF:
			return lost{errors.New("the connection ended, and the stream did not")}
		case err != nil:
			return lost{fmt.Errorf("read: %w", err)}
		case t.Kind == xml.Close:
			return io.EOF
		case t.Kind != xml.Child:
			return &stream.Error{Condition: stream.BadFormat}
		}
		if err := s.element(ctx, t); err != nil {
			return err
		}
	}
}

// element puts one element into the tree.
func (s *link) element(ctx context.Context, t *xml.Token) error {
	if e, ok := stream.ParseError(t); ok {
		return said{e}
	}
	if !stanza.IsName(t.Name) || !stanza.IsNS(t.NS) {
		return &stream.Error{Condition: stream.UnsupportedStanzaType}
	}
	p := s.peer
	q, malformed := element.Packet(t, p.Names)
	ping := isPing(&q)
	if ping && q.To == "" && malformed == nil {
		q.To = p.Host
	}
	err := p.Admit(&q)
	var bad *packet.Reject
	switch {
	case err != nil && !errors.As(err, &bad):
		return err
	case malformed != nil:
		err = malformed
		fallthrough
	case err != nil:
		if errors.As(err, &bad) {
			s.refuse(&q, bad)
		}
		return nil
	}
	if q.Name == stanza.IQ && q.From == p.Host && q.To == p.Host {
		if q.ID == s.pulse.id {
			return nil // an answer to our own ping, or the ping itself, sent back
		}
		if ping {
			s.accepted(&q)
			return nil
		}
	}
	return s.deliver(ctx, &q)
}

func isPing(q *packet.Packet) bool {
	if q.Name != stanza.IQ || q.Type != stanza.TypeGet {
		return false
	}
	el, ok := xml.First(q.Body, ns.Client)
	return ok && el.Is("ping", ns.Ping)
}

// deliver puts a packet into the tree, waiting for credit.
func (s *link) deliver(ctx context.Context, q *packet.Packet) error {
	s.sent++
	s.account.begin()
	s.waits.Store(true)
	err := s.source.Deliver(ctx, q, s.sent)
	s.waits.Store(false)
	if err != nil {
		return systemShutdown()
	}
	return nil
}

// settled counts packets that have ended in the tree.
func (s *link) settled(outcomes []packet.Outcome) {
	for _, o := range outcomes {
		for _, pong := range s.account.end(o.Tag) {
			s.say(pong)
		}
	}
}

// accepted answers a ping when all that came before it has ended.
func (s *link) accepted(ping *packet.Packet) {
	pong := packet.Packet{Name: stanza.IQ, Type: stanza.TypeResult, ID: ping.ID, To: ping.From, From: ping.To}
	switch now, ok := s.account.after(s.sent, pong); {
	case !ok:
		s.refuse(ping, packet.Refuse(string(stanza.ResourceConstraint), "too many pings at once"))
	case now:
		s.say(pong)
	}
}

// refuse tells the peer why a packet of its is not taken.
func (s *link) refuse(q *packet.Packet, why *packet.Reject) {
	if e, ok := refused(q, why); ok {
		s.say(e)
	}
}

// finish ends the stream, for the reason that the reader has found, and waits
// until nothing is written any more.
func (s *link) finish(err error) {
	var gone lost
	var theirs said
	switch {
	case errors.As(err, &gone):
		s.fail(nil)
	case err == io.EOF, errors.As(err, &theirs):
		s.end(nil, false)
		<-s.written
	default:
		s.end(err, false)
		<-s.written
		_, _ = io.Copy(io.Discard, s.conn) // until the peer has read why, or its time is up
	}
	<-s.written
}

// startPulse begins to watch whether the peer is there.
func (s *link) startPulse() {
	p := s.peer
	s.pulse.id = "ping-" + stream.NewID()
	if p.Ping.Idle <= 0 || p.Ping.Answer <= 0 {
		return
	}
	p.mu.Lock()
	s.pulse.timer = time.AfterFunc(p.Ping.Idle.Std(), s.beat)
	p.mu.Unlock()
}
