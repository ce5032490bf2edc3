package component_test

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/jabberii/server/plugins/xmpp/component"
	"github.com/jabberii/server/plugins/xmpp/jid"
	"github.com/jabberii/server/plugins/xmpp/ns"
	"github.com/jabberii/server/plugins/xmpp/session"
	"github.com/jabberii/server/plugins/xmpp/stanza"
	"github.com/jabberii/server/plugins/xmpp/stream"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

var (
	plays  = jid.MustParse("plays.example.org")
	taken  = jid.MustParse("taken.example.org")
	romeo  = jid.MustParse("romeo@example.net")
	secret = "<&\u00e9>"
)

func acceptor(method string) *component.Acceptor {
	return &component.Acceptor{
		NS: method,
		Secret: func(_ context.Context, name jid.JID) (string, error) {
			switch name.Domain() {
			case "plays.example.org", "taken.example.org":
				return secret, nil
			case "empty.example.org":
				return "", nil
			}
			return "", &stream.Error{Condition: stream.HostUnknown}
		},
		Attach: func(_ context.Context, name jid.JID) error {
			if name == taken {
				return &stream.Error{Condition: stream.Conflict}
			}
			return nil
		},
	}
}

func timeout(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

type result struct {
	session *session.Session
	err     error
}

// pair runs both sides over a pipe.
func pair(t *testing.T, c component.Config, a *component.Acceptor) (opener, other result) {
	t.Helper()
	ours, theirs := net.Pipe()
	done := make(chan result, 1)
	go func() {
		s, err := component.Accept(timeout(t), theirs, a, session.Config{})
		done <- result{s, err}
	}()
	s, err := component.Open(timeout(t), ours, c)
	other = <-done
	t.Cleanup(func() {
		for _, r := range []result{{s, err}, other} {
			if r.session != nil {
				r.session.Drop()
			}
		}
	})
	return result{s, err}, other
}

func TestBothMethods(t *testing.T) {
	for _, method := range []string{"", ns.ComponentAccept, ns.ComponentConnect} {
		t.Run(method, func(t *testing.T) {
			opener, other := pair(t, component.Config{NS: method, Name: plays, Secret: secret}, acceptor(method))
			if opener.err != nil || other.err != nil {
				t.Fatalf("opener: %v, other: %v", opener.err, other.err)
			}
			// The component is the one that opens in the method accept.
			c, s := opener.session, other.session
			if method == ns.ComponentConnect {
				c, s = s, c
			}
			if c.Local() != plays || s.Remote() != plays || !c.Remote().IsZero() || !s.Local().IsZero() {
				t.Fatalf("component %v, server's peer %v", c.Local(), s.Remote())
			}
			ctx := timeout(t)
			for _, from := range []*session.Session{c, s} {
				to := map[*session.Session]*session.Session{c: s, s: c}[from]
				want := stanza.Stanza{Name: stanza.Message, From: plays, To: romeo, Body: xml.AppendElement(nil, "body", "", "hello")}
				if err := from.Send(ctx, want); err != nil {
					t.Fatal(err)
				}
				got, err := to.Receive(ctx)
				body, _ := got.Find("body", ns.Client)
				if err != nil || got.From != plays || got.To != romeo || body.Text() != "hello" {
					t.Fatalf("got %+v, %v", got, err)
				}
			}
			if err := c.Close(); err != nil {
				t.Fatal(err)
			}
			if _, err := s.Receive(ctx); !errors.Is(err, io.EOF) {
				t.Fatalf("got %v", err)
			}
		})
	}
}

func TestRefused(t *testing.T) {
	cases := []struct {
		name   string
		config component.Config
		want   stream.Condition
	}{
		{"wrong secret", component.Config{Name: plays, Secret: "guess"}, stream.NotAuthorized},
		{"unknown name", component.Config{Name: jid.MustParse("other.example.org"), Secret: secret}, stream.HostUnknown},
		{"no name", component.Config{Secret: secret}, stream.HostUnknown},
		{"an account for a name", component.Config{Name: romeo, Secret: secret}, stream.HostUnknown},
		{"name in use", component.Config{Name: taken, Secret: secret}, stream.Conflict},
		{"no secret configured", component.Config{Name: jid.MustParse("empty.example.org")}, stream.NotAuthorized},
		{"the other method", component.Config{NS: ns.ComponentConnect, Name: plays, Secret: secret}, stream.InvalidNamespace},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			opener, other := pair(t, c.config, acceptor(""))
			for side, err := range map[string]error{"opener": opener.err, "other": other.err} {
				var e *stream.Error
				if !errors.As(err, &e) || e.Condition != c.want {
					t.Errorf("%s: got %v, want %s", side, err, c.want)
				}
			}
		})
	}
}

// feed gives a receiver the bytes of a peer and returns what that is told.
func feed(t *testing.T, r *component.Receiver, in string) (told string, last session.Reply) {
	t.Helper()
	scanner, buf := xml.NewScanner(xml.Limits{}), []byte(in)
	for last.Step == session.Continue {
		token, n, err := scanner.Next(buf)
		if token == nil && err == nil {
			break
		}
		if err != nil {
			last = r.Fail(err)
		} else {
			last = r.Feed(t.Context(), token)
		}
		buf = buf[n:]
		told += string(last.Out)
	}
	return told, last
}

const header = "<stream:stream xmlns='jabber:component:accept' xmlns:stream='http://etherx.jabber.org/streams' to='plays.example.org'>"

func TestReceiver(t *testing.T) {
	cases := []struct {
		name, in string
		want     []string // in this order
		err      error    // nil for any
	}{
		{"header", header, []string{"<stream:stream", "xmlns='jabber:component:accept'", "from='plays.example.org'", "id='"}, nil},
		{"stanza before the handshake", header + "<message from='a' to='b'/>", []string{"<stream:error", "<not-authorized", "</stream:stream>"}, nil},
		{"handshake of another namespace", header + "<handshake xmlns='x'/>", []string{"<stream:error", "<not-authorized"}, nil},
		{"empty handshake", header + "<handshake/>", []string{"<stream:error", "<not-authorized"}, nil},
		{"not XML", "hello", []string{"<stream:stream", "<stream:error", "</stream:stream>"}, nil},
		{"an element for a header", "<handshake xmlns='jabber:component:accept'>", []string{"<stream:stream", "<stream:error", "</stream:stream>"}, nil},
		{"the end", header + "</stream:stream>", []string{"<stream:stream", "</stream:stream>"}, io.EOF},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			told, last := feed(t, component.NewReceiver(acceptor("")), c.in)
			rest := told
			for _, w := range c.want {
				_, after, ok := strings.Cut(rest, w)
				if !ok {
					t.Fatalf("no %s in\n%s", w, told)
				}
				rest = after
			}
			if c.err != nil && !errors.Is(last.Err, c.err) || (last.Step == session.Close) != (c.in != header) {
				t.Fatalf("step %v, error %v", last.Step, last.Err)
			}
			if strings.Count(told, " version=") > 1 {
				t.Fatalf("only XML has a version here: %s", told)
			}
		})
	}
}

func TestOpenDistrusts(t *testing.T) {
	const streams = "xmlns:stream='http://etherx.jabber.org/streams'"
	cases := map[string]string{
		"no id":                "<stream:stream xmlns='jabber:component:accept' " + streams + ">" + "<handshake/>",
		"another namespace":    "<stream:stream xmlns='jabber:client' " + streams + " id='1'>" + "<handshake/>",
		"a stanza":             "<stream:stream xmlns='jabber:component:accept' " + streams + " id='1'><message/>",
		"the end":              "<stream:stream xmlns='jabber:component:accept' " + streams + " id='1'></stream:stream>",
		"no stream":            "<handshake xmlns='jabber:component:accept'>",
		"nothing but an end":   "",
		"an end in the middle": "<stream:stream xmlns='jabber:component:accept' " + streams + " id='1'><handsh",
	}
	for name, says := range cases {
		t.Run(name, func(t *testing.T) {
			ours, theirs := net.Pipe()
			go func() {
				theirs.Read(make([]byte, 1000)) // the header
				go io.Copy(io.Discard, theirs)
				io.WriteString(theirs, says)
				theirs.Close()
			}()
			if s, err := component.Open(timeout(t), ours, component.Config{Name: plays, Secret: secret}); err == nil {
				t.Fatalf("opened: %v", s)
			}
		})
	}
}

// White space behind the header is none of the answer.
func TestOpenPassesOverWhiteSpace(t *testing.T) {
	ours, theirs := net.Pipe()
	go func() {
		b := make([]byte, 1000)
		theirs.Read(b)
		io.WriteString(theirs, strings.Replace(header, "to=", "id='1' from=", 1)+"\n")
		n, _ := theirs.Read(b)
		if strings.Contains(string(b[:n]), component.Digest("1", secret)) {
			io.WriteString(theirs, "\n<handshake/>")
		}
	}()
	s, err := component.Open(timeout(t), ours, component.Config{Name: plays, Secret: secret})
	if err != nil {
		t.Fatal(err)
	}
	s.Drop()
}

func TestNegotiationEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	a, b := net.Pipe()
	defer b.Close()
	done := make(chan error, 2)
	go func() {
		_, err := component.Open(ctx, a, component.Config{Name: plays})
		done <- err
	}()
	c, d := net.Pipe()
	defer d.Close()
	go func() {
		_, err := component.Accept(ctx, c, acceptor(""), session.Config{})
		done <- err
	}()
	cancel()
	for range 2 {
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Fatalf("got %v", err)
		}
	}
}

func TestDigest(t *testing.T) {
	// The XEP's example, whose secret turns out to be this.
	if got := component.Digest("3BF96D32", "test"); got != "aaee83c26aeeafcbabeabfcbcd50df997e0a2a1e" {
		t.Fatal(got)
	}
}

func FuzzReceiver(f *testing.F) {
	f.Add(header + "<handshake>da39a3ee5e6b4b0d3255bfef95601890afd80709</handshake>")
	f.Add(strings.Replace(header, "plays", "empty", 1) + "<handshake/>")
	a := acceptor("")
	f.Fuzz(func(t *testing.T, in string) {
		if told, last := feed(t, component.NewReceiver(a), in); last.Step == session.Ready {
			t.Fatalf("let in by %q: %s", in, told)
		}
	})
}
