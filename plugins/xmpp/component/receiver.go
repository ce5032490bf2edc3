package component

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/jabberii/server/plugins/xmpp/jid"
	"github.com/jabberii/server/plugins/xmpp/ns"
	"github.com/jabberii/server/plugins/xmpp/session"
	"github.com/jabberii/server/plugins/xmpp/stream"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

// An Acceptor is what the receiving side of all connections of one listener has in
// common. It is not changed by its receivers. An error of its functions that is a
// *stream.Error is what the peer is told, host-unknown or conflict for example; any
// other is an internal-server-error there.
type Acceptor struct {
	// NS is the method: ns.ComponentAccept for a server that components connect to, the
	// same as empty, or ns.ComponentConnect for a component that servers connect to.
	NS string
	// Secret is that of a component, by its name.
	Secret func(ctx context.Context, name jid.JID) (string, error)
	// Attach is called for a component that has proved to know the secret, just before
	// it is told so: the place to take the name, and to be refused. It may be nil.
	Attach func(ctx context.Context, name jid.JID) error
}

func (a *Acceptor) space() string {
	if a.NS == "" {
		return ns.ComponentAccept
	}
	return a.NS
}

// A Receiver negotiates the receiving side of one stream. It does no I/O: whoever owns
// the connection feeds it tokens until the step is session.Ready or session.Close; there
// are no steps in between. It is for one goroutine at a time.
type Receiver struct {
	acceptor *Acceptor
	name     jid.JID
	id       string
	secret   string
	opened   bool // our header was sent
	ended    bool
}

// NewReceiver returns a receiver that waits for the header of a stream.
func NewReceiver(a *Acceptor) *Receiver { return &Receiver{acceptor: a, id: stream.NewID()} }

// Name is the component's, zero before a header with a name that is known.
func (r *Receiver) Name() jid.JID { return r.name }

// Feed takes the next token. It blocks only in the functions of the Acceptor.
func (r *Receiver) Feed(ctx context.Context, t *xml.Token) session.Reply {
	switch {
	case r.ended:
		return session.Reply{Step: session.Close, Err: errors.New("component: fed after the end of negotiation")}
	case !r.opened:
		return r.header(ctx, t)
	case t.Kind == xml.Close:
		return r.closed(fmt.Errorf("stream closed by the peer: %w", io.EOF))
	}
	if e, ok := stream.ParseError(t); ok {
		return r.closed(e)
	}
	if t.Kind != xml.Child || t.Name != "handshake" || t.NS != r.acceptor.space() {
		return r.Fail(&stream.Error{Condition: stream.NotAuthorized})
	}
	return r.handshake(ctx, t)
}

// Fail ends the stream for an error of the owner's, as session.Receiver.Fail does.
func (r *Receiver) Fail(err error) session.Reply {
	var out []byte
	if !r.opened {
		out = r.appendHeader(out)
	}
	r.ended = true
	out = stream.ErrorOf(err).Append(out)
	return session.Reply{Out: append(out, stream.Close...), Step: session.Close, Err: err}
}

func (r *Receiver) closed(err error) session.Reply {
	r.ended = true
	return session.Reply{Out: []byte(stream.Close), Step: session.Close, Err: err}
}

// header answers the header of the stream, whose one address is the component's name.
func (r *Receiver) header(ctx context.Context, t *xml.Token) session.Reply {
	h, err := stream.ParseHeader(t)
	if err != nil {
		return r.Fail(err)
	}
	if h.NS != r.acceptor.space() {
		return r.Fail(&stream.Error{Condition: stream.InvalidNamespace})
	}
	name := h.To
	if h.NS == ns.ComponentConnect {
		name = h.From
	}
	if !name.IsServer() {
		return r.Fail(&stream.Error{Condition: stream.HostUnknown, Text: "a component's name is a domain"})
	}
	if r.secret, err = r.acceptor.Secret(ctx, name); err != nil {
		return r.Fail(err)
	}
	r.name = name
	return session.Reply{Out: r.appendHeader(nil)}
}

func (r *Receiver) appendHeader(dst []byte) []byte {
	r.opened = true
	h := stream.Header{NS: r.acceptor.space(), From: r.name, ID: r.id}
	if h.NS == ns.ComponentConnect {
		h.To, h.From = h.From, h.To
	}
	return h.Append(dst)
}

func (r *Receiver) handshake(ctx context.Context, t *xml.Token) session.Reply {
	got := strings.TrimSpace(string(xml.AppendUnescaped(nil, t.Body)))
	want := Digest(r.id, r.secret)
	if subtle.ConstantTimeCompare([]byte(got), []byte(want)) != 1 || r.secret == "" {
		return r.Fail(&stream.Error{Condition: stream.NotAuthorized})
	}
	if r.acceptor.Attach != nil {
		if err := r.acceptor.Attach(ctx, r.name); err != nil {
			return r.Fail(err)
		}
	}
	r.ended = true
	return session.Reply{Out: xml.AppendEmpty(nil, "handshake", ""), Step: session.Ready}
}

// Accept negotiates the receiving side of a stream and returns its session. Of the
// configuration, NS, Local and Remote are filled in, one of the two with the component's
// name. Ctx bounds the negotiation only. On an error the connection is closed; if
// Attach had succeeded by then, whoever called knows the name from it.
func Accept(ctx context.Context, conn net.Conn, a *Acceptor, config session.Config) (*session.Session, error) {
	r := NewReceiver(a)
	reader := xml.NewReader(conn, config.Limits)
	if err := within(ctx, conn, func() error { return accept(ctx, conn, r, reader) }); err != nil {
		conn.Close()
		return nil, err
	}
	config.NS, config.Local, config.Remote = a.space(), jid.JID{}, r.Name()
	if config.NS == ns.ComponentConnect {
		config.Local, config.Remote = r.Name(), jid.JID{}
	}
	return session.New(conn, reader, config), nil
}

func accept(ctx context.Context, conn net.Conn, r *Receiver, reader *xml.Reader) error {
	for {
		t, err := reader.Next()
		var reply session.Reply
		var syntax *xml.SyntaxError
		switch {
		case err == nil:
			reply = r.Feed(ctx, t)
		case errors.As(err, &syntax):
			reply = r.Fail(err)
		default:
			return fmt.Errorf("read: %w", err)
		}
		if _, err := conn.Write(reply.Out); err != nil {
			return errors.Join(reply.Err, fmt.Errorf("write: %w", err))
		}
		switch reply.Step {
		case session.Ready:
			return nil
		case session.Close:
			return reply.Err
		}
	}
}
