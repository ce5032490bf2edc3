package e2e_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/jabberii/server/jabberd/e2e/clients"
)

// A way is a client and a transport that it logs in over.
type way struct {
	client, transport string
	port              string // the variable with the port that it connects to
	open              func(t testing.TB, login clients.Login) clients.Chatter
	// back waits until the client is back in its session, after its connection
	// was cut; nil if it does not know how to.
	back func(t *testing.T, c clients.Chatter)
	cut  string // what it does about a connection that was cut, in words
}

func (w way) String() string { return w.client + ", " + w.transport }

const (
	byItself = "resumes by itself"
	onDemand = "resumes when it is told to connect again"
	repeats  = "goes on: BOSH makes a lost request again"
	noXEP    = "logs in again: the library has no XEP-0198"
)

// ways are all clients. A further one is a row.
var ways = []way{
	{"slixmpp", "STARTTLS", "c2s_port", slixmpp(clients.StartTLS), comesBack, onDemand},
	{"slixmpp", "direct TLS", "c2s_tls_port", slixmpp(clients.Direct), comesBack, onDemand},
	{"aioxmpp", "STARTTLS", "c2s_port", aioxmpp(clients.StartTLS), resumed, byItself},
	{"aioxmpp", "direct TLS", "c2s_tls_port", aioxmpp(clients.Direct), resumed, byItself},
	{"xmpp.js", "STARTTLS", "c2s_port", web(clients.XMPPJS, "xmpp", ""), resumed, byItself},
	{"xmpp.js", "direct TLS", "c2s_tls_port", web(clients.XMPPJS, "xmpps", ""), resumed, byItself},
	{"xmpp.js", "WebSocket", "http_port", web(clients.XMPPJS, "ws", "/ws"), resumed, byItself},
	{"xmpp.js", "WebSocket in TLS", "https_port", web(clients.XMPPJS, "wss", "/ws"), resumed, byItself},
	{"strophe.js", "WebSocket", "http_port", web(clients.Strophe, "ws", "/ws"), nil, noXEP},
	{"strophe.js", "WebSocket in TLS", "https_port", web(clients.Strophe, "wss", "/ws"), nil, noXEP},
	{"strophe.js", "BOSH", "http_port", web(clients.Strophe, "http", "/http-bind"), itself, repeats},
	{"strophe.js", "BOSH in TLS", "https_port", web(clients.Strophe, "https", "/http-bind"), itself, repeats},
	{"Converse.js", "WebSocket in TLS", "https_port", converse("wss", "/ws"), pageResumes, byItself},
	{"Converse.js", "BOSH in TLS", "https_port", converse("https", "/http-bind"), itself, repeats},
	{"profanity", "STARTTLS", "c2s_port", profanity(clients.StartTLS), terminalResumes, byItself},
	{"profanity", "direct TLS", "c2s_tls_port", profanity(clients.Direct), terminalResumes, byItself},
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

func converse(scheme, path string) func(testing.TB, clients.Login) clients.Chatter {
	return func(t testing.TB, login clients.Login) clients.Chatter {
		return clients.OpenConverse(t, clients.WebLogin{URL: scheme + "://" + login.Addr + path, JID: login.JID, Password: login.Password})
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

func pageResumes(_ *testing.T, c clients.Chatter) { c.(clients.Converse).AwaitResumed() }

func terminalResumes(_ *testing.T, c clients.Chatter) { c.(*clients.Terminal).AwaitResumed() }

// itself: a request of BOSH that was cut is made again.
func itself(*testing.T, clients.Chatter) {}

// TestEveryClient has each client log in over each transport that it knows: it
// makes somebody its contact, sees them go and come, chats, is gone and comes back
// for what it has missed. Then its connection is cut, and its session goes on. What
// Converse.js shows then stays in bin/screenshots.
func TestEveryClient(t *testing.T) {
	for _, file := range []string{"conf/jabberd.hcl", "conf/edge.hcl"} {
		t.Run(file, func(t *testing.T) {
			r := start(t, file, nil)
			t.Run("all", func(t *testing.T) { // is over when all are
				for i, way := range ways {
					ann, bob := r.user(fmt.Sprintf("ann%d@localhost", i)), r.user(fmt.Sprintf("bob%d@localhost", i))
					t.Run(way.String(), func(t *testing.T) {
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
	b.AwaitThere(ann.JID)
	a.Presence(clients.Presence{Type: "unavailable"})
	b.AwaitGone(ann.JID)
	a.GoOnline()
	b.AwaitThere(ann.JID)

	b.Say(ann.JID, "hello from < & > "+w.String())
	a.Hear(bob.JID, "hello from < & > "+w.String())
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
	line.Cut()
	if w.back == nil {
		a.AwaitPresence(bob.JID, "unavailable")
		a.Say(bob.JID, "while you were out")
		b = w.open(t, bob)
		b.GoOnline()
		b.Hear(ann.JID, "while you were out")
		return
	}
	a.Say(bob.JID, "while you were out")
	w.back(t, b)
	b.Hear(ann.JID, "while you were out")
	b.Say(ann.JID, "was I out?")
	a.Hear(bob.JID, "was I out?")
	if a.Gone(bob.JID) != 1 {
		t.Errorf("%s was seen to leave, though its session went on", bob.JID)
	}
	if page, ok := b.(clients.Converse); ok {
		page.Screenshot(filepath.Join(binaries(t), "screenshots", strings.NewReplacer(", ", "-", " ", "-").Replace(w.String())+".png"))
	}
	b.Leave()
	a.AwaitPresence(bob.JID, "unavailable")
}

// TestTableOfClients has docs/testing.md say what TestEveryClient shows; UPDATE=1
// writes it.
func TestTableOfClients(t *testing.T) {
	const file, begin, end = "../../docs/testing.md", "<!-- clients -->\n", "<!-- end -->\n"
	var table strings.Builder
	table.WriteString("\n| client | over | login | chat | roster | presence | offline messages | once its connection is cut |\n|---|---|---|---|---|---|---|---|\n")
	for _, w := range ways {
		fmt.Fprintf(&table, "| %s | %s | yes | yes | yes | yes | yes | %s |\n", w.client, w.transport, w.cut)
	}
	table.WriteString("\n")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := bytes.Cut(text, []byte(begin))
	has, after, ended := bytes.Cut(rest, []byte(end))
	switch {
	case !found || !ended:
		t.Fatalf("%s has no place for the table", file)
	case string(has) == table.String():
	case os.Getenv("UPDATE") == "":
		t.Errorf("the table in %s is stale, make docs writes it:\n%s", file, table.String())
	default:
		text = slices.Concat(before, []byte(begin), []byte(table.String()), []byte(end), after)
		if err := os.WriteFile(file, text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
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
