package e2e_test

import (
	"path/filepath"
	"testing"

	"github.com/jabberii/server/jabberd/e2e/clients"
)

// overWeb is how a user logs in with a page, to a path.
func (r *running) overWeb(user clients.Login, scheme, path string) clients.WebLogin {
	return clients.WebLogin{URL: scheme + "://localhost:" + r.vars["https_port"] + path, JID: user.JID, Password: user.Password}
}

// TestConverse has a person at a browser log in with Converse.js and chat with
// somebody at slixmpp. What the page shows then stays in bin/screenshots.
func TestConverse(t *testing.T) {
	r := start(t, "conf/jabberd.hcl", nil)
	ann, bob := r.user("ann@localhost"), r.user("bob@localhost")
	a := clients.Slixmpp(t, ann)
	a.Presence(clients.Presence{})
	for _, way := range []struct{ name, scheme, path string }{{"websocket", "wss", "/ws"}, {"bosh", "https", "/http-bind"}} {
		t.Run(way.name, func(t *testing.T) {
			b := clients.OpenConverse(t, r.overWeb(bob, way.scheme, way.path))
			b.Message("ann@localhost", "hello from the browser, over "+way.name)
			from := a.AwaitMessage("bob@localhost", "hello from the browser, over "+way.name).From
			a.Message(from, "hello from slixmpp, to "+way.name)
			b.AwaitMessage("ann@localhost", "hello from slixmpp, to "+way.name)
			b.Screenshot(filepath.Join(r.bin, "screenshots", "converse-"+way.name+".png"))
		})
	}
}
