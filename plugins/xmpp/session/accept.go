package session

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"

	"github.com/jabberii/server/plugins/xmpp/sasl"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

// Accept negotiates the receiving side of a stream and returns its session, whose Remote
// is the address that was bound or authenticated, and Local the host. Secure does the
// handshake of STARTTLS; it may be nil if no host offers that. A connection that is a
// *tls.Conn is encrypted already, and SASL may be bound to it by tls-exporter.
// Of the configuration, NS, Local and Remote are filled in. Ctx bounds the negotiation
// only. On an error the connection is closed.
func Accept(ctx context.Context, conn net.Conn, a *Acceptor, secure *TLSServer, config Config) (*Session, error) {
	r := NewReceiver(a)
	reader := xml.NewReader(conn, config.Limits)
	final := conn
	err := within(ctx, conn, func() (err error) {
		if direct, ok := conn.(*tls.Conn); ok {
			if err := direct.HandshakeContext(ctx); err != nil {
				return fmt.Errorf("tls: %w", err)
			}
			r.Secured(sasl.Channel{Secure: true, Bindings: sasl.TLSBindings(tlsState(conn), nil)})
		}
		final, err = accept(ctx, conn, r, reader, secure)
		return err
	})
	if err != nil {
		conn.Close()
		return nil, err
	}
	config.NS, config.Local, config.Remote = a.NS, r.Host().Address, r.Address()
	return New(final, reader, config), nil
}

func accept(ctx context.Context, conn net.Conn, r *Receiver, reader *xml.Reader, secure *TLSServer) (net.Conn, error) {
	for {
		t, err := reader.Next()
		var reply Reply
		var syntax *xml.SyntaxError
		switch {
		case err == nil:
			reply = r.Feed(ctx, t)
		case errors.As(err, &syntax):
			reply = r.Fail(err)
		default:
			return nil, err
		}
		if _, err := conn.Write(reply.Out); err != nil {
			return nil, errors.Join(reply.Err, err)
		}
		switch reply.Step {
		case Restart:
			reader.Reset(conn)
		case Encrypt:
			if conn, err = startTLSServer(ctx, conn, r, reader, secure); err != nil {
				return nil, err
			}
		case Ready:
			return conn, nil
		case Close:
			return nil, reply.Err
		}
	}
}

func startTLSServer(ctx context.Context, conn net.Conn, r *Receiver, reader *xml.Reader, secure *TLSServer) (*tls.Conn, error) {
	if reader.Buffered() > 0 {
		return nil, errors.New("data in the clear behind the start of TLS")
	}
	if secure == nil {
		return nil, errors.New("starttls is offered, and there is nobody for the handshake")
	}
	encrypted, channel, err := secure.Handshake(ctx, conn)
	if err != nil {
		return nil, err
	}
	r.Secured(channel)
	reader.Reset(encrypted)
	return encrypted, nil
}
