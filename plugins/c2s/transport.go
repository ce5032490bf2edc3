package c2s

import (
	"context"
	"net"
	"time"

	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sdk/idle"
	"github.com/jabberii/server/plugins/xmpp/sasl"
	"github.com/jabberii/server/plugins/xmpp/session"
	"github.com/jabberii/server/plugins/xmpp/stream"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

// A transport carries the stream of one client. Next, Restart, Rest and Encrypt
// are for the goroutine that reads; the others may be called beside it.
type transport interface {
	// Next returns the next token of the stream, valid until the next call, with
	// the errors of [xml.Reader.Next]. Before it waits it calls conn.handOver.
	Next() (*xml.Token, error)
	// Restart has the header of a new stream come next.
	Restart()
	// Rest gives back what a stream needs only while its client says something.
	Rest()
	// Encrypt starts TLS, for the client that asked for it or, with host "", that
	// began with it.
	Encrypt(ctx context.Context, host string) (sasl.Channel, error)

	// Framing is how streams begin and end on it.
	Framing() session.Framing
	// Answer writes what negotiation says.
	Answer(out []byte) error
	// AppendElement and AppendEnd append what Write is given: an element, and the
	// end of the stream, with an error unless it is nil.
	AppendElement(dst []byte, p *packet.Packet) []byte
	AppendEnd(dst []byte, e *stream.Error) []byte
	Write(b []byte) (int, error)

	Close() error // behind what was written
	Cut() error   // at once

	// After a deadline Next returns os.ErrDeadlineExceeded, and goes on later
	// where it stopped.
	SetReadDeadline(t time.Time) error
	SetWriteDeadline(t time.Time) error
	RemoteAddr() net.Addr

	// Park and Leave are those of [idle.Lot]: x is woken when Next need not wait.
	Park(x idle.Sleeper) error
	Leave(x idle.Sleeper)
}
