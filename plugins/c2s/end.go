package c2s

import (
	"net"
	"time"

	"github.com/jabberii/server/plugins/xmpp/ns"
	"github.com/jabberii/server/plugins/xmpp/stream"
)

// farewell is how long clients have to end their side of a stream when ours
// has ended (RFC 6120, 4.4), and to read why.
const farewell = time.Second

// A halfCloser is a transport whose two ways end one at a time.
type halfCloser interface {
	// CloseWrite ends our way, behind what was written.
	CloseWrite() error
	// Drain reads what the client still says and forgets it, until it ends its
	// way or the deadline.
	Drain()
}

// hangUp ends our side of the connection, behind what was written. What the
// client says does not count since our side of the stream was ended; the
// connection is closed when it ends its side, or soon.
func (c *conn) hangUp() {
	t, ok := c.t.(halfCloser)
	if !ok {
		c.close(c.t.Close)
		return
	}
	c.leaving.Store(true)
	c.t.SetReadDeadline(time.Now().Add(farewell))
	c.close(t.CloseWrite)
}

// linger lets the client read why its stream was ended: a connection that is
// closed before all of what the client says was read takes that away from it.
func (c *conn) linger() {
	if t, ok := c.t.(halfCloser); ok {
		c.t.SetReadDeadline(time.Now().Add(farewell))
		t.CloseWrite()
		t.Drain()
	}
}

// interrupt ends the waiting of a login, whose time is over.
func (c *conn) interrupt() {
	c.t.SetWriteDeadline(time.Now().Add(farewell))
	c.t.SetReadDeadline(past)
}

// turnAway ends a connection that is one too many. A client that begins in the
// clear is told; its empty socket takes that without waiting.
func (s *Service) turnAway(nc net.Conn, direct bool) {
	if !direct {
		h := stream.Header{NS: ns.Client, ID: stream.NewID(), Version: stream.Version, Lang: stream.Lang}
		e := &stream.Error{Condition: stream.ResourceConstraint, Text: "too many connections", Lang: "en"}
		nc.SetWriteDeadline(time.Now().Add(farewell / 10))
		nc.Write(append(e.Append(h.Append(nil)), stream.Close...))
	}
	nc.Close()
}
