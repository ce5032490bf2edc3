package e2e_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jabberii/server/jabberd/e2e/clients"
)

// TestEvents has events told to a file, a program and a person.
func TestEvents(t *testing.T) {
	everyIsolation(t, func(t *testing.T, vars map[string]string) {
		vars["admin"] = "admin@localhost"
		r := start(t, "conf/events.hcl", vars)
		admin := clients.Slixmpp(t, r.user("admin@localhost"))
		admin.Presence(clients.Presence{})
		ann := clients.Slixmpp(t, r.user("ann@localhost"))
		ann.Presence(clients.Presence{})
		admin.Await("the login of ann", func(e clients.Event) bool {
			return e.Event == "message" && strings.HasPrefix(e.Body, "session.authenticated ann@localhost: logged in")
		})
		ann.Message("admin@localhost", "hello")
		r.await("an entry for the message", func() bool {
			text, _ := os.ReadFile(filepath.Join(r.data, "log/messages.log"))
			for line := range strings.Lines(string(text)) {
				var e struct{ Event, Sender, Receiver, Host, Body string }
				if json.Unmarshal([]byte(line), &e) == nil && e.Event == "message" && strings.HasPrefix(e.Sender, "ann@localhost/") && e.Receiver == "admin@localhost" {
					return e.Host == "localhost" && e.Body == ""
				}
			}
			return false
		})
		r.must("session", "kick", "ann@localhost")
		r.await("entries for the session", func() bool {
			text, _ := os.ReadFile(filepath.Join(r.data, "sessions.xml"))
			return strings.Contains(string(text), "event='session.authenticated'") && strings.Contains(string(text), "session='ann@localhost/") &&
				strings.Contains(string(text), "event='session.created'") && strings.Contains(string(text), "event='session.closed'") &&
				!strings.Contains(string(text), "event='message'")
		})
	})
}
