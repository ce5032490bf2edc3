package connect_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/jabberii/server/basemods/connect"
	"github.com/jabberii/server/jabberd/config/configtest"
	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sdk/sdktest"
	"github.com/jabberii/server/plugins/xmpp/component"
	"github.com/jabberii/server/plugins/xmpp/jid"
	"github.com/jabberii/server/plugins/xmpp/session"
	"github.com/jabberii/server/plugins/xmpp/stanza"
)

const (
	gate   = "gate.other.example"
	secret = "s3cret"
)

// plan has the component, to which all that is for other.example goes, an echo for
// what comes for it, and a sink for example.org.
func plan(to, more string) sdktest.Plan {
	return sdktest.Plan{
		Modules: []module.Module{connect.Module, echo},
		Sections: []module.Section{
			sdktest.Service("other", sdktest.Host("*.other.example"), sdktest.Host("other.example"),
				sdktest.Block("connect", `{"to":"`+to+`","host":"`+gate+`","secret":"`+secret+`","retry":{"first":"20ms","most":"100ms"}`+more+`}`)),
			sdktest.Section("gate", packet.Normal, sdktest.Host(gate), sdktest.Block("echo", `{}`)),
			sdktest.Sinks("example.org", packet.Normal),
		},
	}
}

// echo sends back what it gets, in the name of whom it was sent to.
var echo = module.Define("echo", "", module.On(packet.Normal), func(env module.Env, _ struct{}) (packet.Handler, error) {
	return packet.HandlerFunc(func(ctx context.Context, p *packet.Packet) (packet.Verdict, error) {
		q := *p
		q.To, q.From = p.From, p.To
		if p.Name == "iq" {
			q.Type, q.Body = "result", nil
		}
		return packet.Claim, env.Deliver(ctx, &q)
	}), nil
})

// A server takes components, one after another.
type server struct {
	t *testing.T
	net.Listener
	secret string
}

func listen(t *testing.T) *server {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return &server{t, l, secret}
}

// try waits for a component to connect.
func (s *server) try() (*session.Session, error) {
	s.t.Helper()
	s.Listener.(*net.TCPListener).SetDeadline(time.Now().Add(30 * time.Second))
	conn, err := s.Accept()
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	c, err := component.Accept(ctx, conn, &component.Acceptor{
		Secret: func(_ context.Context, name jid.JID) (string, error) {
			if name.String() != gate {
				s.t.Errorf("the component is called %s", name)
			}
			return s.secret, nil
		},
	}, session.Config{})
	if err == nil {
		s.t.Cleanup(c.Drop)
	}
	return c, err
}

func (s *server) component() *session.Session {
	s.t.Helper()
	c, err := s.try()
	if err != nil {
		s.t.Fatal(err)
	}
	return c
}

func receive(t *testing.T, s *session.Session) stanza.Stanza {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	got, err := s.Receive(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func write(t *testing.T, s *session.Session, raw string) {
	t.Helper()
	if err := s.Write(context.Background(), []byte(raw)); err != nil {
		t.Fatal(err)
	}
}

func message(id string) *packet.Packet {
	return &packet.Packet{To: "bob@other.example", From: "ann@" + gate, Name: "message", ID: id, Body: []byte("<body>" + id + "</body>")}
}

// both runs a test with a server that the component connects to, linked and wired.
func both(t *testing.T, more string, test func(*testing.T, *sdktest.Harness, *server)) {
	for _, wired := range []bool{false, true} {
		t.Run(map[bool]string{false: "linked", true: "wired"}[wired], func(t *testing.T) {
			s := listen(t)
			test(t, sdktest.New(t, plan(s.Addr().String(), more), wired), s)
		})
	}
}

func TestBothWays(t *testing.T) {
	both(t, "", func(t *testing.T, h *sdktest.Harness, server *server) {
		s := server.component()
		if o := h.Deliver(message("1")); o.Result != packet.Claimed {
			t.Errorf("ended %+v, %v", o, o.Reason)
		}
		if got := receive(t, s); got.ID != "1" || got.From.String() != "ann@"+gate || string(got.Body) != "<body>1</body>" {
			t.Errorf("the server gets %+v", got)
		}
		for i := range 100 {
			write(t, s, fmt.Sprintf("<message from='bob@other.example' to='ann@%s' id='%d'/>", gate, i))
		}
		for i := range 100 {
			if got := receive(t, s); got.ID != fmt.Sprint(i) || got.To.String() != "bob@other.example" {
				t.Fatalf("message %d is sent back as %+v", i, got)
			}
		}
	})
}

func TestAddresses(t *testing.T) {
	both(t, "", func(t *testing.T, h *sdktest.Harness, server *server) {
		s := server.component()
		p := message("1")
		p.From = "ann@example.org"
		if o := h.Deliver(p); o.Result != packet.Refused || o.Reason.Condition != "not-allowed" {
			t.Errorf("in another's name: %+v, %v", o, o.Reason)
		}
		if q := h.Next(); q.Type != "error" {
			t.Errorf("sent back is %+v", q)
		}
		for name, c := range map[string]struct{ say, want string }{
			"from a domain served here": {"<message from='ann@example.org' to='ann@gate.other.example' id='1'/>", "not-allowed"},
			"to a domain served here":   {"<message from='bob@other.example' to='ann@example.org' id='1'/>", "not-allowed"},
			"to nobody":                 {"<message from='bob@other.example' id='1'/>", "bad-request"},
			"to no address":             {"<message from='bob@other.example' to='@' id='1'/>", "bad-request"},
		} {
			write(t, s, c.say)
			got := receive(t, s)
			if name == "to no address" {
				c.want = "jid-malformed"
			}
			if got.Type != "error" || !strings.Contains(string(got.Body), c.want) {
				t.Errorf("%s: %+v, %s", name, got, got.Body)
			}
		}
		if more := h.Received(); len(more) > 0 {
			t.Errorf("into the tree came %+v", more)
		}
	})
}

func TestConnectsAgain(t *testing.T) {
	t.Parallel()
	both(t, "", func(t *testing.T, h *sdktest.Harness, server *server) {
		server.component().Drop()
		h.Logged("not connected")
		if o := h.Deliver(message("meanwhile")); o.Result != packet.Claimed {
			t.Errorf("ended %+v, %v", o, o.Reason)
		}
		server.secret = "another"
		if _, err := server.try(); err == nil {
			t.Error("the secret is not what makes a difference")
		}
		h.Logged("not-authorized")
		server.secret = secret
		s := server.component()
		if got := receive(t, s); got.ID != "meanwhile" {
			t.Errorf("what has waited is %+v", got)
		}
		go s.Close()
		h.Logged("not connected")
		server.component()
	})
}

func TestPacketsDoNotWaitForEver(t *testing.T) {
	both(t, `,"hold":{"time":"10ms"}`, func(t *testing.T, h *sdktest.Harness, server *server) {
		server.Listener.Close()
		h.Logged("not connected")
		for {
			o := h.Deliver(message("1")) // claimed and sent back, or refused when the time is up
			if o.Result == packet.Refused && o.Reason.Condition == "service-unavailable" {
				return
			}
		}
	})
}

func TestASilentServer(t *testing.T) {
	t.Parallel()
	both(t, `,"ping":{"idle":"20ms","answer":"50ms"}`, func(t *testing.T, h *sdktest.Harness, server *server) {
		s := server.component()
		ping := receive(t, s)
		if ping.Type != "get" || ping.From.String() != gate || ping.To.String() != gate {
			t.Errorf("pinged with %+v", ping)
		}
		if err := s.Send(context.Background(), ping); err != nil { // as servers do: to is the component's
			t.Fatal(err)
		}
		receive(t, s)
		h.Logged("does not answer a ping")
		server.component()
	})
}

func TestExplain(t *testing.T) {
	s := listen(t)
	h := sdktest.New(t, plan(s.Addr().String(), ""), false)
	says := func(p *packet.Packet) string { return fmt.Sprintf("%+v", h.Explain(p)) }
	if got := says(message("1")); !strings.Contains(got, "it waits for") {
		t.Error(got)
	}
	s.component()
	h.Logged("connected as a component")
	other := message("1")
	other.From = "ann@example.org"
	if got := says(other); !strings.Contains(got, "it is not from "+gate) {
		t.Error(got)
	}
}

func TestBadArguments(t *testing.T) {
	for args, want := range map[string]string{
		`{"to":"a:1","host":"gate","secret":""}`:                         "secret",
		`{"to":"a","host":"gate","secret":"x"}`:                          "to",
		`{"to":"a:1","host":"@","secret":"x"}`:                           "host",
		`{"to":"a:1","host":"a@gate","secret":"x"}`:                      "host",
		`{"to":"a:1","host":"gate","secret":"x","window":0}`:             "window",
		`{"to":"a:1","host":"gate","secret":"x","retry":{"first":"0"}}`:  "retry",
		`{"to":"a:1","host":"gate","secret":"x","retry":{"most":"1ms"}}`: "retry",
	} {
		_, err := connect.Module.New(nil, []byte(args))
		var e *module.ArgError
		if !errors.As(err, &e) || e.Path[0] != want {
			t.Errorf("%s: %v", args, err)
		}
	}
}

func TestReadme(t *testing.T) { configtest.Readme(t, connect.Module) }
