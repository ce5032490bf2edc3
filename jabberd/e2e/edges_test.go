package e2e_test

import (
	"crypto/tls"
	"slices"
	"strings"
	"testing"

	"github.com/jabberii/server/jabberd/e2e/clients"
	"github.com/jabberii/server/plugins/xmpp/jid"
	"github.com/jabberii/server/plugins/xmpp/session"
	"github.com/jabberii/server/plugins/xmpp/stanza"
)

// by logs in an account, and makes it available, by one of the listeners.
func (r *running) by(t *testing.T, port, account, password string) *session.Session {
	t.Helper()
	address := jid.MustParse(account)
	tc, err := tls.Dial("tcp", "127.0.0.1:"+r.vars[port], &tls.Config{InsecureSkipVerify: true, ServerName: address.Domain(), NextProtos: []string{"xmpp-client"}})
	if err != nil {
		t.Fatal(err)
	}
	s, err := session.Client(soon(t), tc, session.Account{Address: address, Password: password})
	if err == nil {
		err = s.Send(soon(t), stanza.Stanza{Name: stanza.Presence})
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Drop)
	return s
}

// told returns the texts of the messages that a session gets, up to one that it sends itself.
func told(t *testing.T, s *session.Session) (texts []string) {
	t.Helper()
	ctx := soon(t)
	if err := s.Message(ctx, s.Local(), "the last"); err != nil {
		t.Fatal(err)
	}
	for {
		st, err := s.Receive(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if st.Name != stanza.Message {
			continue
		}
		text := string(st.Body)
		if strings.Contains(text, "the last") {
			return texts
		}
		texts = append(texts, text)
	}
}

// TestAdminOfSeveralEdges runs two hosts, whose clients come by two processes: commands
// reach the sessions of their host by whichever way they have come, and no others.
func TestAdminOfSeveralEdges(t *testing.T) {
	r := start(t, "jabberd/e2e/testdata/edges.hcl", nil)
	ports := []string{"c2s_tls_port", "other_tls_port"}
	admins := map[string]*clients.Client{}
	users := map[string][]*session.Session{}
	for _, host := range []string{"localhost", "company.localhost"} {
		admins[host] = clients.Slixmpp(t, r.user("ann@"+host))
		r.user("bob@" + host)
		for _, port := range ports {
			users[host] = append(users[host], r.by(t, port, "bob@"+host, "pw-bob@"+host))
		}
	}
	for host, admin := range admins {
		if done := admin.Command(host, adminNode+"announce", map[string]any{"announcement": []string{"to " + host}}); done.Status != "completed" {
			t.Fatalf("%+v", done)
		}
		for _, s := range users[host] {
			var seen []string
			r.await("the announcement for "+s.Local().String(), func() bool {
				seen = append(seen, told(t, s)...)
				return len(seen) > 0
			})
			if len(seen) != 1 || !strings.Contains(seen[0], "<body>to "+host+"</body>") {
				t.Errorf("%s is told %v", s.Local(), seen)
			}
		}
	}
	for host, list := range users { // nothing comes twice, nor from the other host's
		for _, s := range list {
			if more := told(t, s); len(more) != 0 {
				t.Errorf("%s is told %v too", s.Local(), more)
			}
		}
		var by []string
		for _, x := range r.sessions("bob@" + host) {
			by = append(by, x.Listener)
		}
		if slices.Sort(by); !slices.Equal(by, []string{"c2s", "other-c2s"}) {
			t.Errorf("the sessions of bob@%s are by %v", host, by)
		}
	}
	const at, other = "localhost", "company.localhost"
	change := func(command string, fields map[string]any) {
		t.Helper()
		if done := admins[at].Command(at, adminNode+command, fields); done.Status != "completed" || len(done.Notes) != 1 || done.Notes[0].Type != "info" {
			t.Errorf("%s: %+v", command, done)
		}
	}
	for _, c := range []struct {
		command string
		fields  map[string]any
		why     string
	}{
		{"end-user-session", map[string]any{"accountjids": []string{"bob@" + at}}, "policy-violation"},
		{"change-user-password", map[string]any{"accountjid": "bob@" + at, "password": "other"}, "reset: Password changed"},
		{"disable-user", map[string]any{"accountjids": []string{"bob@" + at}}, "not-authorized: Account disabled"},
	} {
		change(c.command, c.fields)
		for _, s := range users[at] {
			if why := ended(t, s); !strings.Contains(why, c.why) {
				t.Errorf("%s: %s ends with %s", c.command, s.Local(), why)
			}
		}
		password := "pw-bob@" + at
		if c.command == "change-user-password" {
			password = "other"
		}
		if users[at] = nil; c.command != "disable-user" {
			for _, port := range ports {
				users[at] = append(users[at], r.by(t, port, "bob@"+at, password))
			}
		}
	}
	if done := admins[at].Command(at, adminNode+"disable-user", map[string]any{"accountjids": []string{"bob@" + other}}); len(done.Notes) != 1 || done.Notes[0].Type == "info" {
		t.Errorf("an account of the other host is disabled: %+v", done)
	}
	for _, s := range users[other] {
		if more := told(t, s); len(more) != 0 {
			t.Errorf("%s of the other host is told %v", s.Local(), more)
		}
	}
}
