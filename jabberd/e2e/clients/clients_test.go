package clients_test

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/jabberii/server/jabberd/e2e/clients"
)

// The drivers, against servers that are known to work.

const (
	ann, annPassword = "ann@one.test", "open sesame"
	bob, bobPassword = "bob@two.test", `s3cret"<&>'`
	echo, echoSecret = "echo.one.test", "component secret"
)

var config = clients.ServerConfig{
	Users:      map[string]string{ann: annPassword, bob: bobPassword},
	Components: map[string]string{echo: echoSecret, "irc.one.test": "other"},
}

// onServers runs a test on each make of server.
func onServers(t *testing.T, test func(t *testing.T, server *clients.Server)) {
	t.Run("prosody", func(t *testing.T) {
		t.Parallel()
		test(t, clients.Prosody(t, config))
	})
	t.Run("ejabberd", func(t *testing.T) {
		t.Parallel()
		test(t, clients.Ejabberd(t, config))
	})
}

func TestClients(t *testing.T) {
	onServers(t, func(t *testing.T, server *clients.Server) {
		t.Run("chat", func(t *testing.T) { testChat(t, server) })
		t.Run("roster", func(t *testing.T) { testRoster(t, server) })
		t.Run("login", func(t *testing.T) { testLogin(t, server) })
		t.Run("resume", func(t *testing.T) { testResume(t, server) })
		t.Run("silence", func(t *testing.T) { testSilence(t, server) })
		t.Run("terminal", func(t *testing.T) { testTerminal(t, server) })
		t.Run("component", func(t *testing.T) { testComponent(t, server) })
		t.Run("gateway", func(t *testing.T) { testGateway(t, server) })
		t.Run("restart", func(t *testing.T) { testRestart(t, server) })
	})
}

func testChat(t *testing.T, server *clients.Server) {
	a := clients.Slixmpp(t, server.Login(ann+"/home", annPassword))
	b := clients.Slixmpp(t, server.Login(bob, bobPassword))
	if a.JID != ann+"/home" {
		t.Errorf("bound %s, want %s/home", a.JID, ann)
	}
	b.Presence(clients.Presence{})
	b.AwaitPresence(bob, "") // its own: from here on messages go to it
	const body = "hello <&> \u00e4\u4e2d\U0001f600"
	id := a.Message(bob, body)
	if e := b.AwaitMessage(ann, body); e.ID != id || e.From != ann+"/home" || e.Type != "chat" {
		t.Errorf("got %+v, want id %s", e, id)
	}
	a.Send(`<message to='` + b.JID + `' type='normal'><body>raw</body><x xmlns='urn:x'><y/></x></message>`)
	if e := b.AwaitMessage(ann+"/home", "raw"); !strings.Contains(e.XML, "<y") {
		t.Errorf("the payload is lost: %s", e.XML)
	}
	a.Message("nobody@two.test", "anybody?")
	a.AwaitError("nobody@two.test", "service-unavailable")
	if answer := a.IQ(`<iq to='two.test' type='get'><query xmlns='urn:no:such'/></iq>`); answer.Type != "error" {
		t.Errorf("an IQ that nobody knows is answered with %+v", answer)
	}
	if a.Ping("two.test") <= 0 {
		t.Error("a ping took no time")
	}
	disco := a.Disco("two.test")
	if len(disco.Identities) == 0 || disco.Identities[0].Category != "server" || !slices.Contains(disco.Features, "http://jabber.org/protocol/disco#info") {
		t.Errorf("disco of a server: %+v", disco)
	}
}

func testRoster(t *testing.T, server *clients.Server) {
	a := clients.Slixmpp(t, server.Login(ann, annPassword))
	b := clients.Slixmpp(t, server.Login(bob, bobPassword))
	if _, ok := a.Contact(bob); ok {
		t.Fatal("on the roster before it was put there")
	}
	a.Presence(clients.Presence{})
	b.Presence(clients.Presence{Show: "away", Status: "out for lunch", Priority: 5})
	b.AwaitPresence(bob, "")
	a.AddContact(bob, "Bob", "friends", "work")
	a.Subscribe(bob)
	b.AwaitPresence(ann, "subscribe")
	b.Approve(ann)
	a.AwaitPresence(bob, "subscribed")
	if e := a.AwaitPresence(bob, ""); e.Show != "away" || e.Status != "out for lunch" || e.Priority != "5" {
		t.Errorf("presence of bob: %+v", e)
	}
	contact, ok := a.Contact(bob)
	slices.Sort(contact.Groups)
	if !ok || contact.Name != "Bob" || contact.Subscription != "to" || !slices.Equal(contact.Groups, []string{"friends", "work"}) {
		t.Errorf("contact: %+v, %v", contact, ok)
	}
	a.Await("the roster push", func(e clients.Event) bool {
		return e.Event == "roster" && slices.ContainsFunc(e.Items, func(c clients.Contact) bool { return c.JID == bob && c.Subscription == "to" })
	})
	b.Disconnect()
	a.AwaitPresence(bob, "unavailable")
	a.RemoveContact(bob)
	if _, ok := a.Contact(bob); ok {
		t.Error("on the roster after it was removed")
	}
}

func testLogin(t *testing.T, server *clients.Server) {
	tests := []struct {
		name   string
		change func(*clients.Login)
		want   string // of the error; "" is success
	}{
		{"starttls", func(*clients.Login) {}, ""},
		{"direct TLS", func(l *clients.Login) { l.Addr, l.TLS = server.DirectTLS, clients.Direct }, ""},
		{"certificate verified", func(l *clients.Login) { l.CA = server.CA }, ""},
		{"SCRAM-SHA-1", func(l *clients.Login) { l.Mechanism = "SCRAM-SHA-1" }, ""},
		{"PLAIN", func(l *clients.Login) { l.Mechanism = "PLAIN" }, ""},
		{"wrong password", func(l *clients.Login) { l.Password = "wrong" }, "not-authorized"},
		{"no TLS where it is required", func(l *clients.Login) { l.TLS = clients.None }, "nothing that leads to a session"},
		{"nobody listens", func(l *clients.Login) { l.Addr = "127.0.0.1:1" }, "connect"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			login := server.Login(ann, annPassword)
			test.change(&login)
			_, err := clients.TrySlixmpp(t, login)
			switch {
			case test.want == "" && err != nil:
				t.Error(err)
			case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
				t.Errorf("error %v, want one with %q", err, test.want)
			}
		})
	}
}

func testResume(t *testing.T, server *clients.Server) {
	login := server.Login(ann, annPassword)
	login.Resume = true
	a := clients.Slixmpp(t, login)
	a.AwaitEvent("sm")
	b := clients.Slixmpp(t, server.Login(bob, bobPassword))
	b.Presence(clients.Presence{})
	a.Presence(clients.Presence{})
	a.AwaitPresence(ann, "")
	jid := a.JID
	a.Drop()
	a.AwaitEvent("disconnected")
	b.Message(ann, "while you were out")
	if !a.Reconnect() || a.JID != jid {
		t.Fatalf("not resumed: %s was %s", a.JID, jid)
	}
	a.AwaitMessage(bob, "while you were out")
	id := a.Message(bob, "acknowledge this")
	if a.Unacknowledged() == 0 {
		t.Error("nothing waits to be acknowledged")
	}
	a.Await("the acknowledgement", func(e clients.Event) bool { return e.Event == "acked" && e.ID == id })
	a.Disconnect()
}

// What was sent into a dead network is sent again, once.
func testSilence(t *testing.T, server *clients.Server) {
	line := clients.NewLine(t, server.C2S)
	login := server.Login(ann, annPassword)
	login.Addr, login.Resume = line.Addr, true
	a := clients.Slixmpp(t, login)
	b := clients.Slixmpp(t, server.Login(bob, bobPassword))
	b.Presence(clients.Presence{})
	b.AwaitPresence(bob, "")
	a.Message(bob, "first")
	b.AwaitMessage(ann, "first")
	line.Silence()
	a.Message(bob, "into the void")
	a.Drop()
	if !a.Reconnect() {
		t.Fatal("not resumed")
	}
	a.Message(bob, "last")
	b.AwaitMessage(ann, "last")
	var bodies []string
	for _, e := range b.Events() {
		if e.Event == "message" {
			bodies = append(bodies, e.Body)
		}
	}
	if want := []string{"first", "into the void", "last"}; !slices.Equal(bodies, want) {
		t.Errorf("got %q, want %q", bodies, want)
	}
	line.Cut()
	a.AwaitEvent("disconnected")
}

func testTerminal(t *testing.T, server *clients.Server) {
	a := clients.Slixmpp(t, server.Login(ann, annPassword))
	a.Roster()
	a.Presence(clients.Presence{})
	b := clients.Profanity(t, server.Login(bob, bobPassword))
	b.Type("/sub request " + ann)
	a.AwaitPresence(bob, "subscribe")
	a.Approve(bob)
	b.Await("Subscription received from " + ann)
	a.Subscribe(bob)
	b.Await("Received authorization request from " + ann)
	b.Type("/sub allow " + ann)
	a.AwaitPresence(bob, "subscribed")
	b.Type("/roster")
	b.Await(ann + " - both")
	a.Message(bob, "hello; from a long way off;")
	b.AwaitMessage(ann, "hello; from a long way off;")
	b.Message(ann, "-and hello; to you;")
	a.AwaitMessage(bob, "-and hello; to you;")
	b.Quit()
	a.AwaitPresence(bob, "unavailable")
	a.RemoveContact(bob)

	direct := server.Login(bob, bobPassword)
	direct.Addr, direct.TLS = server.DirectTLS, clients.Direct
	clients.Profanity(t, direct).Quit()
}

func testComponent(t *testing.T, server *clients.Server) {
	login := clients.ComponentLogin{Addr: server.Component, Host: echo, Secret: "wrong"}
	if _, err := clients.TryComponent(t, login); err == nil || !strings.Contains(err.Error(), "not-authorized") {
		t.Errorf("with a wrong secret: %v", err)
	}
	login.Secret = echoSecret
	component := clients.Component(t, login)
	a := clients.Slixmpp(t, server.Login(ann, annPassword))
	a.Presence(clients.Presence{})
	a.AwaitPresence(ann, "")
	a.Message("bot@"+echo, "are you there?")
	component.AwaitMessage(a.JID, "are you there?")
	component.MessageFrom("bot@"+echo+"/x", ann, "I am")
	a.AwaitMessage("bot@"+echo, "I am")
	if a.Ping(echo) <= 0 || component.PingFrom(echo, "one.test") <= 0 {
		t.Error("a ping took no time")
	}
	if disco := component.DiscoFrom(echo, "one.test"); len(disco.Features) == 0 {
		t.Errorf("disco of the server: %+v", disco)
	}
	component.Drop()
	component.Reconnect()
	component.PingFrom(echo, "one.test")
}

func testGateway(t *testing.T, server *clients.Server) {
	irc := clients.IRC(t)
	gateway := clients.Biboumi(t, clients.ComponentLogin{Addr: server.Component, Host: "irc.one.test", Secret: "other"}, irc)
	a := clients.Slixmpp(t, server.Login(ann, annPassword))
	b := clients.Slixmpp(t, server.Login(bob, bobPassword))
	const room = "#lobby@irc.one.test"
	for nick, client := range map[string]*clients.Client{"ann": a, "bob": b} {
		client.Send(`<presence to='` + room + `/` + nick + `'><x xmlns='http://jabber.org/protocol/muc'/></presence>`)
		client.Await("its own presence in the room", func(e clients.Event) bool {
			return e.Event == "presence" && e.From == room+"/"+nick && strings.Contains(e.XML, `code="110"`)
		})
	}
	a.Send(`<message to='` + room + `' type='groupchat'><body>through IRC</body></message>`)
	b.AwaitMessage(room+"/ann", "through IRC")
	if !strings.Contains(gateway.Log(), "through IRC") {
		t.Error("the gateway's log does not have the message")
	}
	gateway.Stop()
}

func testRestart(t *testing.T, server *clients.Server) {
	a := clients.Slixmpp(t, server.Login(ann, annPassword))
	server.Kill()
	a.AwaitEvent("disconnected")
	server.Start()
	if a.Reconnect() {
		t.Error("resumed without stream management")
	}
	a.Ping("one.test")
	if server.Log() == "" {
		t.Error("the server logs nothing")
	}
}

// Where a client or its server refuse, the test fails and says why.
func TestRefusal(t *testing.T) {
	server := clients.Prosody(t, config)
	login := clients.ComponentLogin{Addr: server.Component, Host: echo, Secret: echoSecret}
	tests := []struct {
		name string
		act  func(testing.TB)
		want string
	}{
		{"no login", func(t testing.TB) { clients.Slixmpp(t, server.Login(ann, "wrong")) }, "not-authorized"},
		{"not connected", func(t testing.TB) {
			component := clients.Component(t, login)
			component.Drop()
			component.Message(ann, "hello")
		}, "not connected"},
		{"an error for an answer", func(t testing.TB) {
			clients.Slixmpp(t, server.Login(ann, annPassword)).Ping("nobody@two.test/x")
		}, "service-unavailable"},
		{"no XML", func(t testing.TB) {
			clients.Slixmpp(t, server.Login(ann, annPassword)).Send("<message>")
		}, "ParseError"},
		{"terminal", func(t testing.TB) { clients.Profanity(t, server.Login(ann, "wrong")) }, "Login failed"},
		{"no host", func(t testing.TB) { clients.Prosody(t, clients.ServerConfig{}) }, "needs a host"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if why := failure(t, test.act); !strings.Contains(why, test.want) {
				t.Errorf("the test failed with %q, want %q", why, test.want)
			}
		})
	}
}

// failure returns why a test fails, "" if it does not.
func failure(t *testing.T, act func(testing.TB)) string {
	f := &failing{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		act(f)
	}()
	<-done
	return f.why
}

// failing is a test whose failure is what is wanted.
type failing struct {
	testing.TB
	why string
}

func (f *failing) Fatal(args ...any) {
	f.why = fmt.Sprint(args...)
	runtime.Goexit()
}

func (f *failing) Fatalf(format string, args ...any) {
	f.why = fmt.Sprintf(format, args...)
	runtime.Goexit()
}
