package e2e_test

import (
	"strings"
	"testing"

	"github.com/jabberii/server/jabberd/e2e/clients"
)

// TestRegistration has slixmpp make an account, use it, change its password and remove
// it, of which nothing is left in either store, and of which its contact hears.
func TestRegistration(t *testing.T) {
	everyIsolation(t, func(t *testing.T, vars map[string]string) {
		r := start(t, "jabberd/e2e/testdata/register.hcl", vars)
		login := clients.Login{Addr: "127.0.0.1:" + r.vars["c2s_port"], JID: "carl@localhost", Password: "one password", Register: true}
		carl, bob := clients.Slixmpp(t, login), clients.Slixmpp(t, r.user("bob@localhost"))
		if _, err := clients.TrySlixmpp(t, login); err == nil || !strings.Contains(err.Error(), "conflict") {
			t.Errorf("the name is taken: %v", err)
		}
		for _, c := range []*clients.Client{carl, bob} {
			c.Presence(clients.Presence{})
		}
		carl.SetCard(clients.Card{Name: "Carl"})
		carl.Bookmark("room@rooms.localhost", "The room")
		carl.Presence(clients.Presence{To: "bob@localhost", Type: "subscribe"})
		bob.AwaitPresence("carl@localhost", "subscribe")
		bob.Presence(clients.Presence{To: "carl@localhost", Type: "subscribed"})
		carl.AwaitPresence("bob@localhost", "subscribed")

		carl.SetPassword("another one")
		login.Register = false
		if _, err := clients.TrySlixmpp(t, login); err == nil || !strings.Contains(err.Error(), "not-authorized") {
			t.Errorf("the password of before: %v", err)
		}
		login.Password = "another one"
		other := clients.Slixmpp(t, login)
		if out := r.must("user", "list", "localhost"); out != "bob@localhost\ncarl@localhost\n" {
			t.Errorf("accounts %q", out)
		}

		carl.Unregister()
		for _, c := range []*clients.Client{carl, other} {
			if e := c.AwaitEvent("stream_error"); e.Condition != "not-authorized" {
				t.Errorf("a session ends with %+v", e)
			}
		}
		bob.AwaitPresence("carl@localhost", "unsubscribe")
		if _, err := clients.TrySlixmpp(t, login); err == nil || !strings.Contains(err.Error(), "not-authorized") {
			t.Errorf("who was removed logs in: %v", err)
		}
		if out := r.must("user", "list", "localhost"); out != "bob@localhost\n" {
			t.Errorf("accounts %q", out)
		}
		if out, err := r.jabberd("user", "remove", "carl@localhost"); err == nil || !strings.Contains(out, "there is no such account") {
			t.Errorf("something is left: %v, %q", err, out)
		}
	})
}
