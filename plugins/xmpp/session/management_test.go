package session_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/jabberii/server/plugins/xmpp/ns"
	"github.com/jabberii/server/plugins/xmpp/session"
	"github.com/jabberii/server/plugins/xmpp/stanza"
	"github.com/jabberii/server/plugins/xmpp/stream"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

// A keeper is the server's side of XEP-0198 for one session, over any number of
// connections. It acknowledges when it is asked and told to.
type keeper struct {
	mu       sync.Mutex
	bodies   []string // of the messages that came
	handled  uint32
	acked    uint32 // what the client has acknowledged
	mute     bool   // take stanzas, do not acknowledge
	deaf     bool   // take no stanzas
	wrong    uint32 // added to what is acknowledged
	resumes  int
	forget   bool // refuse to resume
	arrived  chan struct{}
	answered chan struct{}
}

func newKeeper() *keeper {
	return &keeper{arrived: make(chan struct{}, 1000), answered: make(chan struct{}, 1000)}
}

// element is the server's Config.Element, for the session that is handed over by current.
func (k *keeper) element(current func() *session.Session) func(*xml.Token) error {
	return func(t *xml.Token) error {
		s := current()
		k.mu.Lock()
		defer k.mu.Unlock()
		switch {
		case t.Name == "enable":
			return s.Write(context.Background(), []byte("<enabled xmlns='urn:xmpp:sm:3' id='some-id' resume='true'/>"))
		case t.Name == "r":
			if k.mute || k.deaf {
				return nil
			}
			return s.Write(context.Background(), fmt.Appendf(nil, "<a xmlns='urn:xmpp:sm:3' h='%d'/>", k.handled+k.wrong))
		case t.Name == "a":
			h, _ := strconv.Atoi(string(t.Attr("h")))
			k.acked = uint32(h)
			k.answered <- struct{}{}
		case t.Name == stanza.Message && !k.deaf:
			k.handled++
			st, err := stanza.FromToken(t)
			if err != nil {
				return err
			}
			k.bodies = append(k.bodies, body(st))
			k.arrived <- struct{}{}
		}
		return nil
	}
}

// Append, Pending and Feed make a keeper the offer that resumes.
func (k *keeper) Append(dst []byte, r *session.Receiver) []byte {
	if r.Account().IsZero() {
		return dst
	}
	return append(dst, "<sm xmlns='urn:xmpp:sm:3'/>"...)
}

func (k *keeper) Pending(*session.Receiver) bool { return false }

func (k *keeper) Feed(_ context.Context, r *session.Receiver, t *xml.Token) (session.Reply, bool) {
	if t.Name != "resume" || r.Account().IsZero() {
		return session.Reply{}, false
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.resumes++
	if k.forget || string(t.Attr("previd")) != "some-id" {
		return session.Reply{Out: []byte("<failed xmlns='urn:xmpp:sm:3'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>")}, true
	}
	h, _ := strconv.Atoi(string(t.Attr("h")))
	k.acked = uint32(h)
	out := fmt.Appendf(nil, "<resumed xmlns='urn:xmpp:sm:3' previd='some-id' h='%d'/>", k.handled+k.wrong)
	return session.Reply{Out: out, Step: session.Ready}, true
}

// managed is a client with XEP-0198 and its server. Connect makes another connection
// to the server, and the session that the server then has.
type managed struct {
	t      *testing.T
	keeper *keeper
	client *session.Session

	mu     sync.Mutex
	ready  *sync.Cond
	server *session.Session
}

func manage(t *testing.T, window int) *managed {
	t.Helper()
	m := &managed{t: t, keeper: newKeeper()}
	m.ready = sync.NewCond(&m.mu)
	var err error
	account := session.Account{Address: juliet, Password: "pencil", Plaintext: true, Window: window}
	if m.client, err = session.Client(timeout(t), m.connect(), account); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.client.Drop)
	if !m.client.Managed() || !m.client.Resumable() {
		t.Fatal("no stream management")
	}
	return m
}

func (m *managed) current() *session.Session {
	m.mu.Lock()
	defer m.mu.Unlock()
	for m.server == nil {
		m.ready.Wait()
	}
	return m.server
}

func (m *managed) connect() net.Conn {
	ours, theirs := loopback(m.t)
	m.mu.Lock()
	m.server = nil
	m.mu.Unlock()
	acceptor := acceptor(session.OfferSASL(host, accounts()), m.keeper, session.OfferBind(bind))
	go func() {
		s, err := session.Accept(timeout(m.t), theirs, acceptor, nil, session.Config{Element: m.keeper.element(m.current)})
		if err != nil {
			return // the client's error tells more
		}
		m.mu.Lock()
		defer m.mu.Unlock()
		m.server = s
		m.ready.Broadcast()
	}()
	return ours
}

func (m *managed) set(change func(*keeper)) {
	m.keeper.mu.Lock()
	defer m.keeper.mu.Unlock()
	change(m.keeper)
}

func TestAcknowledgements(t *testing.T) {
	m := manage(t, 0)
	ctx := timeout(t)
	if err := m.client.Sync(ctx); err != nil {
		t.Fatalf("nothing to wait for: %v", err)
	}
	for i := range 100 {
		if err := m.client.Message(ctx, romeo, fmt.Sprint(i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := m.client.Sync(ctx); err != nil {
		t.Fatal(err)
	}
	if left := m.client.Unacknowledged(); len(left) > 0 || m.keeper.handled != 100 {
		t.Fatalf("%d unacknowledged, %d handled", len(left), m.keeper.handled)
	}
}

func TestClientAcknowledges(t *testing.T) {
	m := manage(t, 0)
	ctx := timeout(t)
	server := m.current()
	for i := range 3 {
		if err := server.Send(ctx, message(juliet, fmt.Sprint(i))); err != nil {
			t.Fatal(err)
		}
	}
	if err := server.Write(ctx, []byte("<r xmlns='urn:xmpp:sm:3'/>")); err != nil {
		t.Fatal(err)
	}
	<-m.keeper.answered
	if m.keeper.acked != 3 {
		t.Fatalf("acknowledged %d", m.keeper.acked)
	}
}

// The window is full: Send waits until something is acknowledged.
func TestWindow(t *testing.T) {
	m := manage(t, 8)
	m.set(func(k *keeper) { k.mute = true })
	ctx := timeout(t)
	for range 8 {
		if err := m.client.Message(ctx, romeo, "x"); err != nil {
			t.Fatal(err)
		}
	}
	brief, cancel := context.WithCancel(ctx)
	sent := make(chan error, 1)
	go func() { sent <- m.client.Message(brief, romeo, "y") }()
	<-blocked(m.client)
	cancel()
	if err := <-sent; !errors.Is(err, context.Canceled) {
		t.Fatalf("the ninth of eight: %v", err)
	}
	go func() { sent <- m.client.Message(ctx, romeo, "z") }()
	<-blocked(m.client)
	server := m.current()
	if err := server.Write(ctx, []byte("<a xmlns='urn:xmpp:sm:3' h='4'/>")); err != nil {
		t.Fatal(err)
	}
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
	for range 9 {
		<-m.keeper.arrived
	}
	if err := server.Write(ctx, []byte("<a xmlns='urn:xmpp:sm:3' h='9'/>")); err != nil {
		t.Fatal(err)
	}
	if err := m.client.Sync(ctx); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(m.keeper.bodies, ""); got != "xxxxxxxxz" {
		t.Fatalf("arrived: %s", got)
	}
}

// The connection is lost again and again, at any point: every message arrives once and
// in order, in both directions.
func TestResume(t *testing.T) {
	m := manage(t, 50)
	ctx := timeout(t)
	const count, cuts = 400, 10
	failed := make(chan error, 1)
	go func() {
		for i := 0; i < count; {
			err := m.client.Message(ctx, romeo, fmt.Sprint(i))
			if err == nil {
				i++
			} else if ctx.Err() != nil {
				failed <- err
				return
			} // else the connection is down, and will be up again
		}
		failed <- m.client.Sync(ctx)
	}()
	for cut := range cuts {
		for range count / cuts / 2 {
			<-m.keeper.arrived
		}
		if cut%2 == 0 {
			m.client.Drop()
		} else {
			m.current().Drop()
			for m.client.Err() == nil {
				m.client.Receive(ctx)
			}
		}
		if err := m.client.Resume(ctx, m.connect()); err != nil {
			t.Fatalf("cut %d: %v", cut, err)
		}
	}
	if err := <-failed; err != nil {
		t.Fatal(err)
	}
	if len(m.keeper.bodies) != count || m.keeper.resumes != cuts {
		t.Fatalf("%d messages, %d resumptions", len(m.keeper.bodies), m.keeper.resumes)
	}
	for i, text := range m.keeper.bodies {
		if text != fmt.Sprint(i) {
			t.Fatalf("message %d is %s", i, text)
		}
	}
}

// A request survives the connection on which it was sent.
func TestRequestSurvives(t *testing.T) {
	m := manage(t, 0)
	ctx := timeout(t)
	answer := make(chan error, 1)
	go func() {
		_, err := m.client.Request(ctx, stanza.Stanza{
			Name: stanza.IQ, Type: stanza.TypeGet, ID: "1", To: romeo, Body: xml.AppendEmpty(nil, "ping", ns.Ping),
		})
		answer <- err
	}()
	<-blocked(m.client)
	m.client.Drop()
	if err := m.client.Resume(ctx, m.connect()); err != nil {
		t.Fatal(err)
	}
	if err := m.current().Send(ctx, stanza.Stanza{Name: stanza.IQ, Type: stanza.TypeResult, ID: "1", From: romeo}); err != nil {
		t.Fatal(err)
	}
	if err := <-answer; err != nil {
		t.Fatal(err)
	}
}

func TestNotResumed(t *testing.T) {
	m := manage(t, 0)
	ctx := timeout(t)
	m.set(func(k *keeper) { k.deaf, k.forget = true, true })
	if err := m.client.Message(ctx, romeo, "lost, or not"); err != nil {
		t.Fatal(err)
	}
	m.client.Drop()
	if err := m.client.Message(ctx, romeo, "while it is down"); err == nil {
		t.Fatal("sent")
	}
	if err := m.client.Resume(ctx, m.connect()); !errors.Is(err, session.ErrNotResumed) {
		t.Fatalf("got %v", err)
	}
	if left := m.client.Unacknowledged(); len(left) != 1 || body(left[0]) != "lost, or not" {
		t.Fatalf("unacknowledged: %+v", left)
	}
	if err := m.client.Sync(ctx); err == nil {
		t.Fatal("acknowledged by nobody")
	}
	if err := m.client.Resume(ctx, m.connect()); !errors.Is(err, session.ErrNotResumable) {
		t.Fatalf("again: %v", err)
	}
}

// A resumption that fails for another reason may be tried again.
func TestResumeAgain(t *testing.T) {
	m := manage(t, 0)
	ctx := timeout(t)
	m.client.Drop()
	ours, theirs := loopback(t)
	theirs.Close()
	if err := m.client.Resume(ctx, ours); err == nil || errors.Is(err, session.ErrNotResumed) {
		t.Fatalf("got %v", err)
	}
	if err := m.client.Resume(ctx, m.connect()); err != nil {
		t.Fatal(err)
	}
	if err := m.client.Message(ctx, romeo, "again"); err != nil {
		t.Fatal(err)
	}
	<-m.keeper.arrived
}

func TestClosedIsNotResumed(t *testing.T) {
	m := manage(t, 0)
	m.client.Close()
	if m.client.Resumable() {
		t.Fatal("resumable")
	}
	if err := m.client.Resume(timeout(t), m.connect()); !errors.Is(err, session.ErrNotResumable) {
		t.Fatalf("got %v", err)
	}
	m = manage(t, 0)
	m.current().Close() // the server ends the stream in order
	if _, err := m.client.Receive(timeout(t)); !errors.Is(err, io.EOF) || m.client.Resumable() {
		t.Fatalf("got %v", err)
	}
}

// A server that acknowledges what was never sent is wrong about everything.
func TestTooMuchAcknowledged(t *testing.T) {
	m := manage(t, 0)
	ctx := timeout(t)
	if err := m.client.Message(ctx, romeo, "x"); err != nil {
		t.Fatal(err)
	}
	if err := m.current().Write(ctx, []byte("<a xmlns='urn:xmpp:sm:3' h='6'/>")); err != nil {
		t.Fatal(err)
	}
	if _, err := m.client.Receive(ctx); err == nil || !strings.Contains(err.Error(), "acknowledged 6 stanzas of 1") {
		t.Fatalf("got %v", err)
	}
	if m.client.Resumable() {
		t.Fatal("resumable, with a counter that is wrong")
	}
}

func TestResumedWithTooMuch(t *testing.T) {
	m := manage(t, 0)
	m.set(func(k *keeper) { k.wrong = 5 })
	m.client.Drop()
	if err := m.client.Resume(timeout(t), m.connect()); err == nil || m.client.Resumable() {
		t.Fatalf("resumed with a counter that is wrong: %v", err)
	}
}

func TestWithoutStreamManagement(t *testing.T) {
	client, _ := pair(t, session.Account{}, session.Config{})
	if client.Managed() || client.Resumable() || client.Unacknowledged() != nil {
		t.Fatal("managed")
	}
	if err := client.Sync(timeout(t)); err == nil {
		t.Fatal("synced")
	}
	conn, _ := loopback(t)
	if err := client.Resume(timeout(t), conn); !errors.Is(err, session.ErrNotResumable) {
		t.Fatalf("got %v", err)
	}
}

// A stream that ends because the session is another connection's, or nobody's any more,
// is the end of what waits for it; one that ends because the server does is not.
func TestSessionIsOver(t *testing.T) {
	for condition, over := range map[stream.Condition]bool{
		stream.Conflict: true, stream.NotAuthorized: true, stream.Reset: true, stream.SystemShutdown: false,
	} {
		t.Run(string(condition), func(t *testing.T) {
			m := manage(t, 0)
			ctx, cancel := context.WithCancel(timeout(t))
			defer cancel()
			failed := make(chan error, 1)
			go func() {
				_, err := m.client.Request(ctx, stanza.Stanza{Name: stanza.IQ, Type: stanza.TypeGet, To: romeo, Body: xml.AppendEmpty(nil, "ping", ns.Ping)})
				failed <- err
			}()
			<-blocked(m.client)
			m.current().Write(ctx, append((&stream.Error{Condition: condition}).Append(nil), stream.Close...))
			if _, err := m.client.Receive(ctx); !isStreamError(err, condition) || m.client.Resumable() == over {
				t.Errorf("the stream ends with %v, resumable %v", err, m.client.Resumable())
			}
			if !over {
				select {
				case err := <-failed:
					t.Errorf("the request ends with %v while it can be resumed", err)
				default:
				}
				cancel()
				<-failed
				return
			}
			select {
			case err := <-failed:
				if !isStreamError(err, condition) {
					t.Errorf("the request ends with %v", err)
				}
			case <-ctx.Done():
				t.Error("the request waits for ever")
			}
		})
	}
}

func isStreamError(err error, condition stream.Condition) bool {
	var e *stream.Error
	return errors.As(err, &e) && e.Condition == condition
}
