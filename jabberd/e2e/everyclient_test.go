package e2e_test

import (
	"fmt"
	"testing"

	"github.com/jabberii/server/jabberd/e2e/clients"
)

// A way is a client and a transport that it logs in over.
type way struct {
	name string
	port string // the variable with the port that it connects to
	open func(t testing.TB, login clients.Login) clients.Chatter
	// back waits until the client is back in its session, after its connection
	// was cut; nil if it does not know how to.
	back func(t *testing.T, c clients.Chatter)
}

// ways are all clients. A further one is a row.
var ways = []way{
	{"slixmpp, STARTTLS", "c2s_port", slixmpp(clients.StartTLS), comesBack},
	{"slixmpp, direct TLS", "c2s_tls_port", slixmpp(clients.Direct), comesBack},
	{"aioxmpp, STARTTLS", "c2s_port", aioxmpp(clients.StartTLS), resumed},
	{"aioxmpp, direct TLS", "c2s_tls_port", aioxmpp(clients.Direct), resumed},
	{"xmpp.js, STARTTLS", "c2s_port", web(clients.XMPPJS, "xmpp", ""), resumed},
	{"xmpp.js, direct TLS", "c2s_tls_port", web(clients.XMPPJS, "xmpps", ""), resumed},
	{"xmpp.js, WebSocket", "http_port", web(clients.XMPPJS, "ws", "/ws"), resumed},
	{"xmpp.js, WebSocket in TLS", "https_port", web(clients.XMPPJS, "wss", "/ws"), resumed},
	{"strophe.js, WebSocket", "http_port", web(clients.Strophe, "ws", "/ws"), nil},
	{"strophe.js, WebSocket in TLS", "https_port", web(clients.Strophe, "wss", "/ws"), nil},
	{"strophe.js, BOSH", "http_port", web(clients.Strophe, "http", "/http-bind"), itself},
	{"strophe.js, BOSH in TLS", "https_port", web(clients.Strophe, "https", "/http-bind"), itself},
	{"profanity, STARTTLS", "c2s_port", profanity(clients.StartTLS), nil},
	{"profanity, direct TLS", "c2s_tls_port", profanity(clients.Direct), nil},
}

func slixmpp(tls clients.TLS) func(testing.TB, clients.Login) clients.Chatter {
	return func(t testing.TB, login clients.Login) clients.Chatter {
		login.TLS, login.Resume = tls, true
		return clients.Chat{Client: clients.Slixmpp(t, login)}
	}
}

func aioxmpp(tls clients.TLS) func(testing.TB, clients.Login) clients.Chatter {
	return func(t testing.TB, login clients.Login) clients.Chatter {
		login.TLS = tls
		return clients.Chat{Client: clients.Aioxmpp(t, login)}
	}
}

func profanity(tls clients.TLS) func(testing.TB, clients.Login) clients.Chatter {
	return func(t testing.TB, login clients.Login) clients.Chatter {
		login.TLS = tls
		return clients.Profanity(t, login)
	}
}

func web(open func(testing.TB, clients.WebLogin) *clients.Client, scheme, path string) func(testing.TB, clients.Login) clients.Chatter {
	return func(t testing.TB, login clients.Login) clients.Chatter {
		return clients.Chat{Client: open(t, clients.WebLogin{URL: scheme + "://" + login.Addr + path, JID: login.JID, Password: login.Password})}
	}
}

func comesBack(t *testing.T, c clients.Chatter) {
	client := c.(clients.Chat)
	client.AwaitEvent("disconnected")
	if !client.Reconnect() {
		t.Error("the session was not resumed")
	}
}

func resumed(_ *testing.T, c clients.Chatter) { c.(clients.Chat).AwaitEvent("resumed") }

// itself: a request of BOSH that was cut is made again.
func itself(*testing.T, clients.Chatter) {}

// TestEveryClient has each client log in over each transport that it knows: it
// makes somebody its contact, chats, is gone and comes back for what it has
// missed. Then its connection is cut, and its session goes on.
func TestEveryClient(t *testing.T) {
	for _, file := range []string{"conf/jabberd.hcl", "conf/edge.hcl"} {
		t.Run(file, func(t *testing.T) {
			r := start(t, file, nil)
			t.Run("all", func(t *testing.T) { // is over when all are
				for i, way := range ways {
					ann, bob := r.user(fmt.Sprintf("ann%d@localhost", i)), r.user(fmt.Sprintf("bob%d@localhost", i))
					t.Run(way.name, func(t *testing.T) {
						t.Parallel()
						way.chat(t, "127.0.0.1:"+r.vars[way.port], ann, bob)
					})
				}
			})
		})
	}
}

// chat plays bob, whose contact is ann.
func (w way) chat(t *testing.T, addr string, ann, bob clients.Login) {
	line := clients.NewLine(t, addr)
	bob.Addr = line.Addr
	a, b := clients.Chat{Client: clients.Slixmpp(t, ann)}, w.open(t, bob)
	a.Roster()
	a.GoOnline()
	b.GoOnline()

	b.Subscribe(ann.JID)
	a.Approve(bob.JID)
	a.Subscribe(bob.JID)
	b.Approve(ann.JID)
	a.AwaitPresence(bob.JID, "subscribed")
	a.AwaitPresence(bob.JID, "")
	b.AwaitContact(ann.JID)
	a.AwaitContact(bob.JID)

	b.Say(ann.JID, "hello from < & > "+w.name)
	a.Hear(bob.JID, "hello from < & > "+w.name)
	a.Say(bob.JID, "hello, it's \"slixmpp\" \u00e4\u4e2d")
	b.Hear(ann.JID, "hello, it's \"slixmpp\" \u00e4\u4e2d")

	b.Leave()
	a.AwaitPresence(bob.JID, "unavailable")
	a.Say(bob.JID, "for later")
	b = w.open(t, bob)
	b.GoOnline()
	b.Hear(ann.JID, "for later")
	a.AwaitPresence(bob.JID, "")
	b.AwaitContact(ann.JID)
	if w.back == nil {
		b.Leave()
		a.AwaitPresence(bob.JID, "unavailable")
		return
	}

	line.Cut()
	a.Say(bob.JID, "while you were out")
	w.back(t, b)
	b.Hear(ann.JID, "while you were out")
	b.Say(ann.JID, "was I out?")
	a.Hear(bob.JID, "was I out?")
	if a.Gone(bob.JID) != 1 {
		t.Errorf("%s was seen to leave, though its session went on", bob.JID)
	}
	b.Leave()
	a.AwaitPresence(bob.JID, "unavailable")
}

// TestOneMessageOfAScript has go-sendxmpp send a message, to who is there and to
// who is not.
func TestOneMessageOfAScript(t *testing.T) {
	for _, file := range []string{"conf/jabberd.hcl", "conf/edge.hcl"} {
		t.Run(file, func(t *testing.T) {
			r := start(t, file, nil)
			ann, cron := r.user("ann@localhost"), r.user("cron@localhost")
			direct := cron
			direct.Addr, direct.TLS = "127.0.0.1:"+r.vars["c2s_tls_port"], clients.Direct
			clients.SendXMPP(t, cron, ann.JID, "disk is full")
			a := clients.Slixmpp(t, ann)
			a.Presence(clients.Presence{})
			if m := a.AwaitMessage(cron.JID, "disk is full"); !m.Delayed {
				t.Errorf("a message of earlier has no delay: %s", m.XML)
			}
			clients.SendXMPP(t, direct, ann.JID, "disk is fuller")
			a.AwaitMessage(cron.JID, "disk is fuller")
		})
	}
}
