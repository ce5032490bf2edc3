package accept_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/jabberii/server/basemods/accept"
	"github.com/jabberii/server/jabberd/config/configtest"
	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sdk/sdktest"
	"github.com/jabberii/server/plugins/xmpp/component"
	"github.com/jabberii/server/plugins/xmpp/jid"
	"github.com/jabberii/server/plugins/xmpp/ns"
	"github.com/jabberii/server/plugins/xmpp/session"
	"github.com/jabberii/server/plugins/xmpp/stanza"
	"github.com/jabberii/server/plugins/xmpp/stream"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

const (
	irc    = "irc.example.org"
	news   = "news.example.org"
	secret = "s3cret"
)

// plan has a section of two components, and a sink for example.org. More is
// arguments behind those that it has itself.
func plan(more string) sdktest.Plan {
	return sdktest.Plan{
		Modules: []module.Module{accept.Module},
		Sections: []module.Section{
			sdktest.Service("components", sdktest.Host(irc), sdktest.Host(news), sdktest.Host("*.any.example.org"),
				sdktest.Block("accept", `{"listen":["127.0.0.1:0"],"secret":"`+secret+`"`+more+`}`)),
			sdktest.Sinks("example.org", packet.Normal),
		},
	}
}

var addressIn = regexp.MustCompile(`address='([^']+)'`)

// listening returns the address that the module says it listens on.
func listening(h *sdktest.Harness) string {
	return addressIn.FindStringSubmatch(h.Logged("listening for components").Attrs)[1]
}

func timeout(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func try(t *testing.T, address string, c component.Config) (*session.Session, error) {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	if c.Secret == "" {
		c.Secret = secret
	}
	s, err := component.Open(timeout(t), conn, c)
	if err == nil {
		t.Cleanup(s.Drop)
	}
	return s, err
}

func open(t *testing.T, address, host string) *session.Session {
	t.Helper()
	s, err := try(t, address, component.Config{Name: jid.MustParse(host)})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// again opens a stream for a host whose last one is just ending.
func again(t *testing.T, address, host string) *session.Session {
	t.Helper()
	for ctx := timeout(t); ; {
		s, err := try(t, address, component.Config{Name: jid.MustParse(host)})
		if err == nil {
			return s
		}
		if ctx.Err() != nil || !strings.Contains(err.Error(), "conflict") {
			t.Fatal(err)
		}
	}
}

func receive(t *testing.T, s *session.Session) stanza.Stanza {
	t.Helper()
	got, err := s.Receive(timeout(t))
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func write(t *testing.T, s *session.Session, raw string) {
	t.Helper()
	if err := s.Write(timeout(t), []byte(raw)); err != nil {
		t.Fatal(err)
	}
}

func message(to, id string) *packet.Packet {
	return &packet.Packet{To: to, From: "ann@example.org/desk", Name: "message", Type: "chat", ID: id, Body: []byte("<body>" + id + "</body>")}
}

func TestComponentsTalk(t *testing.T) {
	sdktest.Both(t, plan(""), func(t *testing.T, h *sdktest.Harness) {
		address := listening(h)
		a, b := open(t, address, irc), open(t, address, news)
		write(t, a, "<message from='Bob@irc.example.org/x' to='news.example.org' type='chat' id='1'><body>a &amp; b</body><x xmlns='urn:x'/></message>")
		got := receive(t, b)
		if got.From.String() != "bob@irc.example.org/x" || got.Type != "chat" || got.ID != "1" || string(got.Body) != "<body>a &amp; b</body><x xmlns='urn:x'/>" {
			t.Errorf("got %+v, body %s", got, got.Body)
		}
		write(t, b, "<message xmlns='jabber:client' from='news.example.org' to='ann@example.org'><body>hi</body></message>")
		if p := h.Next(); p.NS != "" || string(p.Body) != "<body>hi</body>" || p.From != news {
			t.Errorf("of a stanza in jabber:client came %+v, body %s", p, p.Body)
		}
		if o := h.Deliver(message("room@irc.example.org", "2")); o.Result != packet.Claimed {
			t.Errorf("ended %+v", o)
		}
		if got := receive(t, a); got.ID != "2" || got.To.String() != "room@irc.example.org" || got.From.String() != "ann@example.org/desk" {
			t.Errorf("got %+v", got)
		}
		write(t, a, "<message from='irc.example.org' to='nobody.example.com' id='3'/>")
		if got := receive(t, a); got.Type != "error" || got.ID != "3" || !strings.Contains(string(got.Body), "service-unavailable") {
			t.Errorf("a message to nobody is answered with %+v, %s", got, got.Body)
		}
		if err := a.Close(); err != nil {
			t.Error(err)
		}
		again(t, address, irc)
	})
}

// Order holds for each pair of addresses, and all of it arrives once.
func TestOrder(t *testing.T) {
	t.Parallel()
	const senders, each = 8, 200
	sdktest.Both(t, plan(""), func(t *testing.T, h *sdktest.Harness) {
		address := listening(h)
		a, b := open(t, address, irc), open(t, address, news)
		go func() {
			for i := range senders * each {
				from := fmt.Sprintf("u%d@irc.example.org", i%senders)
				if a.Send(context.Background(), stanza.Stanza{Name: "message", From: jid.MustParse(from), To: jid.MustParse(news), ID: fmt.Sprint(i / senders)}) != nil {
					return
				}
			}
		}()
		next := map[string]int{}
		for range senders * each {
			got := receive(t, b)
			if want := fmt.Sprint(next[got.From.String()]); got.ID != want {
				t.Fatalf("from %s came %s, not %s", got.From, got.ID, want)
			}
			next[got.From.String()]++
		}
	})
}

func TestRefused(t *testing.T) {
	sdktest.Both(t, plan(""), func(t *testing.T, h *sdktest.Harness) {
		address := listening(h)
		open(t, address, news)
		for name, c := range map[string]struct {
			config component.Config
			want   stream.Condition
		}{
			"wrong secret":      {component.Config{Name: jid.MustParse(irc), Secret: "guess"}, stream.NotAuthorized},
			"unknown host":      {component.Config{Name: jid.MustParse("other.example.org")}, stream.HostUnknown},
			"host below a star": {component.Config{Name: jid.MustParse("x.any.example.org")}, stream.HostUnknown},
			"no host":           {component.Config{}, stream.HostUnknown},
			"host in use":       {component.Config{Name: jid.MustParse(news)}, stream.Conflict},
			"other method":      {component.Config{NS: ns.ComponentConnect, Name: jid.MustParse(irc)}, stream.InvalidNamespace},
		} {
			_, err := try(t, address, c.config)
			var e *stream.Error
			if !errors.As(err, &e) || e.Condition != c.want {
				t.Errorf("%s: %v, want %s", name, err, c.want)
			}
		}
	})
}

func TestBadStanzas(t *testing.T) {
	sdktest.Both(t, plan(""), func(t *testing.T, h *sdktest.Harness) {
		address := listening(h)
		for name, c := range map[string]struct {
			say  string
			want stream.Condition
		}{
			"another's address": {"<message from='ann@example.org' to='bob@example.org'/>", stream.InvalidFrom},
			"below the host":    {"<message from='a.irc.example.org' to='bob@example.org'/>", stream.InvalidFrom},
			"no from":           {"<message to='bob@example.org'/>", stream.InvalidFrom},
			"no address":        {"<message from='@' to='bob@example.org'/>", stream.InvalidFrom},
			"no stanza":         {"<hello/>", stream.UnsupportedStanzaType},
			"no XML":            {"<a></b>", stream.NotWellFormed},
		} {
			t.Run(name, func(t *testing.T) {
				s := again(t, address, irc)
				write(t, s, c.say)
				_, err := s.Receive(timeout(t))
				var e *stream.Error
				if !errors.As(err, &e) || e.Condition != c.want {
					t.Errorf("the stream ends with %v, want %s", err, c.want)
				}
			})
		}
		s := again(t, address, irc)
		for name, c := range map[string]struct{ say, want string }{
			"no to":        {"<message id='1' from='irc.example.org'/>", "bad-request"},
			"malformed to": {"<iq type='get' id='2' from='irc.example.org' to='@'/>", "jid-malformed"},
		} {
			write(t, s, c.say)
			if got := receive(t, s); got.Type != "error" || !strings.Contains(string(got.Body), c.want) {
				t.Errorf("%s: %+v, %s", name, got, got.Body)
			}
		}
		if more := h.Received(); len(more) > 0 {
			t.Errorf("of all that entered the tree %+v", more)
		}
	})
}

func TestFromIsFreeIfSaidSo(t *testing.T) {
	h := sdktest.New(t, plan(`,"check_from":false`), false)
	s := open(t, listening(h), irc)
	write(t, s, "<message from='ann@elsewhere.example' to='bob@example.org'/>")
	if p := h.Next(); p.From != "ann@elsewhere.example" {
		t.Errorf("got %+v", p)
	}
}

func TestPacketsWaitForTheComponent(t *testing.T) {
	sdktest.Both(t, plan(`,"hold":{"packets":3,"time":"1h"}`), func(t *testing.T, h *sdktest.Harness) {
		address := listening(h)
		for i := range 5 {
			o := h.Deliver(message("room@irc.example.org", fmt.Sprint(i)))
			if i < 3 && o.Result != packet.Claimed || i >= 3 && (o.Result != packet.Refused || o.Reason.Condition != "resource-constraint") {
				t.Errorf("packet %d ended %+v, %v", i, o, o.Reason)
			}
		}
		s := open(t, address, irc)
		for i := range 3 {
			if got := receive(t, s); got.ID != fmt.Sprint(i) {
				t.Errorf("got %s, want %d", got.ID, i)
			}
		}
		if o := h.Deliver(message("room@x.any.example.org", "1")); o.Result != packet.Refused || o.Reason.Condition != "service-unavailable" {
			t.Errorf("to a host that is no component's: %+v, %v", o, o.Reason)
		}
	})
}

func TestPacketsThatHaveWaitedInVainBounce(t *testing.T) {
	t.Parallel()
	sdktest.Both(t, plan(`,"hold":{"time":"1s"}`), func(t *testing.T, h *sdktest.Harness) {
		address := listening(h)
		open(t, address, irc).Drop()
		h.Logged("the stream of a component has ended")
		for _, p := range []*packet.Packet{message("a@irc.example.org", "1"), message("b@irc.example.org", "2"),
			{To: irc, From: "ann@example.org", Name: "iq", Type: "result", ID: "3"}} {
			if o := h.Deliver(p); o.Result != packet.Claimed {
				t.Fatalf("ended %+v %v", o, o.Reason)
			}
		}
		for range 2 {
			p := h.Next()
			if p.Type != "error" || p.To != "ann@example.org/desk" || !strings.Contains(string(p.Body), "remote-server-timeout") {
				t.Errorf("sent back as %+v, %s", p, p.Body)
			}
		}
		if o := h.Deliver(message("a@irc.example.org", "4")); o.Result != packet.Refused || o.Reason.Condition != "service-unavailable" {
			t.Errorf("after that a packet ended %+v, %v", o, o.Reason)
		}
		if p := h.Next(); p.ID != "4" {
			t.Errorf("sent back is %+v", p)
		}
		s := again(t, address, irc)
		h.Deliver(message("a@irc.example.org", "5"))
		if got := receive(t, s); got.ID != "5" {
			t.Errorf("the component that came back gets %+v", got)
		}
	})
}

// A ping to itself is answered when all that the component sent before has ended.
func TestAPingSaysWhatIsAccepted(t *testing.T) {
	waiting, release := make(chan struct{}), make(chan struct{})
	slow := module.Define("slow", "", module.On(packet.Normal), func(module.Env, struct{}) (packet.Handler, error) {
		return packet.HandlerFunc(func(context.Context, *packet.Packet) (packet.Verdict, error) {
			waiting <- struct{}{}
			<-release
			return packet.Claim, nil
		}), nil
	})
	p := plan("")
	p.Modules = append(p.Modules, slow)
	p.Sections = append(p.Sections, sdktest.Section("slow", packet.Normal, sdktest.Host("slow.example.org"), sdktest.Block("slow", "{}")))
	sdktest.Both(t, p, func(t *testing.T, h *sdktest.Harness) {
		s := open(t, listening(h), irc)
		write(t, s, "<message from='irc.example.org' to='slow.example.org'/>"+
			"<iq type='get' id='p1' from='irc.example.org' to='irc.example.org'><ping xmlns='urn:xmpp:ping'/></iq>")
		<-waiting
		write(t, s, "<message from='irc.example.org' to='nobody.example.com' id='m'/>")
		if got := receive(t, s); got.ID != "m" {
			t.Errorf("while a packet is under way comes %+v", got)
		}
		release <- struct{}{}
		if got := receive(t, s); got.ID != "p1" || got.Type != "result" || got.To.String() != irc {
			t.Errorf("then comes %+v", got)
		}
		write(t, s, "<iq type='get' id='p2' from='irc.example.org'><ping xmlns='urn:xmpp:ping'/></iq>")
		if got := receive(t, s); got.ID != "p2" || got.Type != "result" {
			t.Errorf("a ping to nobody is answered with %+v", got)
		}
	})
}

// A component that reads no more cannot be written to without end, and finds what it missed.
func TestAComponentThatDoesNotRead(t *testing.T) {
	t.Parallel()
	h := sdktest.New(t, plan(`,"max_buffer":"256KiB"`), false)
	address := listening(h)
	conn := handshake(t, address)
	big := []byte("<body>" + strings.Repeat("x", 64<<10) + "</body>")
	sent := 0
	for ; ; sent++ {
		p := message("a@irc.example.org", fmt.Sprint(sent))
		p.Body = big
		if o := h.Deliver(p); o.Result != packet.Claimed {
			if o.Reason.Condition != "resource-constraint" {
				t.Errorf("packet %d ended %+v, %v", sent, o, o.Reason)
			}
			break
		}
		if sent == 10000 {
			t.Fatal("all is taken")
		}
	}
	reader := xml.NewReader(conn, xml.Limits{})
	for i := -2; i < sent; i++ { // behind the header and the handshake
		tok, err := reader.Next()
		if err != nil {
			t.Fatal(err)
		}
		if i >= 0 && string(tok.ID) != fmt.Sprint(i) {
			t.Fatalf("message %d is %s", i, tok.ID)
		}
	}
}

// handshake opens a stream for irc by hand. The header was not read by an xml.Reader,
// so what follows it is given back behind a header.
func handshake(t *testing.T, address string) net.Conn {
	t.Helper()
	conn := dial(t, address)
	io.WriteString(conn, "<stream:stream xmlns='jabber:component:accept' xmlns:stream='http://etherx.jabber.org/streams' to='irc.example.org'>")
	header := readUntil(t, conn, "version='1.0'?>", ">")
	id := regexp.MustCompile(`id='([^']+)'`).FindStringSubmatch(header)
	if id == nil {
		t.Fatalf("header %s", header)
	}
	io.WriteString(conn, "<handshake>"+component.Digest(id[1], secret)+"</handshake>")
	readUntil(t, conn, "<handshake", "/>")
	return &behind{conn, strings.NewReader("<stream:stream xmlns='jabber:component:accept' xmlns:stream='http://etherx.jabber.org/streams'><handshake/>")}
}

// behind is a connection with something in front of what is read.
type behind struct {
	net.Conn
	front io.Reader
}

func (b *behind) Read(p []byte) (int, error) {
	if n, err := b.front.Read(p); err == nil {
		return n, nil
	}
	return b.Conn.Read(p)
}

// readUntil reads byte by byte until all ends have come, one after another.
func readUntil(t *testing.T, conn net.Conn, ends ...string) string {
	t.Helper()
	var got []byte
	b, from := make([]byte, 1), 0
	for _, end := range ends {
		for !strings.Contains(string(got[from:]), end) {
			if _, err := conn.Read(b); err != nil {
				t.Fatalf("%v after %s", err, got)
			}
			got = append(got, b[0])
		}
		from = len(got)
	}
	return string(got)
}

func TestPings(t *testing.T) {
	t.Parallel()
	sdktest.Both(t, plan(`,"ping":{"idle":"50ms","answer":"100ms"}`), func(t *testing.T, h *sdktest.Harness) {
		address := listening(h)
		s := open(t, address, irc)
		for range 2 {
			ping := receive(t, s)
			if el, ok := ping.Payload(); ping.Type != "get" || ping.To.String() != irc || !ok || !el.Is("ping", ns.Ping) {
				t.Fatalf("not pinged, but sent %+v", ping)
			}
			if err := s.Send(timeout(t), ping.Result(nil)); err != nil {
				t.Fatal(err)
			}
		}
		receive(t, s) // not answered
		_, err := s.Receive(timeout(t))
		var e *stream.Error
		if !errors.As(err, &e) || e.Condition != stream.ConnectionTimeout {
			t.Errorf("a silent component's stream ends with %v", err)
		}
		h.Logged("does not answer a ping")
		if more := h.Received(); len(more) > 0 {
			t.Errorf("into the tree came %+v", more)
		}
	})
}

// A component that lost its connection without the server noticing gets in again, because
// a conflict makes the server ask whether the old stream still lives.
func TestAConflictPingsTheOldStream(t *testing.T) {
	t.Parallel()
	h := sdktest.New(t, plan(`,"ping":{"idle":"1h","answer":"50ms"}`), false)
	address := listening(h)
	handshake(t, address) // and never says anything again
	again(t, address, irc)
}

func TestWhoSaysNothingIsNotWaitedFor(t *testing.T) {
	h := sdktest.New(t, plan(`,"login_timeout":"50ms"`), false)
	if b, err := io.ReadAll(dial(t, listening(h))); len(b) > 0 || err != nil {
		t.Errorf("who says nothing gets %q, %v", b, err)
	}
	h.Logged("refused a component")
}

func TestTooManyConnections(t *testing.T) {
	h := sdktest.New(t, plan(`,"max_connections":1`), false)
	address := listening(h)
	open(t, address, irc)
	if n, err := dial(t, address).Read(make([]byte, 1)); n > 0 || err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("from a connection too many came %d bytes, %v", n, err)
	}
}

func dial(t *testing.T, address string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(30 * time.Second))
	return conn
}

func TestTheEndOfTheServer(t *testing.T) {
	sdktest.Both(t, plan(""), func(t *testing.T, h *sdktest.Harness) {
		s := open(t, listening(h), irc)
		h.Logged("a component is connected")
		h.Restart()
		_, err := s.Receive(timeout(t))
		var e *stream.Error
		if !errors.As(err, &e) || e.Condition != stream.SystemShutdown {
			t.Errorf("the stream ends with %v", err)
		}
		open(t, listening(h), irc)
	})
}

func TestExplain(t *testing.T) {
	h := sdktest.New(t, plan(`,"hold":{"packets":1}`), false)
	address := listening(h)
	says := func(p *packet.Packet) string { return fmt.Sprintf("%+v", h.Explain(p)) }
	if got := says(message("a@irc.example.org", "1")); !strings.Contains(got, "waits for irc.example.org") {
		t.Error(got)
	}
	h.Deliver(message("a@irc.example.org", "1"))
	if got := says(message("a@irc.example.org", "2")); !strings.Contains(got, "resource-constraint") {
		t.Error(got)
	}
	receive(t, open(t, address, irc))
	if got := says(message("a@irc.example.org", "2")); !strings.Contains(got, "is written to irc.example.org at 127.0.0.1:") {
		t.Error(got)
	}
	if got := says(message("a@b.any.example.org", "2")); !strings.Contains(got, "no component has this name") {
		t.Error(got)
	}
}

func TestBadArguments(t *testing.T) {
	for args, want := range map[string]string{
		`{"secret":""}`:              "secret",
		`{"secret":"x","listen":[]}`: "listen",
		`{"secret":"x","window":0}`:  "window",

		`{"secret":"x","listen":["5347"]}`:              "listen",
		`{"secret":"x","listen":[":5347","::1:99999"]}`: "listen",
	} {
		_, err := accept.Module.New(nil, []byte(args))
		var e *module.ArgError
		if !errors.As(err, &e) || e.Path[0] != want {
			t.Errorf("%s: %v", args, err)
		}
	}
}

func TestReadme(t *testing.T) { configtest.Readme(t, accept.Module) }
