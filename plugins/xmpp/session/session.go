// Package session negotiates streams and exchanges stanzas on them: RFC 6120 parts 4
// to 8 for both sides, and XEP-0198 for clients.
//
// # The initiating side
//
// Clients, servers that connect to others, and components block on a connection, and so
// does this side of the package. [Initiate] runs [Feature] values one after another until
// the peer has nothing more to offer that was asked for, and returns a [Session];
// [Client] does so for a client with a name and a password:
//
//	conn, err := new(dial.Dialer).Dial(ctx, discover.Client, "example.org")
//	s, err := session.Client(ctx, conn, session.Account{Address: jid.MustParse("ann@example.org"), Password: "secret"})
//	err = s.Presence(ctx, "")
//	err = s.Message(ctx, jid.MustParse("bob@example.org"), "hello")
//	st, err := s.Receive(ctx)
//
// # The receiving side
//
// A server has more connections than it wants goroutines, so this side is a state
// machine without I/O: a [Receiver] is fed the tokens that a scanner finds, and says what
// to write and what to do next.
//
//	for {
//		t, err := reader.Next()
//		reply := receiver.Feed(ctx, t)
//		conn.Write(reply.Out)
//		switch reply.Step { ... }
//	}
//
// What a stream is offered is a list of [Offer] values in the order of negotiation, made
// once for a host and shared by its connections. [Accept] is the loop around a Receiver,
// for servers of a few connections and for tests.
//
// # Sessions
//
// A [Session] reads on a goroutine of its own, so that answers find their requests and
// acknowledgements are given while nobody calls Receive; it writes whatever has gathered
// while the last write was under way. Both directions are bounded: a session that
// nobody receives from stops reading, and Send waits for a peer that doesn't read.
package session

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"sync"
	"time"

	"github.com/jabberii/server/plugins/xmpp/jid"
	"github.com/jabberii/server/plugins/xmpp/ns"
	"github.com/jabberii/server/plugins/xmpp/stanza"
	"github.com/jabberii/server/plugins/xmpp/stream"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

// A Config says how a session is to be. It is not changed.
type Config struct {
	NS     string  // of stanzas; "" is ns.Client
	Local  jid.JID // who we are: an account, or a domain
	Remote jid.JID // whom we talk to, a domain
	Lang   string  // of texts that we send, "" is none
	Limits xml.Limits

	// Features are negotiated on the initiating side, the first that has its place first.
	Features []Feature

	// Element, if not nil, is called for each element that is not an answer to a Request,
	// stanza or not, by the goroutine that reads; Receive then has nothing to return. The
	// token is valid until it returns. An error ends the stream, with that error if it is
	// a *stream.Error.
	Element func(t *xml.Token) error

	// Inbox is how many stanzas may wait for Receive before the session stops reading;
	// 0 means 256.
	Inbox int
	// Timeout is for one write, and for a peer to answer the end of the stream. 0
	// means 30 s.
	Timeout time.Duration

	quick *quick // the login by SASL2, nil without
}

func (c *Config) space() string { return cmp.Or(c.NS, ns.Client) }

func (c *Config) timeout() time.Duration { return cmp.Or(c.Timeout, 30*time.Second) }

func (c *Config) inbox() int { return cmp.Or(c.Inbox, 256) }

// maxUnsent bounds the bytes that wait for the connection.
const maxUnsent = 256 << 10

var (
	// ErrClosed says that the session was ended on this side.
	ErrClosed = errors.New("session closed")
	// ErrNotResumable says that a session has no XEP-0198 that could resume it.
	ErrNotResumable = errors.New("session cannot be resumed")
	// ErrNotResumed says that the server does not know the session any more.
	ErrNotResumed = errors.New("session was not resumed")
)

// A Session is a stream that has been negotiated. It may be used by several goroutines
// at a time.
type Session struct {
	config   Config
	local    jid.JID
	features stream.Features

	mu      sync.Mutex
	changed chan struct{} // closed when something changes that somebody waits for
	waiting int
	conn    net.Conn
	reader  *xml.Reader
	reading chan struct{} // closed when the goroutine that reads has ended
	err     error         // why the connection is down, nil while it is up
	closing bool          // our end of the stream was sent

	unsent   []byte
	spare    []byte
	flushing bool

	inbox    []stanza.Stanza
	requests map[string]*request
	serial   uint64 // of requests

	management *management // nil without XEP-0198
}

// Initiate negotiates the initiating side of a stream and returns its session. Ctx
// bounds the negotiation only. On an error the connection is closed. The error is a
// *stream.Error if the peer ended the stream with one, a *sasl.Failure if it refused the
// credentials.
func Initiate(ctx context.Context, conn net.Conn, config Config) (*Session, error) {
	n, err := initiate(ctx, conn, &config, nil)
	if err != nil {
		return nil, err
	}
	s := newSession(n.conn, n.reader, config)
	s.local, s.features, s.inbox, s.management = n.local, n.offered, n.early, n.management
	s.start()
	return s, nil
}

func initiate(ctx context.Context, conn net.Conn, config *Config, resuming *resumption) (*Negotiator, error) {
	n := &Negotiator{
		config: config, conn: conn, local: config.Local, resuming: resuming,
		reader: xml.NewReader(conn, config.Limits),
	}
	err := within(ctx, conn, func() error { return n.negotiate(ctx, config.Features) })
	if err != nil {
		n.refuse(err)
		conn.Close()
		return nil, err
	}
	return n, nil
}

// refuse ends the stream because of an error of ours; it doesn't wait.
func (n *Negotiator) refuse(err error) {
	var theirs *stream.Error
	if errors.As(err, &theirs) || !n.opened {
		return
	}
	n.conn.SetWriteDeadline(time.Now().Add(time.Second))
	n.conn.Write([]byte(stream.Close))
}

// New makes a session of a connection on which a stream has been negotiated by other
// means, that of components for example. The session owns both from then on; the reader
// has to stand behind the last element of the negotiation.
func New(conn net.Conn, reader *xml.Reader, config Config) *Session {
	s := newSession(conn, reader, config)
	s.start()
	return s
}

func newSession(conn net.Conn, reader *xml.Reader, config Config) *Session {
	return &Session{
		config: config, local: config.Local, conn: conn, reader: reader,
		changed: make(chan struct{}), requests: map[string]*request{},
	}
}

// Local is our own address; behind Bind the full JID.
func (s *Session) Local() jid.JID { return s.local }

// Remote is the peer's address.
func (s *Session) Remote() jid.JID { return s.config.Remote }

// Features are what the peer offered last: for a client, behind the authentication.
func (s *Session) Features() stream.Features { return s.features }

// TLS is the state of the encryption, nil without.
func (s *Session) TLS() *tls.ConnectionState {
	s.mu.Lock()
	defer s.mu.Unlock()
	return tlsState(s.conn)
}

// Err is why the session's connection is down, nil while it is up. It is io.EOF if the
// peer closed the stream, a *stream.Error if it gave a reason.
func (s *Session) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// Close ends the stream, waits for the peer to do the same, and closes the connection.
// A session that was closed is not resumed. Element must not call it.
func (s *Session) Close() error {
	s.mu.Lock()
	s.management.forget()
	if s.err == nil && !s.closing {
		s.closing = true
		s.unsent = append(s.unsent, stream.Close...)
		s.flush()
	}
	ctx, cancel := context.WithTimeout(context.Background(), s.config.timeout())
	defer cancel()
	s.wait(ctx, func() bool { return s.err != nil })
	s.down(ErrClosed)
	s.mu.Unlock()
	<-s.reading
	return nil
}

// Drop closes the connection and leaves the stream open, as if the network had failed.
// The session can be resumed if it has XEP-0198. Element must not call it.
func (s *Session) Drop() {
	s.mu.Lock()
	s.down(net.ErrClosed)
	s.mu.Unlock()
	<-s.reading
}

// down notes why the connection is of no more use, and closes it. With the lock held.
func (s *Session) down(err error) {
	if s.err != nil {
		return
	}
	s.err = err
	s.unsent = nil
	if secure, ok := s.conn.(*tls.Conn); ok && s.closing {
		go secure.Close() // says goodbye, which may take a while
	} else if ok {
		secure.NetConn().Close()
	} else {
		s.conn.Close()
	}
	s.wake()
}

// wait releases the lock until a condition holds, or ctx ends.
func (s *Session) wait(ctx context.Context, until func() bool) error {
	for !until() {
		if err := ctx.Err(); err != nil {
			return err
		}
		changed := s.changed
		s.waiting++
		s.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
		}
		s.mu.Lock()
		s.waiting--
	}
	return nil
}

// wake has all who wait look again. With the lock held.
func (s *Session) wake() {
	if s.waiting > 0 {
		close(s.changed)
		s.changed = make(chan struct{})
	}
}
