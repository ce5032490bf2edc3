// Package component connects external components and servers: the Jabber Component
// Protocol, XEP-0114, for both sides of both of its methods.
//
// A component is a domain that a server routes to over one stream. In the method accept
// the component opens the connection, in the method connect the server does; each has a
// namespace of its own. Whoever opens it proves that it knows a secret, by a digest over
// the stream's id; the other one does not prove anything. There is no encryption: use it
// on a network that is trusted, or within TLS.
//
//	opener                                      other side
//	stream header  ---------------------------> is there such a component?
//	               <--------------------------- stream header with an id
//	handshake: hex(SHA-1(id + secret)) -------> the same digest? is the name free?
//	               <--------------------------- empty handshake
//	stanzas        <--------------------------> stanzas
//
// [Open] is the side that opens the connection. The other side is a [Receiver], a state
// machine without I/O that is fed tokens like a session.Receiver, and [Accept], the loop
// around it. Both end in a session.Session.
//
// Each stanza has both addresses. Whether those of a component are of its domain is for
// the server to check.
package component

import (
	"cmp"
	"context"
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/jabberii/server/plugins/xmpp/jid"
	"github.com/jabberii/server/plugins/xmpp/ns"
	"github.com/jabberii/server/plugins/xmpp/session"
	"github.com/jabberii/server/plugins/xmpp/stream"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

// Digest is what the handshake says: the hexadecimal SHA-1 of the stream's id and the
// secret, in lower case. As all implementations do, and other than the letter of the
// XEP, it takes the secret as it is and not as it would be escaped in XML.
func Digest(id, secret string) string {
	sum := sha1.Sum([]byte(id + secret))
	return hex.EncodeToString(sum[:])
}

// A Config is what the side that opens a connection has to know.
type Config struct {
	// NS is the method: ns.ComponentAccept for a component that connects to its server,
	// the same as empty, or ns.ComponentConnect for a server that connects to a component.
	NS     string
	Name   jid.JID // the component's, a domain
	Secret string
	// Session has further settings; NS, Local and Remote are filled in, one of the two
	// with the component's name, since nobody says what the server is called.
	Session session.Config
}

// Open negotiates the side that has opened the connection. The error is a *stream.Error
// if the other side refuses: not-authorized, host-unknown, conflict. Ctx bounds the
// negotiation only. On an error the connection is closed.
func Open(ctx context.Context, conn net.Conn, c Config) (*session.Session, error) {
	if c.NS == "" {
		c.NS = ns.ComponentAccept
	}
	reader := xml.NewReader(conn, c.Session.Limits)
	if err := within(ctx, conn, func() error { return open(conn, reader, c) }); err != nil {
		conn.Close()
		return nil, err
	}
	config := c.Session
	config.NS, config.Local, config.Remote = c.NS, c.Name, jid.JID{}
	if c.NS == ns.ComponentConnect {
		config.Local, config.Remote = jid.JID{}, c.Name
	}
	return session.New(conn, reader, config), nil
}

func open(conn net.Conn, reader *xml.Reader, c Config) error {
	h := stream.Header{NS: c.NS, To: c.Name}
	if c.NS == ns.ComponentConnect {
		h.To, h.From = h.From, h.To
	}
	if _, err := conn.Write(h.Append(nil)); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	t, err := reader.Next()
	if err != nil {
		return fmt.Errorf("read: %w", err)
	}
	answer, err := stream.ParseHeader(t)
	if err != nil {
		return err
	}
	if t, err = handshake(conn, reader, answer, c); err != nil {
		return err
	}
	if t.Kind == xml.Close {
		return fmt.Errorf("stream closed by the peer: %w", io.EOF)
	}
	if e, ok := stream.ParseError(t); ok {
		return e
	}
	if t.Name != "handshake" || t.NS != c.NS {
		return fmt.Errorf("want handshake, got %s", t.Name)
	}
	return nil
}

// handshake sends the digest and reads what is said to that. A peer that refuses the
// header says so behind a header of its own, mostly at once, and closes: what it has
// said counts for more than that the digest could not be written.
func handshake(conn net.Conn, reader *xml.Reader, h stream.Header, c Config) (*xml.Token, error) {
	var unsent error
	switch {
	case h.NS != c.NS:
		unsent = &stream.Error{Condition: stream.InvalidNamespace}
	case h.ID == "":
		unsent = errors.New("stream without an id")
	default:
		_, unsent = conn.Write(xml.AppendElement(nil, "handshake", "", Digest(h.ID, c.Secret)))
	}
	t, err := reader.Next()
	if unsent == nil && err == nil {
		return t, nil
	}
	if err == nil {
		if _, refused := stream.ParseError(t); refused {
			return t, nil
		}
	}
	return nil, fmt.Errorf("handshake: %w", cmp.Or(unsent, err))
}

// within runs f with a connection whose I/O ends when ctx does.
func within(ctx context.Context, conn net.Conn, f func() error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	err := f()
	if !stop() {
		return errors.Join(ctx.Err(), err)
	}
	return err
}
