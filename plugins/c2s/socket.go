package c2s

import (
	"context"
	"errors"
	"io"
	"net"
	"syscall"
	"time"

	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sdk/element"
	"github.com/jabberii/server/plugins/sdk/idle"
	"github.com/jabberii/server/plugins/xmpp/sasl"
	"github.com/jabberii/server/plugins/xmpp/session"
	"github.com/jabberii/server/plugins/xmpp/stream"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

// A socket is the transport of RFC 6120: TCP, and TLS on it.
type socket struct {
	c   *conn
	tcp net.Conn
	net net.Conn // tcp, or TLS on it; Encrypt changes it before anybody else knows the socket
	r   *xml.Reader
}

func (c *conn) overTCP(nc net.Conn) {
	t := &socket{c: c, tcp: nc, net: nc}
	t.r = xml.NewReader(t, c.s.limits())
	c.t = t
}

// Read reads for t.r.
func (t *socket) Read(b []byte) (int, error) {
	t.c.handOver()
	return t.net.Read(b)
}

func (t *socket) Next() (*xml.Token, error) { return t.r.Next() }

func (t *socket) Restart() { t.r.Reset(t) }

func (t *socket) Rest() { t.r.Rest() }

func (t *socket) Encrypt(ctx context.Context, host string) (sasl.Channel, error) {
	if t.r.Buffered() > 0 {
		return sasl.Channel{}, errors.New("the client said something between STARTTLS and the handshake")
	}
	secure, channel, err := t.c.s.tlsServer(host).Handshake(ctx, t.tcp)
	if err != nil {
		return sasl.Channel{}, err
	}
	t.net = secure
	t.Restart()
	return channel, nil
}

func (t *socket) Framing() session.Framing { return session.Document }

func (t *socket) Answer(out []byte) error {
	_, err := t.net.Write(out)
	return err
}

func (t *socket) AppendElement(dst []byte, p *packet.Packet) []byte { return element.Append(dst, p) }

func (t *socket) AppendEnd(dst []byte, e *stream.Error) []byte {
	if e != nil {
		dst = e.Append(dst)
	}
	return append(dst, stream.Close...)
}

func (t *socket) Write(b []byte) (int, error) { return t.net.Write(b) }

// Try implements eager. What goes through TLS may have to wait.
func (t *socket) Try(b []byte) (n int) {
	tcp, ok := t.net.(*net.TCPConn)
	if !ok {
		return 0
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return 0
	}
	// An error comes again with Write.
	_ = raw.Write(func(fd uintptr) bool {
		n, _ = syscall.Write(int(fd), b)
		return true
	})
	return max(n, 0)
}

func (t *socket) Close() error { return t.net.Close() }

func (t *socket) CloseWrite() error {
	if half, ok := t.net.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return t.net.Close()
}

func (t *socket) Drain() { io.Copy(io.Discard, t.tcp) }

func (t *socket) Cut() error { return t.tcp.Close() }

func (t *socket) SetReadDeadline(at time.Time) error { return t.tcp.SetReadDeadline(at) }

func (t *socket) SetWriteDeadline(at time.Time) error { return t.tcp.SetWriteDeadline(at) }

func (t *socket) RemoteAddr() net.Addr { return t.tcp.RemoteAddr() }

func (t *socket) Park(x idle.Sleeper) error { return t.c.s.lot.Park(t.tcp.(syscall.Conn), x) }

func (t *socket) Leave(x idle.Sleeper) {
	if t.c.s.lot != nil {
		t.c.s.lot.Leave(t.tcp.(syscall.Conn), x)
	}
}
