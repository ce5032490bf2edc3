package e2e_test

import (
	"strings"
	"testing"

	"github.com/jabberii/server/jabberd/e2e/clients"
)

// TestFirstChat is what a person does first: two users log in with slixmpp and
// profanity, add each other, see presence and chat; a message to one who is
// away arrives at login.
func TestFirstChat(t *testing.T) {
	everyIsolation(t, func(t *testing.T, vars map[string]string) {
		r := start(t, "conf/jabberd.hcl", vars)
		ann, bob := r.user("ann@localhost"), r.user("bob@localhost")

		a := clients.Slixmpp(t, ann)
		a.Presence(clients.Presence{})
		b := clients.Profanity(t, bob)
		b.Message("ann@localhost", "hello from the terminal")
		a.AwaitMessage("bob@localhost", "hello from the terminal")
		a.Message("bob@localhost", "hello from slixmpp")
		b.AwaitMessage("ann@localhost", "hello from slixmpp")

		b.Type("/sub request ann@localhost")
		a.AwaitPresence("bob@localhost", "subscribe")
		a.Approve("bob@localhost")
		a.Subscribe("bob@localhost")
		b.Type("/sub allow ann@localhost")
		a.AwaitPresence("bob@localhost", "")
		if c, ok := a.Contact("bob@localhost"); !ok || c.Subscription != "both" {
			t.Errorf("ann's contact is %+v", c)
		}
		b.Quit()
		a.AwaitPresence("bob@localhost", "unavailable")

		a.Message("bob@localhost", "for later")
		c := clients.Slixmpp(t, bob)
		c.Presence(clients.Presence{})
		if m := c.AwaitMessage("ann@localhost", "for later"); !m.Delayed {
			t.Errorf("an offline message has no delay: %s", m.XML)
		}
		a.Ping("localhost")
		if d := a.Disco("localhost"); len(d.Features) == 0 {
			t.Error("the server has no features")
		}
	})
}

// TestExplainShowsTheWay asks a running server where packets would go.
func TestExplainShowsTheWay(t *testing.T) {
	everyIsolation(t, func(t *testing.T, vars map[string]string) {
		r := start(t, "conf/jabberd.hcl", vars)
		ann := r.user("ann@localhost")
		a := clients.Slixmpp(t, ann)
		a.Presence(clients.Presence{})
		for _, c := range []struct {
			args []string
			want []string
		}{
			{[]string{"--to", "ann@localhost", "--from", "bob@localhost", "--type", "chat"}, []string{`section "users"`, "conf/jabberd.hcl:", "load", "claim", a.JID}},
			{[]string{"--to", "bob@nowhere.example", "--from", "ann@localhost"}, []string{"no section has host nowhere.example", "the sender gets an error"}},
			{[]string{"--kind", "xdb", "--name", "get", "--ns", "roster", "--to", "ann@localhost"}, []string{`section "store"`, "cache", "badger"}},
			{[]string{"--kind", "log", "--type", "error", "--host", "localhost", "--from", "c2s"}, []string{`section "everything"`, `section "warnings"`, "filter", "stderr"}},
		} {
			out := r.must(append([]string{"explain"}, c.args...)...)
			for _, want := range c.want {
				if !strings.Contains(out, want) {
					t.Errorf("explain %s does not say %q:\n%s", strings.Join(c.args, " "), want, out)
				}
			}
		}
	})
}
