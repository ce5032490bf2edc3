package e2e_test

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jabberii/server/jabberd/e2e/clients"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/jabberd/server"
	"github.com/jabberii/server/plugins/xmpp/jid"
	"github.com/jabberii/server/plugins/xmpp/sasl"
	"github.com/jabberii/server/plugins/xmpp/session"
	"github.com/jabberii/server/plugins/xmpp/stanza"
	"github.com/jabberii/server/plugins/xmpp/stream"
)

// everyAdmin runs a test with an admin in each layout of processes.
func everyAdmin(t *testing.T, f func(t *testing.T, file string, vars map[string]string)) {
	t.Run("edge", func(t *testing.T) { f(t, "jabberd/e2e/testdata/admin-edge.hcl", nil) })
	everyIsolation(t, func(t *testing.T, vars map[string]string) { f(t, "jabberd/e2e/testdata/admin.hcl", vars) })
}

const adminNode = "http://jabber.org/protocol/admin#"

// TestNewPassword has the password of an account changed in each of three ways: its other
// sessions end, those that wait to be resumed and the tokens of its clients too, and the
// one that has changed it goes on.
func TestNewPassword(t *testing.T) {
	everyAdmin(t, func(t *testing.T, file string, vars map[string]string) {
		r := start(t, file, vars)
		boss := clients.Slixmpp(t, r.user("ann@localhost"))
		r.user("bob@localhost")
		password := "pw-bob@localhost"
		for _, way := range []struct {
			name, password string
			stays          bool
			change         func(s *session.Session, password string)
		}{
			{"in band", "from my client", true, func(s *session.Session, password string) {
				body := "<query xmlns='jabber:iq:register'><username>bob</username><password>" + password + "</password></query>"
				if _, err := s.Request(soon(t), stanza.Stanza{Name: "iq", Type: "set", To: jid.MustParse("localhost"), Body: []byte(body)}); err != nil {
					t.Fatal(err)
				}
			}},
			{"by an admin", "from the admin", false, func(_ *session.Session, password string) {
				done := boss.Command("localhost", adminNode+"change-user-password", map[string]any{"accountjid": "bob@localhost", "password": password})
				if done.Status != "completed" || len(done.Notes) != 1 || done.Notes[0].Type != "info" {
					t.Fatalf("%+v", done)
				}
			}},
			{"on the machine", "from the machine", false, func(_ *session.Session, password string) {
				r.must("user", "passwd", "bob@localhost", "--password", password)
			}},
		} {
			own, _ := quick(t, r, bobs("own", password))
			other, _ := quick(t, r, bobs("other", password))
			lost, _ := quick(t, r, bobs("lost", password))
			if !lost.Resumable() || lost.Token().Secret == "" {
				t.Fatalf("%s: resumable %v, token %+v", way.name, lost.Resumable(), lost.Token())
			}
			lost.Drop()
			way.change(own, way.password)
			if err := ended(t, other); !strings.Contains(err, "reset: Password changed") {
				t.Errorf("%s: another session ends with %s", way.name, err)
			}
			if way.stays {
				if _, err := own.Request(soon(t), stanza.Stanza{Name: "iq", Type: "get", To: jid.MustParse("localhost"), Body: []byte("<ping xmlns='urn:xmpp:ping'/>")}); err != nil {
					t.Errorf("%s: who has changed it: %v", way.name, err)
				}
			} else if err := ended(t, own); !strings.Contains(err, "reset: Password changed") {
				t.Errorf("%s: a session ends with %s", way.name, err)
			}
			if list := r.sessions("bob@localhost"); len(list) != btoi(way.stays) {
				t.Errorf("%s: left are %+v", way.name, list)
			}
			for _, s := range []*session.Session{own, other, lost} {
				a := bobs("again", "")
				a.Token = s.Token()
				a.Agent.ID = s.Local().Resource()[:3]
				if err := tryQuick(t, r, a); err == nil {
					t.Errorf("%s: the token of %s is still good", way.name, s.Local())
				}
			}
			if err := tryQuick(t, r, bobs("again", password)); !errors.Is(err, sasl.NotAuthorized) {
				t.Errorf("%s: the password of before: %v", way.name, err)
			}
			if err := tryQuick(t, r, bobs("again", way.password)); err != nil {
				t.Errorf("%s: the new password: %v", way.name, err)
			}
			password = way.password
			own.Close()
		}
	})
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// bobs is one of bob's clients, which are known by different ids.
func bobs(client, password string) session.Account {
	return session.Account{Address: jid.MustParse("bob@localhost"), Password: password, Agent: session.Agent{ID: client, Software: client}}
}

func soon(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// ended waits for the end of a session and returns why.
func ended(t *testing.T, s *session.Session) string {
	t.Helper()
	ctx := soon(t)
	for {
		if _, err := s.Receive(ctx); err != nil {
			var e *stream.Error
			if !errors.As(err, &e) {
				t.Errorf("%s ends with %v", s.Local(), err)
			}
			return err.Error()
		}
	}
}

// tryQuick logs in like quick, and out again.
func tryQuick(t *testing.T, r *running, a session.Account) error {
	t.Helper()
	tc, err := tls.Dial("tcp", "127.0.0.1:"+r.vars["c2s_tls_port"], &tls.Config{
		InsecureSkipVerify: true, ServerName: "localhost", NextProtos: []string{"xmpp-client"}, MinVersion: tls.VersionTLS13,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer tc.Close()
	s, err := session.Client(soon(t), tc, a)
	if err == nil {
		s.Close()
	}
	return err
}

// TestDisabled keeps an account from logging in with what the command line has for it.
func TestDisabled(t *testing.T) {
	r := start(t, "jabberd/e2e/testdata/admin-edge.hcl", nil)
	r.user("ann@localhost")
	r.user("bob@localhost")
	s, _ := quick(t, r, bobs("one", "pw-bob@localhost"))
	withToken := bobs("one", "")
	withToken.Token = s.Token()
	if out := r.must("user", "disable", "bob@localhost"); out != "bob@localhost is disabled\n" {
		t.Errorf("%q", out)
	}
	if why := ended(t, s); !strings.Contains(why, "not-authorized: Account disabled") {
		t.Errorf("its session ends with %s", why)
	}
	for name, a := range map[string]session.Account{"password": bobs("one", "pw-bob@localhost"), "token": withToken} {
		if err := tryQuick(t, r, a); !errors.Is(err, sasl.AccountDisabled) {
			t.Errorf("with the %s: %v", name, err)
		}
	}
	if err := tryQuick(t, r, bobs("one", "a guess")); !errors.Is(err, sasl.NotAuthorized) {
		t.Errorf("who does not know the password is told %v", err)
	}
	if out := r.must("user", "list", "localhost"); out != "ann@localhost\nbob@localhost  disabled\n" {
		t.Errorf("list: %q", out)
	}
	if out := r.must("user", "list", "localhost", "--json"); out != "{\"jid\":\"ann@localhost\",\"disabled\":false}\n{\"jid\":\"bob@localhost\",\"disabled\":true}\n" {
		t.Errorf("list: %q", out)
	}
	var shown struct {
		Disabled           bool
		Created, LastLogin time.Time
		Tokens             int
		Sessions           []struct{}
	}
	if err := json.Unmarshal([]byte(strings.ReplaceAll(r.must("user", "show", "bob@localhost", "--json"), "last_login", "lastlogin")), &shown); err != nil {
		t.Fatal(err)
	}
	if now := time.Now(); !shown.Disabled || shown.Tokens != 1 || len(shown.Sessions) != 0 || now.Sub(shown.Created) > time.Hour || now.Sub(shown.LastLogin) > time.Hour {
		t.Errorf("shown is %+v", shown)
	}
	if out := r.must("user", "show", "bob@localhost"); !strings.Contains(out, "disabled: nobody can log in") || !strings.Contains(out, "last login") {
		t.Errorf("shown is %s", out)
	}
	r.must("user", "enable", "bob@localhost")
	if err := tryQuick(t, r, withToken); err != nil {
		t.Errorf("enabled again: %v", err)
	}
	for _, command := range []string{"disable", "enable", "show"} {
		if out, err := r.jabberd("user", command, "carl@localhost"); err == nil || !strings.Contains(out, "there is no such account") {
			t.Errorf("%s of nobody: %v, %s", command, err, out)
		}
	}
}

// TestHalt has an admin restart the server and shut it down, of which users are told, and
// the machine's own commands do so too.
func TestHalt(t *testing.T) {
	everyAdmin(t, func(t *testing.T, file string, vars map[string]string) {
		r := start(t, file, vars)
		ann := clients.Slixmpp(t, r.user("ann@localhost"))
		bob := clients.Slixmpp(t, r.user("bob@localhost"))
		bob.Presence(clients.Presence{})
		bob.AwaitPresence("bob@localhost", "")
		before := r.status()
		done := ann.Command("localhost", adminNode+"restart", map[string]any{"delay": "0", "announcement": []string{"back", "soon"}})
		if done.Status != "completed" || len(done.Notes) != 1 || done.Notes[0].Type != "info" {
			t.Fatalf("restart: %+v", done)
		}
		bob.AwaitMessage("localhost", "back\nsoon")
		if e := bob.AwaitEvent("stream_error"); e.Condition != "system-shutdown" {
			t.Errorf("the session ends with %+v", e)
		}
		after := r.anew(before.Started)
		if after.PID != before.PID {
			t.Errorf("the server is process %d, and was %d", after.PID, before.PID)
		}
		for _, p := range before.Processes {
			if slices.ContainsFunc(after.Processes, func(q server.ProcessStatus) bool { return q.PID == p.PID }) {
				t.Errorf("process %s goes on", p.Name)
			}
		}
		r.must("restart")
		r.anew(after.Started)
		ann = clients.Slixmpp(t, clients.Login{Addr: "127.0.0.1:" + r.vars["c2s_port"], JID: "ann@localhost", Password: "pw-ann@localhost"})
		done = ann.Command("localhost", adminNode+"shutdown", map[string]any{"delay": "300"})
		if done.Status != "completed" || len(done.Notes) != 1 || !strings.Contains(done.Notes[0].Text, "ends in 5m0s") {
			t.Fatalf("shutdown: %+v", done)
		}
		if out, err := r.jabberd("stop"); err == nil || !strings.Contains(out, "about to end already") {
			t.Errorf("a second order: %v, %s", err, out)
		}
		r.stop()
		r.launch()
		r.must("stop", "--after", "1s")
		select {
		case <-r.ended:
		case <-time.After(60 * time.Second):
			t.Fatal("the server does not end")
		}
		if !r.cmd.ProcessState.Success() {
			t.Errorf("it ends with %v", r.cmd.ProcessState)
		}
	})
}

// anew waits until a server that was started before has been again.
func (r *running) anew(before time.Time) (s server.Status) {
	r.t.Helper()
	r.await("a server that has begun anew", func() bool {
		out, err := r.jabberd("status", "--json")
		return err == nil && json.Unmarshal([]byte(out), &s) == nil && s.Started.After(before)
	})
	return s
}

// TestNobodyElseHalts has a client give an order that only the server itself may.
func TestNobodyElseHalts(t *testing.T) {
	r := start(t, "jabberd/e2e/testdata/admin.hcl", map[string]string{"isolation": "none"})
	r.user("bob@localhost")
	s, _ := quick(t, r, bobs("one", "pw-bob@localhost"))
	for _, to := range []string{packet.ServerHost, "localhost"} {
		_, err := s.Request(soon(t), stanza.Stanza{Name: "iq", Type: "set", To: jid.MustParse(to), Body: []byte("<stop xmlns='urn:jabberd:halt' after='0'/>")})
		var e *stanza.Error
		if !errors.As(err, &e) || e.Condition != stanza.Forbidden && e.Condition != stanza.ServiceUnavailable {
			t.Errorf("an order to %s: %v", to, err)
		}
	}
}

// TestNoRestartWithMistakes has a server go on whose file is wrong, until it is right.
func TestNoRestartWithMistakes(t *testing.T) {
	everyIsolation(t, func(t *testing.T, vars map[string]string) {
		text, err := os.ReadFile("testdata/admin.hcl")
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), "admin.hcl")
		write := func(more string) {
			t.Helper()
			if err := os.WriteFile(path, append(slices.Clone(text), more...), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		write("")
		root, err := filepath.Abs("../..")
		if err != nil {
			t.Fatal(err)
		}
		file, err := filepath.Rel(root, path)
		if err != nil {
			t.Fatal(err)
		}
		r := start(t, file, vars)
		ann := clients.Slixmpp(t, r.user("ann@localhost"))
		before := r.status()
		write("service \"more\" {\n  load \"nothing\" {}\n}\n")
		if out, err := r.jabberd("restart"); err == nil || !strings.Contains(out, "would not begin anew") || !strings.Contains(out, "admin.hcl:") {
			t.Errorf("%v, %s", err, out)
		}
		done := ann.Command("localhost", adminNode+"restart", map[string]any{"delay": "0"})
		if len(done.Notes) != 1 || done.Notes[0].Type != "error" || !strings.Contains(done.Notes[0].Text, "would not begin anew") {
			t.Errorf("%+v", done)
		}
		write("")
		r.must("restart")
		r.anew(before.Started)
	})
}
