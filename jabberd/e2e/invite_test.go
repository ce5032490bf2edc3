package e2e_test

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/jabberii/server/jabberd/e2e/clients"
	"github.com/jabberii/server/plugins/xmpp/jid"
	"github.com/jabberii/server/plugins/xmpp/session"
)

// TestInvite has the admin invite somebody in the name of slixmpp's user: who comes is
// a contact.
func TestInvite(t *testing.T) {
	r := start(t, "jabberd/e2e/testdata/register.hcl", map[string]string{"isolation": "none"})
	ann := clients.Slixmpp(t, r.user("ann@localhost"))
	ann.Presence(clients.Presence{})
	ann.Roster()

	address := strings.TrimSpace(r.must("invite", "add", "Bob@localhost", "--by", "ann@localhost"))
	token, ok := strings.CutPrefix(address, "xmpp:bob@localhost?register;preauth=")
	if !ok {
		t.Fatalf("the address is %q", address)
	}
	if err := registerAt(t, r, "bob", ""); err == nil || !strings.Contains(err.Error(), "conflict") {
		t.Errorf("the name is kept for somebody else: %v", err)
	}
	if err := registerAt(t, r, "bob", token); err != nil {
		t.Fatal(err)
	}
	ann.Await("bob in the roster", func(e clients.Event) bool {
		return e.Event == "roster" && len(e.Items) > 0 && e.Items[0].JID == "bob@localhost" && e.Items[0].Subscription == "both"
	})
	if out := r.must("invite", "list", "localhost"); !strings.Contains(out, address) || !strings.Contains(out, "by ann@localhost") || !strings.Contains(out, "used 1 of 1 times (bob@localhost)") {
		t.Errorf("the list is %q", out)
	}

	many := strings.TrimSpace(r.must("invite", "add", "localhost", "--uses", "2", "--expires", "1h"))
	var list []struct{ Host, Token string }
	if err := json.Unmarshal([]byte(r.must("invite", "list", "localhost", "--json")), &list); err != nil || len(list) != 2 {
		t.Errorf("the list has %+v, %v", list, err)
	}
	r.must("invite", "remove", "localhost", many)
	if err := registerAt(t, r, "carl", strings.TrimPrefix(many, "xmpp:localhost?register;preauth=")); err == nil || !strings.Contains(err.Error(), "item-not-found") {
		t.Errorf("an invitation that was taken back: %v", err)
	}
	for line, want := range map[string]string{
		"add ann@localhost":                   "there is such an account already",
		"add localhots":                       "no section for sessions has host localhots",
		"add localhost --by nobody@localhost": "there is no such account",
		"add localhost --by ann@elsewhere":    "no account of localhost",
		"add localhost --expires soon":        "write it like 7d",
		"add localhost --uses 0":              "1 to 1000 uses",
		"add bob@localhost --uses 2":          "--uses is for invitations to a host",
		"add bob@localhost/x":                 "is a session",
		"remove localhost x":                  "there is no such invitation",
	} {
		if out, err := r.jabberd(append([]string{"invite"}, strings.Fields(line)...)...); err == nil || !strings.Contains(out, want) {
			t.Errorf("%s: %v, %q, want %s", line, err, out, want)
		}
	}
}

// registerAt registers and logs in, by an invitation unless that is "".
func registerAt(t *testing.T, r *running, name, invitation string) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	conn, err := net.Dial("tcp", "127.0.0.1:"+r.vars["c2s_port"])
	if err != nil {
		t.Fatal(err)
	}
	s, err := session.Client(ctx, conn, session.Account{
		Address: jid.MustParse(name + "@localhost"), Password: "one password", TLS: &tls.Config{InsecureSkipVerify: true},
		Register: true, Invitation: invitation,
	})
	if err == nil {
		s.Close()
	}
	return err
}

// TestInviteToNobody has the command say that nobody could use the invitation.
func TestInviteToNobody(t *testing.T) {
	r := start(t, "conf/jabberd.hcl", map[string]string{"isolation": "none"})
	if out, err := r.jabberd("invite", "add", "localhost"); err == nil || !strings.Contains(out, "does not load register") {
		t.Errorf("%v, %q", err, out)
	}
}

// TestInvitePage follows the link of an invitation, from the command to its page.
func TestInvitePage(t *testing.T) {
	r := start(t, "jabberd/e2e/testdata/landing.hcl", nil)
	address, link, ok := strings.Cut(strings.TrimSpace(r.must("invite", "add", "bob@localhost")), "\n")
	if !ok || !strings.HasPrefix(link, "https://localhost:"+r.vars["https_port"]+"/invite/") {
		t.Fatalf("the invitation is %q, its link %q", address, link)
	}
	browser := &http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true,
	}}
	look := func() (int, string) {
		t.Helper()
		answer, err := browser.Get(link)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		body, err := io.ReadAll(answer.Body)
		if err != nil {
			t.Fatal(err)
		}
		return answer.StatusCode, string(body)
	}
	if status, body := look(); status != http.StatusOK || !strings.Contains(body, `href="`+address+`"`) {
		t.Errorf("the page is %d %s, without %s", status, body, address)
	}
	r.must("invite", "remove", "localhost", link)
	if status, body := look(); status != http.StatusGone || strings.Contains(body, "xmpp:") {
		t.Errorf("after it was taken back the page is %d %s", status, body)
	}
}
