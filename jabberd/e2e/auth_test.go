package e2e_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jabberii/server/jabberd/e2e/clients"
)

// TestAccountsOfAProgram has a program decide who may log in.
func TestAccountsOfAProgram(t *testing.T) {
	everyIsolation(t, func(t *testing.T, vars map[string]string) {
		file := filepath.Join(t.TempDir(), "accounts")
		if err := os.WriteFile(file, []byte("ann:one two\nbob:three\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		vars["accounts"] = file
		r := start(t, "conf/auth.hcl", vars)
		login := func(name, password string) clients.Login {
			return clients.Login{Addr: "127.0.0.1:" + r.vars["c2s_port"], JID: name + "@localhost", Password: password}
		}
		ann, bob := clients.Slixmpp(t, login("ann", "one two")), clients.Slixmpp(t, login("bob", "three"))
		ann.Presence(clients.Presence{})
		bob.Presence(clients.Presence{})
		bob.Message("ann@localhost", "hello")
		ann.Await("the message", func(e clients.Event) bool { return e.Event == "message" && e.Body == "hello" })
		for name, password := range map[string]string{"ann": "three", "carl": "three"} {
			if _, err := clients.TrySlixmpp(t, login(name, password)); err == nil {
				t.Errorf("%s logs in with a wrong password", name)
			}
		}
		r.must("user", "disable", "bob@localhost")
		bob.AwaitEvent("disconnected")
		if _, err := clients.TrySlixmpp(t, login("bob", "three")); err == nil || !strings.Contains(err.Error(), "account-disabled") {
			t.Errorf("bob, who is disabled: %v", err)
		}
		if out := r.must("user", "show", "bob@localhost"); !strings.Contains(out, "disabled") {
			t.Errorf("shown is %s", out)
		}
		r.must("user", "enable", "bob@localhost")
		if _, err := clients.TrySlixmpp(t, login("bob", "three")); err != nil {
			t.Errorf("bob, who is enabled again: %v", err)
		}
		if out, err := r.jabberd("user", "disable", "carl@localhost"); err == nil || !strings.Contains(out, "there is no such account") {
			t.Errorf("nobody is disabled: %v, %s", err, out)
		}
		if out, err := r.jabberd("user", "add", "dora@localhost", "--password", "x"); err == nil || !strings.Contains(out, "accounts are kept elsewhere") {
			t.Errorf("an account is added: %v, %s", err, out)
		}
	})
}
