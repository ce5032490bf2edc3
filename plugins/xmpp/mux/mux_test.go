package mux_test

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/jabberii/server/plugins/xmpp/component"
	"github.com/jabberii/server/plugins/xmpp/jid"
	"github.com/jabberii/server/plugins/xmpp/mux"
	"github.com/jabberii/server/plugins/xmpp/ns"
	"github.com/jabberii/server/plugins/xmpp/session"
	"github.com/jabberii/server/plugins/xmpp/stanza"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

var (
	bot   = jid.MustParse("bot.example.org")
	romeo = jid.MustParse("romeo@example.net")
)

// sessions is a component and its server.
func sessions(t *testing.T) (ours, theirs *session.Session) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	t.Cleanup(cancel)
	a, b := net.Pipe()
	done := make(chan error, 1)
	go func() {
		acceptor := &component.Acceptor{Secret: func(context.Context, jid.JID) (string, error) { return "s", nil }}
		var err error
		theirs, err = component.Accept(ctx, b, acceptor, session.Config{})
		done <- err
	}()
	ours, err := component.Open(ctx, a, component.Config{Name: bot, Secret: "s"})
	if err := errors.Join(err, <-done); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ours.Drop()
		theirs.Drop()
	})
	return ours, theirs
}

func TestRoutes(t *testing.T) {
	ours, theirs := sessions(t)
	broken := errors.New("broken")
	say := func(text string) mux.Func {
		return func(ctx context.Context, s *session.Session, st stanza.Stanza) error {
			reply := st.Reply()
			reply.Name, reply.Type, reply.Body = stanza.Message, stanza.TypeNormal, xml.AppendElement(nil, "body", "", text)
			return s.Send(ctx, reply)
		}
	}
	routes := mux.Mux{
		{Name: stanza.IQ, Type: stanza.TypeGet, Payload: "ping", NS: ns.Ping, Do: mux.Pong},
		{Name: stanza.IQ, Type: stanza.TypeSet, NS: "x", Do: func(context.Context, *session.Session, stanza.Stanza) error {
			return &stanza.Error{Condition: stanza.Forbidden}
		}},
		{Name: stanza.Message, Payload: "request", NS: ns.Receipts, Do: say("receipt")},
		{Name: stanza.Message, Type: stanza.TypeNormal, Do: say("normal")},
		{Name: stanza.Presence, Do: say("presence")},
		{Name: stanza.Message, Type: stanza.TypeError, Do: func(context.Context, *session.Session, stanza.Stanza) error { return broken }},
	}
	served := make(chan error, 1)
	go func() { served <- routes.Serve(t.Context(), ours) }()
	cases := []struct {
		name string
		in   string
		want string // type of the answer, its condition or its text
	}{
		{"ping", "<iq type='get' id='1' from='romeo@example.net'><ping xmlns='urn:xmpp:ping'/></iq>", "result"},
		{"the first element of an IQ counts", "<iq type='get' id='1' from='romeo@example.net'><x xmlns='y'/><ping xmlns='urn:xmpp:ping'/></iq>", "service-unavailable"},
		{"nobody's", "<iq type='get' id='1' from='romeo@example.net'><x xmlns='y'/></iq>", "service-unavailable"},
		{"empty", "<iq type='set' id='1' from='romeo@example.net'/>", "service-unavailable"},
		{"any payload of a namespace", "<iq type='set' id='1' from='romeo@example.net'><z xmlns='x'/></iq>", "forbidden"},
		{"any element of a message counts", "<message type='chat' from='romeo@example.net'><body>a</body><request xmlns='urn:xmpp:receipts'/></message>", "receipt"},
		{"a message without type is normal", "<message from='romeo@example.net'><body>a</body></message>", "normal"},
		{"presence", "<presence from='romeo@example.net'/>", "presence"},
		{
			"passed over",
			"<message type='chat' from='romeo@example.net'/><iq type='result' id='1' from='romeo@example.net'/>" +
				"<presence from='romeo@example.net'/>",
			"presence",
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if err := theirs.Write(t.Context(), []byte(c.in)); err != nil {
				t.Fatal(err)
			}
			st, err := theirs.Receive(t.Context())
			if err != nil || st.To != romeo {
				t.Fatalf("got %+v, %v", st, err)
			}
			got := st.Type
			if st.Type == stanza.TypeError {
				got = string(stanza.ParseError(st.Body).Condition)
			} else if body, ok := st.Find("body", ns.Client); ok {
				got = body.Text()
			}
			if got != c.want {
				t.Fatalf("got %s, want %s", got, c.want)
			}
		})
	}
	if err := theirs.Write(t.Context(), []byte("<message type='error' from='romeo@example.net'/>")); err != nil {
		t.Fatal(err)
	}
	if err := <-served; !errors.Is(err, broken) {
		t.Fatalf("got %v", err)
	}
}

func TestServeEndsWithTheSession(t *testing.T) {
	ours, theirs := sessions(t)
	served := make(chan error, 1)
	go func() { served <- mux.Mux(nil).Serve(t.Context(), ours) }()
	if err := theirs.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-served; !errors.Is(err, io.EOF) {
		t.Fatalf("got %v", err)
	}
}
