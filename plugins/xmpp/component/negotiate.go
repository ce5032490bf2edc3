package component

import (
	"context"
	"net"

	"github.com/jabberii/server/plugins/xmpp/ns"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

// Negotiate is [Open] for those who read and write the stream themselves: the reader,
// which reads from conn, then stands behind the handshake. The session settings of the
// configuration are not used. On an error the connection is left to the caller.
func Negotiate(ctx context.Context, conn net.Conn, reader *xml.Reader, c Config) error {
	if c.NS == "" {
		c.NS = ns.ComponentAccept
	}
	return within(ctx, conn, func() error { return open(conn, reader, c) })
}

// Negotiate is [Accept] for those who read and write the stream themselves: it feeds the
// receiver from the reader, which reads from conn, until stanzas may flow. The error is
// io.EOF, somewhere, if the peer closed its stream. On an error the connection is left to
// the caller.
func (r *Receiver) Negotiate(ctx context.Context, conn net.Conn, reader *xml.Reader) error {
	return within(ctx, conn, func() error { return accept(ctx, conn, r, reader) })
}
