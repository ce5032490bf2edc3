package c2s_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/c2s"
	weblisten "github.com/jabberii/server/plugins/http"
	"github.com/jabberii/server/plugins/sdk/sdktest"
	"github.com/jabberii/server/plugins/sdk/web"
	"github.com/jabberii/server/plugins/xmpp/sasl"
	"github.com/jabberii/server/plugins/xmpp/session"
	"github.com/jabberii/server/plugins/xmpp/websocket"
)

// webPlan is plan with http in the section of c2s.
func webPlan(args string) sdktest.Plan {
	p, routes := plan(args), new(web.Routes)
	p.Modules[0] = c2s.With(routes)
	p.Modules = append([]module.Module{weblisten.With(routes)}, p.Modules...)
	http := sdktest.Block("http", `{"listen":["127.0.0.1:0"],"tls":{"listen":["127.0.0.1:0"]}}`)
	p.Sections[0] = sdktest.Section("c2s", packet.Session, http, sdktest.Block("c2s", args))
	return p
}

// served returns the next address that http says it listens on.
func served(h *sdktest.Harness) string {
	return addressIn.FindStringSubmatch(h.Logged("listening for HTTP").Attrs)[1]
}

func loginOnWebSocket(t *testing.T, url string, a session.Account) (*session.Session, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	t.Cleanup(cancel)
	conn, err := websocket.Dial(ctx, url, &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	a.Plaintext = true
	return loginOn(t, conn, a)
}

const overWebSocket = `{"listen":["127.0.0.1:0"],"channel_binding":true,"websocket":{"origins":["https://chat.example.org"]}}`

func TestWebSocket(t *testing.T) {
	sdktest.Both(t, webPlan(overWebSocket), func(t *testing.T, h *sdktest.Harness) {
		clear, secure := served(h), served(h)
		withAccount(t, h)
		for url, mechanisms := range map[string][]string{
			"ws://" + clear + "/ws":   {sasl.ScramSHA256, sasl.ScramSHA1}, // the client sends no password in the clear
			"wss://" + secure + "/ws": {sasl.ScramSHA256Plus, sasl.Plain},
		} {
			for _, mechanism := range mechanisms {
				t.Run(url[:3]+" "+mechanism, func(t *testing.T) {
					s, err := loginOnWebSocket(t, url, session.Account{Mechanisms: []string{mechanism}})
					if err != nil {
						t.Fatal(err)
					}
					chat(t, s)
					s.Close()
					if p := h.Next(); p.Name != "close" || p.Type != "end" || p.From != "ann@example.org/there" {
						t.Errorf("the session is told %+v", p)
					}
				})
			}
		}
	})
}

// A client that has become quiet is parked, and goes on.
func TestWebSocketIsParked(t *testing.T) {
	t.Parallel()
	sdktest.Both(t, webPlan(overWebSocket), func(t *testing.T, h *sdktest.Harness) {
		clear, secure := served(h), served(h)
		withAccount(t, h)
		var all []*session.Session
		for _, url := range []string{"ws://" + clear + "/ws", "wss://" + secure + "/ws"} {
			s, err := loginOnWebSocket(t, url, session.Account{})
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, s)
		}
		h.Logged("connections have become quiet")
		for _, s := range all {
			chat(t, s)
			s.Drop()
			if p := h.Next(); p.Name != "close" || p.Type != "lost" {
				t.Errorf("the session is told %+v", p)
			}
		}
	})
}

// rawWebSocket is a client that says what it likes.
type rawWebSocket struct {
	t  *testing.T
	rw io.ReadWriter
	r  *bufio.Reader
}

func dialRaw(t *testing.T, address string, header http.Header) (*rawWebSocket, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	conn, buffered, _, err := ws.Dialer{Protocols: []string{"xmpp"}, Header: ws.HandshakeHeaderHTTP(header)}.Dial(ctx, "ws://"+address+"/ws")
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(30 * time.Second))
	if buffered == nil {
		buffered = bufio.NewReader(conn)
	}
	return &rawWebSocket{t, conn, buffered}, nil
}

func (c *rawWebSocket) say(op ws.OpCode, text string) {
	c.t.Helper()
	if err := ws.WriteFrame(c.rw, ws.MaskFrame(ws.NewFrame(op, true, []byte(text)))); err != nil {
		c.t.Fatal(err)
	}
}

// frame returns the next frame.
func (c *rawWebSocket) frame() (ws.OpCode, []byte, error) {
	h, err := ws.ReadHeader(c.r)
	if err != nil {
		return 0, nil, err
	}
	payload := make([]byte, min(h.Length, 1<<20))
	_, err = io.ReadFull(c.r, payload)
	return h.OpCode, payload, err
}

// hear returns the next message, "PING", or "CLOSE" with what it says.
func (c *rawWebSocket) hear() string {
	c.t.Helper()
	op, payload, err := c.frame()
	if err != nil {
		return err.Error()
	}
	switch op {
	case ws.OpPing:
		return "PING"
	case ws.OpPong:
		return "PONG " + string(payload)
	case ws.OpClose:
		code, why := ws.ParseCloseFrameData(payload)
		return "CLOSE " + http.StatusText(int(code)) + why
	}
	return string(payload)
}

const openFrame = "<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' to='example.org' version='1.0'/>"

func TestWebSocketFraming(t *testing.T) {
	p := webPlan(strings.Replace(overWebSocket, `"origins"`, `"ping":"50ms","origins"`, 1))
	sdktest.Both(t, p, func(t *testing.T, h *sdktest.Harness) {
		address := served(h)
		for _, c := range []struct {
			name string
			say  []string
			hear []string // the beginnings of messages
		}{
			{"open and close", []string{openFrame, "<close xmlns='urn:ietf:params:xml:ns:xmpp-framing'/>"},
				[]string{"<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' from='example.org' id='", "<stream:features xmlns:stream=", "<close xmlns=", "CLOSE", "EOF"}},
			{"an error", []string{strings.Replace(openFrame, "example.org", "example.net", 1)},
				[]string{"<open ", "<stream:error xmlns:stream='http://etherx.jabber.org/streams'><host-unknown ", "<close ", "CLOSE", "EOF"}},
			{"not XML", []string{"<open"}, []string{"<open ", "<stream:error xmlns:stream='http://etherx.jabber.org/streams'><not-well-formed ", "<close ", "CLOSE"}},
			{"a stream as on TCP", []string{"<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to='example.org' version='1.0'>"},
				[]string{"<open ", "<stream:error xmlns:stream='http://etherx.jabber.org/streams'><not-well-formed "}},
			{"a failure", []string{openFrame, "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='X'/>"},
				[]string{"<open ", "<stream:features ", "<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><invalid-mechanism/></failure>"}},
		} {
			t.Run(c.name, func(t *testing.T) {
				client, err := dialRaw(t, address, nil)
				if err != nil {
					t.Fatal(err)
				}
				for _, text := range c.say {
					client.say(ws.OpText, text)
				}
				for _, want := range c.hear {
					got := client.hear()
					if got == "PONG " {
						got = client.hear()
					}
					if !strings.HasPrefix(got, want) || strings.Contains(got, "starttls") {
						t.Fatalf("heard %s, want %s", got, want)
					}
				}
			})
		}
	})
}

// A close frame is answered with one, and nothing comes behind one (RFC 6455 section
// 5.5.1), before the login and after it.
func TestWebSocketClose(t *testing.T) {
	normal := string(ws.NewCloseFrameBody(ws.StatusNormalClosure, ""))
	sdktest.Both(t, webPlan(overWebSocket), func(t *testing.T, h *sdktest.Harness) {
		address := served(h)
		withAccount(t, h)
		for _, c := range []struct {
			name  string
			begin func(*rawWebSocket)
			end   func(*rawWebSocket)
			code  ws.StatusCode
		}{
			{"at once", func(*rawWebSocket) {}, func(c *rawWebSocket) { c.say(ws.OpClose, normal) }, ws.StatusNormalClosure},
			{"in the login", func(c *rawWebSocket) { c.say(ws.OpText, openFrame) }, func(c *rawWebSocket) { c.say(ws.OpClose, normal) }, ws.StatusNormalClosure},
			{"after the login", (*rawWebSocket).authenticate, func(c *rawWebSocket) { c.say(ws.OpClose, normal) }, ws.StatusNormalClosure},
			{"not masked", func(c *rawWebSocket) { c.say(ws.OpText, openFrame) }, (*rawWebSocket).unmasked, ws.StatusProtocolError},
			{"not masked after the login", (*rawWebSocket).authenticate, (*rawWebSocket).unmasked, ws.StatusProtocolError},
		} {
			t.Run(c.name, func(t *testing.T) {
				client, err := dialRaw(t, address, nil)
				if err != nil {
					t.Fatal(err)
				}
				c.begin(client)
				c.end(client)
				for {
					op, payload, err := client.frame()
					if err != nil {
						t.Fatalf("no close frame: %v", err)
					}
					if op != ws.OpClose {
						continue
					}
					if code, _ := ws.ParseCloseFrameData(payload); code != c.code {
						t.Errorf("closed with %d, want %d", code, c.code)
					}
					break
				}
				if op, payload, err := client.frame(); err == nil {
					t.Errorf("behind the close frame: %d %s", op, payload)
				}
			})
		}
	})
}

// unmasked sends what a client must not.
func (c *rawWebSocket) unmasked() {
	c.t.Helper()
	if err := ws.WriteFrame(c.rw, ws.NewTextFrame([]byte("<x/>"))); err != nil {
		c.t.Fatal(err)
	}
}

// A client that answers pings stays, one that does not is cut off.
func TestWebSocketPings(t *testing.T) {
	t.Parallel()
	p := webPlan(strings.Replace(overWebSocket, `"origins"`, `"ping":"1500ms","origins"`, 1))
	sdktest.Both(t, p, func(t *testing.T, h *sdktest.Harness) {
		address := served(h)
		withAccount(t, h)
		alive, err := loginOnWebSocket(t, "ws://"+address+"/ws", session.Account{})
		if err != nil {
			t.Fatal(err)
		}
		dead, err := dialRaw(t, address, nil)
		if err != nil {
			t.Fatal(err)
		}
		dead.authenticate()
		for pings := 0; pings < 2; pings++ {
			if got := dead.hear(); got != "PING" {
				if pings == 0 {
					t.Errorf("heard %s instead of a ping", got)
				}
				break
			}
		}
		if p := h.Next(); p.Name != "close" || p.Type != "lost" {
			t.Errorf("the session is told %+v", p)
		}
		chat(t, alive)
	})
}

// authenticate logs in with PLAIN, which is offered on loopback.
func (c *rawWebSocket) authenticate() {
	c.t.Helper()
	for _, step := range []struct{ say, hear string }{
		{openFrame, "<stream:features"},
		{"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AGFubgBzZWNyZXQ=</auth>", "<success"},
		{openFrame, "<stream:features"},
	} {
		c.say(ws.OpText, step.say)
		for heard := ""; !strings.HasPrefix(heard, step.hear); {
			if heard = c.hear(); strings.HasPrefix(heard, "<failure") || strings.HasPrefix(heard, "CLOSE") || heard == "EOF" {
				c.t.Fatalf("after %s: %s", step.say, heard)
			}
		}
	}
}

func TestWebSocketOriginAndEncryption(t *testing.T) {
	sdktest.Both(t, webPlan(overWebSocket), func(t *testing.T, h *sdktest.Harness) {
		address := served(h)
		for _, c := range []struct {
			name   string
			header http.Header
			dials  bool
			hear   string
		}{
			{"no page", nil, true, "<stream:features"},
			{"a page of ours", http.Header{"Origin": {"https://chat.example.org"}}, true, "<stream:features"},
			{"another page", http.Header{"Origin": {"https://evil.example"}}, false, ""},
			{"in the clear before the proxy", http.Header{"X-Forwarded-For": {"192.0.2.1"}}, true, "policy-violation"},
			{"encrypted before the proxy", http.Header{"X-Forwarded-For": {"192.0.2.1"}, "X-Forwarded-Proto": {"https"}}, true, "PLAIN"},
		} {
			t.Run(c.name, func(t *testing.T) {
				client, err := dialRaw(t, address, c.header)
				if (err == nil) != c.dials {
					t.Fatalf("connected: %v", err)
				}
				if err != nil {
					return
				}
				client.say(ws.OpText, openFrame)
				client.hear()
				if got := client.hear(); !strings.Contains(got, c.hear) {
					t.Errorf("heard %s", got)
				}
			})
		}
	})
}

// Who is connected is told when the server ends.
func TestWebSocketShutdown(t *testing.T) {
	t.Parallel()
	h := sdktest.New(t, webPlan(overWebSocket), false)
	address := served(h)
	withAccount(t, h)
	client, err := dialRaw(t, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	client.authenticate()
	client.say(ws.OpText, "<iq xmlns='jabber:client' type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>")
	if got := client.hear(); !strings.HasPrefix(got, "<iq xmlns='jabber:client' ") {
		t.Fatalf("heard %s", got)
	}
	h.Restart()
	var heard []string
	for len(heard) < 4 {
		heard = append(heard, client.hear())
	}
	if !strings.Contains(heard[0], "system-shutdown") || !strings.HasPrefix(heard[1], "<close ") || !strings.HasPrefix(heard[2], "CLOSE") {
		t.Errorf("heard %q", heard)
	}
}
