package c2s

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/gobwas/ws"
	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sdk/element"
	"github.com/jabberii/server/plugins/sdk/origin"
	"github.com/jabberii/server/plugins/sdk/web"
	"github.com/jabberii/server/plugins/xmpp/ns"
	"github.com/jabberii/server/plugins/xmpp/sasl"
	"github.com/jabberii/server/plugins/xmpp/session"
	"github.com/jabberii/server/plugins/xmpp/stream"
	"github.com/jabberii/server/plugins/xmpp/websocket"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

type websocketArgs struct {
	Path    string          `json:"path" default:"/ws" doc:"Where http serves it."`
	Origins []string        `json:"origins" default:"*" doc:"Origins of web pages that may connect, as https://chat.example.org; * is any."`
	Ping    module.Duration `json:"ping" default:"50s" doc:"How often a client is sent a ping, so that proxies do not take the connection for dead; one that does not answer until the next loses it. 0 is never."`
}

// A webSocket is the transport of RFC 7395. Below it is a socket, so that it is
// parked like one.
type webSocket struct {
	socket
	client net.Addr
	r      *websocket.Reader
	heard  atomic.Bool // since the last ping
	closed atomic.Bool // a close frame was sent, and nothing comes behind it (RFC 6455 section 5.5.1)
}

func (c *conn) overWebSocket(nc net.Conn, early []byte, client web.Client) {
	t := &webSocket{socket: socket{c: c, tcp: nc, net: nc}, client: client.NetAddr()}
	if secure, ok := nc.(*tls.Conn); ok {
		t.tcp = secure.NetConn()
	}
	c.s.watch(t.tcp)
	t.r = websocket.NewReader(t, early, c.s.limits(), t.answer)
	c.t = t
}

// serveWebSocket takes a client by HTTP.
func (s *Service) serveWebSocket(w http.ResponseWriter, r *http.Request) {
	if !isFrom(r, s.args.WebSocket.Origins) {
		http.Error(w, "Pages of this origin may not connect.", http.StatusForbidden)
		return
	}
	if !s.admit(r) {
		http.Error(w, "There is no room for a further connection.", http.StatusServiceUnavailable)
		return
	}
	nc, early, err := websocket.Accept(w, r)
	if err != nil {
		s.strangers.Leave(origin.Counted(web.ClientOf(r).NetAddr()))
		s.release()
		return
	}
	c, client := &conn{s: s}, web.ClientOf(r)
	c.overWebSocket(nc, early, client)
	channel := sasl.Channel{Secure: client.Secure}
	if client.TLS != nil {
		channel.Bindings = sasl.TLSBindings(client.TLS, nil)
	}
	go c.liveOverWeb(channel) // the request, with all that it has, ends here
}

// answer sends what the reader answers by itself. In a login the reader is the one who
// writes, and closes the connection when it has read the end.
func (t *webSocket) answer(frame []byte) {
	closes := ws.OpCode(frame[0]&0x0f) == ws.OpClose
	if closes && (t.c.source == nil || t.c.alone.Load()) {
		if !t.closed.Swap(true) {
			t.SetWriteDeadline(time.Now().Add(farewell))
			t.Write(frame)
		}
		return
	}
	frame = bytes.Clone(frame)
	t.c.put(false, func(dst []byte) []byte {
		if t.closed.Load() || closes && t.closed.Swap(true) {
			return dst
		}
		return append(dst, frame...)
	})
}

// Read reads for t.r.
func (t *webSocket) Read(b []byte) (int, error) {
	n, err := t.socket.Read(b)
	if n > 0 {
		t.heard.Store(true)
	}
	return n, err
}

func (t *webSocket) Framing() session.Framing { return session.Messages }

func (t *webSocket) Next() (*xml.Token, error) { return t.r.Next() }

func (t *webSocket) Restart() {}

func (t *webSocket) Rest() { t.r.Rest() }

func (t *webSocket) Encrypt(context.Context, string) (sasl.Channel, error) {
	return sasl.Channel{}, errors.New("no STARTTLS on a WebSocket")
}

func (t *webSocket) Answer(out []byte) error {
	if t.closed.Load() {
		return nil
	}
	var b []byte
	for el := range xml.Elements(out, "") {
		b = websocket.AppendMessage(b, func(dst []byte) []byte { return append(dst, el.Outer()...) })
	}
	if bytes.HasSuffix(out, []byte(stream.CloseFrame)) {
		b = websocket.AppendClose(b, ws.StatusNormalClosure, "")
		t.closed.Store(true)
	}
	_, err := t.Write(b)
	return err
}

func (t *webSocket) AppendElement(dst []byte, p *packet.Packet) []byte {
	if t.closed.Load() {
		return dst
	}
	return websocket.AppendMessage(dst, func(dst []byte) []byte { return appendAlone(dst, p) })
}

// appendAlone appends an element that stands outside of a stream's document.
func appendAlone(dst []byte, p *packet.Packet) []byte {
	q := *p
	if q.NS == "" {
		q.NS = ns.Client
	}
	return element.Append(dst, &q)
}

func (t *webSocket) AppendEnd(dst []byte, e *stream.Error) []byte {
	if t.closed.Swap(true) {
		return dst
	}
	if e != nil {
		dst = websocket.AppendMessage(dst, e.Append)
	}
	dst = websocket.AppendMessage(dst, func(dst []byte) []byte { return append(dst, stream.CloseFrame...) })
	return websocket.AppendClose(dst, ws.StatusNormalClosure, "")
}

func (t *webSocket) RemoteAddr() net.Addr { return t.client }

// pingAll pings the clients on WebSockets from time to time, until ctx is done.
func (s *Service) pingAll(ctx context.Context) {
	ticker := time.NewTicker(s.args.WebSocket.Ping.Std())
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		for _, c := range s.all() {
			if t, ok := c.t.(*webSocket); ok {
				t.ping()
			}
		}
	}
}

// ping has a client show that it is there until the next ping.
func (t *webSocket) ping() {
	if !t.heard.Swap(false) {
		t.c.close(t.Cut)
		return
	}
	t.c.put(false, func(dst []byte) []byte {
		if t.closed.Load() {
			return dst
		}
		return websocket.AppendPing(dst)
	})
}
