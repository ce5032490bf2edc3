package e2e_test

import (
	"testing"

	"github.com/jabberii/server/jabberd/e2e/clients"
)

// overWeb is how a user logs in with a web page's library, to a path.
func (r *running) overWeb(user clients.Login, scheme, path string) clients.WebLogin {
	port := map[string]string{"ws": r.vars["http_port"], "http": r.vars["http_port"], "wss": r.vars["https_port"], "https": r.vars["https_port"]}[scheme]
	return clients.WebLogin{URL: scheme + "://localhost:" + port + path, JID: user.JID, Password: user.Password}
}

// TestWebClients has the libraries of web pages log in over each way that they
// know, and each chat with a client over TCP: roster, presence, messages, and
// one for whoever is away.
func TestWebClients(t *testing.T) {
	for _, file := range []string{"conf/jabberd.hcl", "conf/edge.hcl"} {
		t.Run(file, func(t *testing.T) {
			r := start(t, file, nil)
			ann, bob := r.user("ann@localhost"), r.user("bob@localhost")
			a := clients.Slixmpp(t, ann)
			a.Presence(clients.Presence{})
			for _, way := range []struct {
				name string
				open func(testing.TB, clients.WebLogin) *clients.Client
				to   clients.WebLogin
			}{
				{"xmpp.js, wss", clients.XMPPJS, r.overWeb(bob, "wss", "/ws")},
				{"xmpp.js, ws", clients.XMPPJS, r.overWeb(bob, "ws", "/ws")},
				{"strophe.js, wss", clients.Strophe, r.overWeb(bob, "wss", "/ws")},
				{"strophe.js, BOSH in TLS", clients.Strophe, r.overWeb(bob, "https", "/http-bind")},
				{"strophe.js, BOSH", clients.Strophe, r.overWeb(bob, "http", "/http-bind")},
			} {
				t.Run(way.name, func(t *testing.T) {
					b := way.open(t, way.to)
					b.Presence(clients.Presence{})
					if c, ok := a.Contact("bob@localhost"); !ok || c.Subscription != "both" {
						b.Subscribe("ann@localhost")
						a.AwaitPresence("bob@localhost", "subscribe")
						a.Approve("bob@localhost")
						a.Subscribe("bob@localhost")
						b.AwaitPresence("ann@localhost", "subscribe")
						b.Approve("ann@localhost")
					}
					a.AwaitPresence("bob@localhost", "")
					if c, ok := b.Contact("ann@localhost"); !ok || c.Subscription != "both" {
						t.Errorf("bob's contact is %+v", c)
					}
					text := "hello < over & " + way.name
					b.Message("ann@localhost", text)
					a.AwaitMessage("bob@localhost", text)
					a.Message("bob@localhost", "back to "+way.name)
					b.AwaitMessage("ann@localhost", "back to "+way.name)
					b.Ping("localhost")
					b.Disconnect()
					a.AwaitPresence("bob@localhost", "unavailable")
					a.Message("bob@localhost", "for later, "+way.name)
					b = way.open(t, way.to)
					b.Presence(clients.Presence{})
					if m := b.AwaitMessage("ann@localhost", "for later, "+way.name); !m.Delayed {
						t.Errorf("an offline message has no delay: %s", m.XML)
					}
					b.Disconnect()
				})
			}
		})
	}
}

// TestWebResumption cuts the WebSocket of a client, which comes back and has
// missed nothing.
func TestWebResumption(t *testing.T) {
	everyIsolation(t, func(t *testing.T, vars map[string]string) {
		r := start(t, "conf/jabberd.hcl", vars)
		ann, bob := r.user("ann@localhost"), r.user("bob@localhost")
		line := clients.NewLine(t, "127.0.0.1:"+r.vars["https_port"])
		way := r.overWeb(bob, "wss", "/ws")
		way.URL = "wss://" + line.Addr + "/ws"
		a, b := clients.Slixmpp(t, ann), clients.XMPPJS(t, way)
		b.Presence(clients.Presence{})
		a.Message("bob@localhost", "before")
		b.AwaitMessage("ann@localhost", "before")
		line.Cut()
		a.Message("bob@localhost", "meanwhile")
		b.AwaitEvent("resumed")
		b.AwaitMessage("ann@localhost", "meanwhile")
		a.Message("bob@localhost", "after")
		b.AwaitMessage("ann@localhost", "after")
	})
}
