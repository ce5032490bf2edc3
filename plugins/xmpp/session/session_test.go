package session_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/jabberii/server/plugins/xmpp/jid"
	"github.com/jabberii/server/plugins/xmpp/ns"
	"github.com/jabberii/server/plugins/xmpp/session"
	"github.com/jabberii/server/plugins/xmpp/stanza"
	"github.com/jabberii/server/plugins/xmpp/stream"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

func TestStanzasInOrder(t *testing.T) {
	client, server := pair(t, session.Account{}, session.Config{})
	ctx := timeout(t)
	const count = 1000
	sent := make(chan error, 1)
	go func() {
		for i := range count {
			if err := client.Message(ctx, romeo, fmt.Sprint(i)); err != nil {
				sent <- err
				return
			}
		}
		sent <- nil
	}()
	for i := range count {
		st, err := server.Receive(ctx)
		if err != nil || body(st) != fmt.Sprint(i) || st.To != romeo || st.Type != stanza.TypeChat {
			t.Fatalf("message %d: got %+v, %v", i, st, err)
		}
	}
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
	if err := client.Presence(ctx, ""); err != nil {
		t.Fatal(err)
	}
	if st, err := server.Receive(ctx); err != nil || st.Name != stanza.Presence {
		t.Fatalf("got %+v, %v", st, err)
	}
}

func TestRoster(t *testing.T) {
	client, server := pair(t, session.Account{}, session.Config{})
	ctx := timeout(t)
	answered := make(chan error, 1)
	go func() {
		iq, err := server.Receive(ctx)
		if err == nil {
			query := `<query xmlns='jabber:iq:roster'><item jid='romeo@example.org' name='Romeo' subscription='both'>` +
				`<group>Friends</group><group>Lovers</group></item><item jid='nurse@example.org' subscription='none' ask='subscribe'/></query>`
			err = server.Send(ctx, iq.Result([]byte(query)))
		}
		answered <- err
	}()
	contacts, err := client.Roster(ctx)
	if err != nil {
		t.Fatal(err)
	}
	want := "[{romeo@example.org Romeo both  [Friends Lovers]} {nurse@example.org  none subscribe []}]"
	if got := fmt.Sprint(contacts); got != want {
		t.Fatalf("got %s\nwant %s", got, want)
	}
	if err := <-answered; err != nil {
		t.Fatal(err)
	}
}

// An answer counts only if it comes from who was asked.
func TestAnswers(t *testing.T) {
	full, _ := juliet.WithResource("balcony")
	cases := []struct {
		name     string
		to, from jid.JID
		kind     string
		want     bool
	}{
		{"from who was asked", romeo, romeo, stanza.TypeResult, true},
		{"from somebody else", romeo, jid.MustParse("tybalt@example.org"), stanza.TypeResult, false},
		{"from the bare JID", romeo, romeo.Bare(), stanza.TypeResult, false},
		{"from nobody", romeo, jid.JID{}, stanza.TypeResult, false},
		{"nobody asked, from nobody", jid.JID{}, jid.JID{}, stanza.TypeResult, true},
		{"nobody asked, from the account", jid.JID{}, juliet, stanza.TypeResult, true},
		{"nobody asked, from the session", jid.JID{}, full, stanza.TypeResult, true},
		{"nobody asked, from the server", jid.JID{}, host, stanza.TypeResult, true},
		{"nobody asked, from a stranger", jid.JID{}, romeo, stanza.TypeResult, false},
		{"the account asked, from nobody", juliet, jid.JID{}, stanza.TypeResult, true},
		{"the server asked, from nobody", host, jid.JID{}, stanza.TypeResult, true},
		{"an error", romeo, romeo, stanza.TypeError, true},
		{"a request with the same id", romeo, romeo, stanza.TypeGet, false},
	}
	client, server := pair(t, session.Account{}, session.Config{})
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(timeout(t))
			defer cancel()
			answer := make(chan error, 1)
			go func() {
				reply, err := client.Request(ctx, stanza.Stanza{Name: stanza.IQ, Type: stanza.TypeGet, To: c.to})
				var e *stanza.Error
				if c.kind == stanza.TypeError && errors.As(err, &e) && e.Condition == stanza.ItemNotFound && reply.Type == c.kind {
					err = nil
				}
				answer <- err
			}()
			iq, err := server.Receive(ctx)
			if err != nil {
				t.Fatal(err)
			}
			reply := stanza.Stanza{Name: stanza.IQ, Type: c.kind, ID: iq.ID, From: c.from}
			if c.kind == stanza.TypeError {
				reply.Body = (&stanza.Error{Condition: stanza.ItemNotFound}).Append(nil)
			}
			if err := server.Send(ctx, reply); err != nil {
				t.Fatal(err)
			}
			if !c.want {
				st, err := client.Receive(ctx)
				if err != nil || st.ID != iq.ID {
					t.Fatalf("got %+v, %v", st, err)
				}
				cancel()
				if err := <-answer; !errors.Is(err, context.Canceled) {
					t.Fatalf("believed: %v", err)
				}
				return
			}
			if err := <-answer; err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestRequestWithoutAnswer(t *testing.T) {
	client, server := pair(t, session.Account{Window: -1}, session.Config{})
	ctx := timeout(t)
	failed := make(chan error, 1)
	go func() {
		_, err := client.Request(ctx, stanza.Stanza{Name: stanza.IQ, Type: stanza.TypeGet, ID: "1"})
		failed <- err
	}()
	if _, err := server.Receive(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Request(ctx, stanza.Stanza{Name: stanza.IQ, Type: stanza.TypeGet, ID: "1"}); err == nil {
		t.Fatal("two requests with one id")
	}
	server.Drop()
	if err := <-failed; !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, net.ErrClosed) {
		t.Logf("error: %v", err) // a reset is as good as an end
	} else if err == nil {
		t.Fatal("answered by nobody")
	}
}

func TestClose(t *testing.T) {
	client, server := pair(t, session.Account{}, session.Config{})
	ctx := timeout(t)
	if err := client.Message(ctx, romeo, "last words"); err != nil {
		t.Fatal(err)
	}
	if err := client.Close(); err != nil {
		t.Fatal(err)
	}
	if st, err := server.Receive(ctx); err != nil || body(st) != "last words" {
		t.Fatalf("got %+v, %v", st, err)
	}
	if _, err := server.Receive(ctx); !errors.Is(err, io.EOF) {
		t.Fatalf("got %v", err)
	}
	if _, err := client.Receive(ctx); !errors.Is(err, session.ErrClosed) {
		t.Fatalf("got %v", err)
	}
	for _, s := range []*session.Session{client, server} {
		if err := s.Message(ctx, romeo, "more"); err == nil || s.Err() == nil {
			t.Fatalf("sent: %v, %v", err, s.Err())
		}
		s.Close()
		s.Drop()
	}
}

func TestPeersFaults(t *testing.T) {
	cases := []struct {
		name  string
		write string
		tell  string // what the peer is told, empty for just the end
		check func(error) bool
	}{
		{
			"stream error", "<stream:error><conflict xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>", "",
			func(err error) bool {
				var e *stream.Error
				return errors.As(err, &e) && e.Condition == stream.Conflict
			},
		},
		{
			"not XML", "<message><body></message>", "<not-well-formed",
			func(err error) bool {
				var e *xml.SyntaxError
				return errors.As(err, &e)
			},
		},
		{"end of the stream", "</stream:stream>", "", func(err error) bool { return errors.Is(err, io.EOF) }},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			ctx := timeout(t)
			ours, theirs := loopback(t)
			client := session.New(ours, opened(t, ours, theirs), session.Config{Local: juliet, Remote: host})
			defer client.Drop()
			if _, err := theirs.Write([]byte(c.write)); err != nil {
				t.Fatal(err)
			}
			if _, err := client.Receive(ctx); err == nil || !c.check(err) {
				t.Fatalf("got %v", err)
			}
			told, err := io.ReadAll(theirs)
			if err != nil || !strings.HasSuffix(string(told), stream.Close) || !strings.Contains(string(told), c.tell) {
				t.Fatalf("told %q, %v", told, err)
			}
		})
	}
}

// opened is a reader behind the header of a stream that theirs has written.
func opened(t *testing.T, ours, theirs net.Conn) *xml.Reader {
	t.Helper()
	header := stream.Header{NS: ns.Client, From: host, ID: "1", Version: stream.Version}
	if _, err := theirs.Write(header.Append(nil)); err != nil {
		t.Fatal(err)
	}
	reader := xml.NewReader(ours, xml.Limits{})
	if _, err := reader.Next(); err != nil {
		t.Fatal(err)
	}
	return reader
}

func TestMalformedAddressIsAnswered(t *testing.T) {
	ctx := timeout(t)
	ours, theirs := loopback(t)
	client := session.New(ours, opened(t, ours, theirs), session.Config{Local: juliet, Remote: host})
	defer client.Drop()
	if _, err := theirs.Write([]byte("<message from='@@' id='1'/><message id='2'/>")); err != nil {
		t.Fatal(err)
	}
	if st, err := client.Receive(ctx); err != nil || st.ID != "2" {
		t.Fatalf("got %+v, %v", st, err)
	}
	b := make([]byte, 1000)
	n, err := theirs.Read(b)
	if got := string(b[:n]); err != nil || !strings.Contains(got, "jid-malformed") || !strings.Contains(got, `id='1'`) {
		t.Fatalf("got %s, %v", got, err)
	}
}

// Nobody receives: the session stops reading, the peer's Send waits, and nothing is lost.
func TestBackPressure(t *testing.T) {
	client, server := pair(t, session.Account{}, session.Config{Inbox: 10})
	ctx := timeout(t)
	text := strings.Repeat("x", 10000)
	sent := 0
	brief, cancel := context.WithCancel(ctx)
	stopped := make(chan error, 1)
	go func() {
		for ; sent < 20000; sent++ {
			if err := client.Message(brief, romeo, fmt.Sprint(sent, text)); err != nil {
				stopped <- err
				return
			}
		}
		stopped <- errors.New("200 MB on their way to nobody")
	}()
	for range 100 { // the network may keep it waiting too, for a moment
		<-blocked(client)
	}
	cancel()
	if err := <-stopped; !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	for i := range sent {
		st, err := server.Receive(ctx)
		if err != nil || body(st) != fmt.Sprint(i, text) {
			t.Fatalf("message %d of %d: %v", i, sent, err)
		}
	}
}

// blocked fires when a session's Send waits.
func blocked(s *session.Session) <-chan struct{} {
	c := make(chan struct{})
	go func() {
		for !session.Waiting(s) {
			if s.Err() != nil {
				return
			}
		}
		close(c)
	}()
	return c
}

// Both ends write more than the network holds before they read: that must not be the
// end of it.
func TestBothWriteFirst(t *testing.T) {
	client, server := pair(t, session.Account{Session: session.Config{Inbox: 4000}}, session.Config{Inbox: 4000})
	ctx := timeout(t)
	const count = 800
	text := strings.Repeat("x", 10000)
	errs := make(chan error, 2)
	for _, s := range []*session.Session{client, server} {
		go func() {
			for range count {
				if err := s.Send(ctx, message(romeo, text)); err != nil {
					errs <- err
					return
				}
			}
			errs <- nil
		}()
	}
	for range 2 {
		if err := <-errs; err != nil {
			t.Fatal(err)
		}
	}
	for _, s := range []*session.Session{client, server} {
		for range count {
			if st, err := s.Receive(ctx); err != nil || len(body(st)) != len(text) {
				t.Fatal(err)
			}
		}
	}
}

func TestElementFunction(t *testing.T) {
	got := make(chan string, 10)
	client, server := pair(t, session.Account{}, session.Config{Element: func(tok *xml.Token) error {
		if tok.Name == "stop" {
			return &stream.Error{Condition: stream.PolicyViolation}
		}
		got <- tok.Name + " " + tok.NS
		return nil
	}})
	ctx := timeout(t)
	if err := client.Message(ctx, romeo, "hello"); err != nil {
		t.Fatal(err)
	}
	if err := client.Write(ctx, []byte(" <x xmlns='y'/><stop xmlns='y'/>")); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"message jabber:client", "x y"} {
		if g := <-got; g != want {
			t.Fatalf("got %s, want %s", g, want)
		}
	}
	var e *stream.Error
	if _, err := client.Receive(ctx); !errors.As(err, &e) || e.Condition != stream.PolicyViolation {
		t.Fatalf("got %v", err)
	}
	if _, err := server.Receive(ctx); !errors.As(err, &e) {
		t.Fatalf("got %v", err)
	}
}
