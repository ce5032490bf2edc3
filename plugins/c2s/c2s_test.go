package c2s_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jabberii/server/basemods/load"
	"github.com/jabberii/server/jabberd/config/configtest"
	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/c2s"
	weblisten "github.com/jabberii/server/plugins/http"
	"github.com/jabberii/server/plugins/sdk/account"
	"github.com/jabberii/server/plugins/sdk/sdktest"
	"github.com/jabberii/server/plugins/sdk/web"
	"github.com/jabberii/server/plugins/sdk/xdb"
	"github.com/jabberii/server/plugins/xmpp/jid"
	"github.com/jabberii/server/plugins/xmpp/sasl"
	"github.com/jabberii/server/plugins/xmpp/session"
	"github.com/jabberii/server/plugins/xmpp/stanza"
	"github.com/jabberii/server/xdb/memory"
)

const domain = "example.org"

// sessions is a session manager that binds resources, sends messages back, and
// ends the session of whoever says so.
var sessions = module.Define("sessions", "", module.On(packet.Session), func(env module.Env, _ struct{}) (packet.Handler, error) {
	slot := uint32(0)
	return packet.HandlerFunc(func(ctx context.Context, p *packet.Packet) (packet.Verdict, error) {
		q := packet.Packet{Kind: packet.Session, Flags: packet.Down, Host: p.Near.Host, Section: p.Near.Section, Near: p.Far, Far: p.Near, Seq: p.Seq}
		switch {
		case p.Name == "iq" && strings.Contains(string(p.Body), "xmpp-bind"):
			slot++
			q.Near = packet.Token{Host: domain, Section: env.Section(), Slot: slot, Incarnation: 1}
			q.Name, q.Type, q.ID, q.To = "iq", "result", p.ID, p.From+"/there"
			q.Body = []byte("<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><jid>" + q.To + "</jid></bind>")
		case p.Name == "enable":
			q.Name, q.NS = "enabled", p.NS
		case p.NS == "urn:jabberd:refused":
			q.Name, q.Type, q.ID, q.To, q.Body, q.Attrs = p.Name, "error", p.ID, p.From, p.Body, p.Attrs
		case p.NS != "":
			return packet.Claim, nil
		case p.Name == "message" && strings.Contains(string(p.Body), "spam"):
			return packet.Pass, packet.Refuse("not-acceptable", "")
		case p.Name == "message" && strings.Contains(string(p.Body), "end"):
			q.Name, q.Type, q.Body = "end", "policy-violation", []byte("<because xmlns='urn:x'/>")
		case p.Name == "message":
			q.Name, q.Type, q.ID, q.From, q.To, q.Body, q.Attrs = "message", p.Type, p.ID, p.To, p.From, p.Body, p.Attrs
			q.Lang = p.Lang
			again := q
			again.ID = "a packet that was sent before"
			return packet.Claim, errors.Join(env.Deliver(ctx, &q), env.Deliver(ctx, &again))
		case p.Name == "close":
			q = packet.Packet{Kind: packet.Session, Host: "sink", Name: p.Name, Type: p.Type, From: p.From, Near: p.Near, Far: p.Far}
		}
		return packet.Claim, env.Deliver(ctx, &q)
	}), nil
})

func plan(args string) sdktest.Plan {
	return sdktest.Plan{
		Modules: []module.Module{c2s.Module, sessions, memory.Module},
		Sections: []module.Section{
			sdktest.Section("c2s", packet.Session, sdktest.Block("c2s", args)),
			sdktest.Section("sessions", packet.Session, sdktest.Host(domain), sdktest.Block("sessions", "{}")),
			sdktest.Sinks("sink", packet.Session),
			sdktest.Section("store", packet.XDB, sdktest.Host("*"), sdktest.Block("memory", "{}")),
		},
	}
}

const bothPorts = `{"channel_binding":true,"listen":["127.0.0.1:0"],"tls":{"listen":["127.0.0.1:0"]}}`

var countIn = regexp.MustCompile(`connections='([0-9]+)'`)

var addressIn = regexp.MustCompile(`address='([^']+)'`)

// listening returns the next address that c2s says it listens on.
func listening(h *sdktest.Harness) string {
	return addressIn.FindStringSubmatch(h.Logged("listening for clients").Attrs)[1]
}

func withAccount(t *testing.T, h *sdktest.Harness) {
	t.Helper()
	if err := account.Add(context.Background(), xdb.New(asker{h}, "test"), "ann@"+domain, "secret"); err != nil {
		t.Fatal(err)
	}
}

// withDisabled makes carl's account, and disables it.
func withDisabled(t *testing.T, h *sdktest.Harness) {
	t.Helper()
	ctx, store := context.Background(), xdb.New(asker{h}, "test")
	if err := errors.Join(account.Add(ctx, store, "carl@"+domain, "secret"), account.Disable(ctx, store, "carl@"+domain)); err != nil {
		t.Fatal(err)
	}
}

type asker struct{ h *sdktest.Harness }

func (a asker) Ask(_ context.Context, q *packet.Packet) (*packet.Packet, error) { return a.h.Ask(q) }

func login(t *testing.T, address string, a session.Account) (*session.Session, error) {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	return loginOn(t, conn, a)
}

func loginOn(t *testing.T, conn net.Conn, a session.Account) (*session.Session, error) {
	t.Helper()
	a.Address, a.Window = jid.MustParse("ann@"+domain), -1
	if a.Password == "" {
		a.Password = "secret"
	}
	a.TLS = &tls.Config{InsecureSkipVerify: true}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	t.Cleanup(cancel)
	return session.Client(ctx, conn, a)
}

func TestLoginAndStanzas(t *testing.T) {
	sdktest.Both(t, plan(bothPorts), func(t *testing.T, h *sdktest.Harness) {
		clear, direct := listening(h), listening(h)
		withAccount(t, h)
		for name, dial := range map[string]func() (net.Conn, error){
			"STARTTLS": func() (net.Conn, error) { return net.Dial("tcp", clear) },
			"direct": func() (net.Conn, error) {
				return tls.Dial("tcp", direct, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"xmpp-client"}})
			},
		} {
			for _, mechanism := range []string{sasl.ScramSHA256Plus, sasl.ScramSHA256, sasl.ScramSHA1, sasl.Plain} {
				t.Run(name+" "+mechanism, func(t *testing.T) {
					conn, err := dial()
					if err != nil {
						t.Fatal(err)
					}
					s, err := loginOn(t, conn, session.Account{Mechanisms: []string{mechanism}})
					if err != nil {
						t.Fatal(err)
					}
					chat(t, s)
					s.Close()
					if p := h.Next(); p.Name != "close" || p.Type != "end" || p.From != "ann@example.org/there" || p.Far.Incarnation != 1 {
						t.Errorf("the session is told %+v", p)
					}
				})
			}
		}
	})
}

// chat sends a message and takes it back, once.
func chat(t *testing.T, s *session.Session) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	for i := range 3 {
		body := fmt.Sprintf("<body>%d &lt;&amp;</body><x xmlns='urn:x'/>", i)
		m := stanza.Stanza{Name: stanza.Message, Type: "chat", ID: fmt.Sprint("m", i), To: jid.MustParse("Bob@EXAMPLE.org/Desk"), Body: []byte(body)}
		if err := s.Send(ctx, m); err != nil {
			t.Fatal(err)
		}
		got, err := s.Receive(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if got.ID != m.ID || string(got.Body) != body || got.From.String() != "bob@example.org/Desk" || got.To.String() != "ann@example.org/there" {
			t.Fatalf("message %d came back as %+v, body %s", i, got, got.Body)
		}
	}
}

func TestWrongPasswordAndUnknownHost(t *testing.T) {
	sdktest.Both(t, plan(bothPorts), func(t *testing.T, h *sdktest.Harness) {
		address := listening(h)
		withAccount(t, h)
		if _, err := login(t, address, session.Account{}); err != nil {
			t.Fatal(err)
		}
		if e := h.Logged("logged in"); e.Type != "info" || !strings.Contains(e.Attrs, " account='ann@example.org'") || !strings.Contains(e.Attrs, " client='127.0.0.1:") {
			t.Errorf("a login: logged as %s%s", e.Type, e.Attrs)
		}
		_, err := login(t, address, session.Account{Password: "wrong"})
		if !errors.Is(err, sasl.NotAuthorized) {
			t.Errorf("wrong password: %v", err)
		}
		refusedAs(t, h, "ann@example.org", sasl.ScramSHA256Plus, "not-authorized")
		out := raw(t, address, "<stream:stream to='nowhere.example' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>")
		if !strings.Contains(out, "host-unknown") {
			t.Errorf("unknown host: %s", out)
		}
		out = raw(t, address, "<stream:stream to='example.org' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>"+
			"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AGFubgBzZWNyZXQ=</auth></stream:stream>")
		if strings.Contains(out, "<success") || strings.Contains(out, "PLAIN") {
			t.Errorf("PLAIN without TLS: %s", out)
		}
	})
}

// raw says something and returns all that comes until the server closes.
func raw(t *testing.T, address, say string) string {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(30 * time.Second))
	io.WriteString(conn, say)
	b, err := io.ReadAll(bufio.NewReader(conn))
	if err != nil {
		t.Fatalf("%v after %s", err, b)
	}
	return string(b)
}

func TestTheSessionEndsTheStream(t *testing.T) {
	sdktest.Both(t, plan(bothPorts), func(t *testing.T, h *sdktest.Harness) {
		address := listening(h)
		withAccount(t, h)
		s, err := login(t, address, session.Account{})
		if err != nil {
			t.Fatal(err)
		}
		ctx := context.Background()
		s.Message(ctx, jid.MustParse("bob@example.org"), "end")
		if _, err := s.Receive(ctx); err == nil || !strings.Contains(err.Error(), "policy-violation") {
			t.Errorf("the stream ended with %v", err)
		}
	})
}

func TestALostConnectionIsToldToTheSession(t *testing.T) {
	sdktest.Both(t, plan(bothPorts), func(t *testing.T, h *sdktest.Harness) {
		address := listening(h)
		withAccount(t, h)
		s, err := login(t, address, session.Account{})
		if err != nil {
			t.Fatal(err)
		}
		s.Drop()
		p := h.Next()
		if p.Name != "close" || p.Type != "lost" {
			t.Errorf("the session is told %+v", p)
		}
		down := packet.Packet{Kind: packet.Session, Flags: packet.Down, Host: p.Near.Host, Section: p.Near.Section, Far: p.Near,
			Near: packet.Token{Host: "sink", Slot: 1}, Name: "message"}
		h.Deliver(&down)
		if p := h.Next(); p.Name != "end" || p.Flags&packet.Bounced == 0 {
			t.Errorf("a packet to the lost connection comes back as %+v", p)
		}
	})
}

func TestAQuietConnectionIsParkedAndGoesOn(t *testing.T) {
	t.Parallel()
	sdktest.Both(t, plan(bothPorts), func(t *testing.T, h *sdktest.Harness) {
		clear, direct := listening(h), listening(h)
		withAccount(t, h)
		var sessions []*session.Session
		const many = 20
		for i := range many {
			conn, err := net.Dial("tcp", clear)
			if i%2 == 1 {
				conn, err = tls.Dial("tcp", direct, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"xmpp-client"}})
			}
			if err != nil {
				t.Fatal(err)
			}
			s, err := loginOn(t, conn, session.Account{})
			if err != nil {
				t.Fatal(err)
			}
			sessions = append(sessions, s)
		}
		for parked := 0; parked < many; {
			n, err := strconv.Atoi(countIn.FindStringSubmatch(h.Logged("connections have become quiet").Attrs)[1])
			if err != nil {
				t.Fatal(err)
			}
			parked += n
		}
		for _, s := range sessions[1:] {
			chat(t, s)
		}
		sessions[0].Drop()
		if p := h.Next(); p.Name != "close" || p.Type != "lost" {
			t.Errorf("the session of a lost connection is told %+v", p)
		}
	})
}

func TestMalformedAddressIsRefused(t *testing.T) {
	sdktest.Both(t, plan(bothPorts), func(t *testing.T, h *sdktest.Harness) {
		address := listening(h)
		withAccount(t, h)
		s, err := login(t, address, session.Account{})
		if err != nil {
			t.Fatal(err)
		}
		ctx := context.Background()
		s.Write(ctx, []byte("<message to='@' id='7'><body>x</body></message>"))
		m, err := s.Receive(ctx)
		if err != nil || m.ID != "7" || m.Type != "error" || !strings.Contains(string(m.Body), "jid-malformed") {
			t.Errorf("answer %+v %v", m, err)
		}
		s.Write(ctx, []byte("<message to='bob@example.org' id='8'><body>spam</body></message>"))
		m, err = s.Receive(ctx)
		if err != nil || m.ID != "8" || m.Type != "error" || !strings.Contains(string(m.Body), "not-acceptable") {
			t.Errorf("answer to what a handler refuses %+v %v", m, err)
		}
		s.Write(ctx, []byte("<message from='bob@example.org' to='ann@example.org'/>"))
		if _, err := s.Receive(ctx); err == nil || !strings.Contains(err.Error(), "invalid-from") {
			t.Errorf("another's address as from: %v", err)
		}
	})
}

// A client that comes by way of a proxy has its own address, and one that does
// not cannot have another's.
func TestProxies(t *testing.T) {
	p := plan(`{"listen":["127.0.0.1:0","[::1]:0"],"starttls":"optional","proxies":["127.0.0.1"]}`)
	sdktest.Both(t, p, func(t *testing.T, h *sdktest.Harness) {
		behind, open := listening(h), listening(h)
		withAccount(t, h)
		const from = "PROXY TCP4 192.0.2.1 192.0.2.2 1000 5222\r\n"
		conn, in := talk(t, behind, from+loggedIn)
		until(t, in, "</iq>")
		if e := h.Logged("logged in"); !strings.Contains(e.Attrs, " client='192.0.2.1:1000'") {
			t.Errorf("logged as %s", e.Attrs)
		}
		io.WriteString(conn, "<message to='bob@example.org' id='again'/>")
		until(t, in, "id='again'")
		if out := raw(t, behind, "<stream:stream "); out != "" {
			t.Errorf("a proxy that says nothing gets %s", out)
		}
		h.Logged("header of the proxy")
		if out := raw(t, open, from+header); !strings.Contains(out, "<not-well-formed") {
			t.Errorf("who is no proxy gets %s", out)
		}
	})
}

func TestReadme(t *testing.T) {
	routes := new(web.Routes)
	configtest.Readme(t, c2s.With(routes), load.With(c2s.With(routes), weblisten.With(routes)))
}
