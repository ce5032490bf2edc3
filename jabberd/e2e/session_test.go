package e2e_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jabberii/server/plugins/sdk/sessions"
	"github.com/jabberii/server/plugins/xmpp/jid"
	"github.com/jabberii/server/plugins/xmpp/session"
	"github.com/jabberii/server/plugins/xmpp/stanza"
	"github.com/jabberii/server/plugins/xmpp/stream"
)

// TestSessionsAndRemoval lists sessions, ends one, and removes an account whose
// contact has to hear of it.
func TestSessionsAndRemoval(t *testing.T) {
	everyIsolation(t, func(t *testing.T, vars map[string]string) {
		r := start(t, "conf/jabberd.hcl", vars)
		ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
		defer cancel()
		x := r.pairs(1)
		s, other := x.links[0].from, x.links[0].to
		subscribe(t, ctx, s, other)
		subscribe(t, ctx, other, s)

		list := r.sessions("localhost")
		if len(list) != 2 || list[1].JID != s.Local().String() || !list[1].Available || !list[1].Connected || !list[1].Managed || list[1].Listener != "c2s" {
			t.Errorf("sessions %+v", list)
		}
		if list := r.sessions("r0@localhost"); len(list) != 1 || list[0].JID != other.Local().String() {
			t.Errorf("sessions of one account %+v", list)
		}
		if out := r.must("session", "list"); !strings.Contains(out, s.Local().String()+"  priority 0  connected through c2s") {
			t.Errorf("sessions %s", out)
		}
		if out := r.must("host", "list"); !strings.Contains(out, "localhost") || !strings.Contains(out, "users") || strings.Contains(out, "jabberd.alt") {
			t.Errorf("hosts %s", out)
		}

		third := x.login("s0@localhost")
		if out := r.must("session", "kick", third.Local().String(), "--condition", "reset", "--json"); !strings.Contains(out, `"ended": 1`) {
			t.Errorf("kick: %s", out)
		}
		if err := ends(ctx, third); err.Condition != stream.Reset {
			t.Errorf("who is kicked hears %v", err)
		}
		r.await("a line about the kick", func() bool {
			log, err := os.ReadFile(filepath.Join(r.data, "log", "jabberd.log"))
			return err == nil && strings.Contains(string(log), "ended sessions of "+third.Local().String()) && strings.Contains(string(log), `by="command line" condition=reset`)
		})
		if out, err := r.jabberd("session", "kick", third.Local().String()); err == nil || !strings.Contains(out, "has no session") {
			t.Errorf("kicked again: %v, %s", err, out)
		}
		for _, args := range [][]string{{"session", "kick", "ann@nowhere.test"}, {"session", "list", "nowhere.test"}} {
			if out, err := r.jabberd(args...); err == nil || !strings.Contains(out, "no section for sessions has host nowhere.test") {
				t.Errorf("%q: %v, %s", args, err, out)
			}
		}

		r.must("user", "remove", "s0@localhost")
		if err := ends(ctx, s); err.Condition != stream.NotAuthorized {
			t.Errorf("whose account is removed hears %v", err)
		}
		for _, kind := range []string{"unsubscribe", "unsubscribed"} {
			hears(t, ctx, other, kind, "s0@localhost")
		}
		contacts, err := other.Roster(ctx)
		if err != nil || len(contacts) != 1 || contacts[0].Subscription != "none" {
			t.Errorf("the contact's roster is %+v, %v", contacts, err)
		}
		r.must("user", "add", "s0@localhost", "--password", "pw-s0@localhost")
		if contacts, err := x.login("s0@localhost").Roster(ctx); err != nil || len(contacts) != 0 {
			t.Errorf("the account of the same name has the roster %+v, %v", contacts, err)
		}
	})
}

// TestNobodyElseAsksForSessions has a client ask what only the server itself may.
func TestNobodyElseAsksForSessions(t *testing.T) {
	r := start(t, "conf/jabberd.hcl", map[string]string{"isolation": "none"})
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	s := r.pairs(1).links[0].from
	for _, body := range []string{
		"<list xmlns='urn:jabberd:sessions' of='localhost'/>",
		"<end xmlns='urn:jabberd:sessions' of='r0@localhost' condition='reset'/>",
		"<forget xmlns='urn:jabberd:sessions' of='r0@localhost'/>",
	} {
		_, err := s.Request(ctx, stanza.Stanza{Name: stanza.IQ, Type: "set", To: jid.MustParse("localhost"), Body: []byte(body)})
		var e *stanza.Error
		if !errors.As(err, &e) || e.Condition != stanza.Forbidden {
			t.Errorf("%s: %v", body, err)
		}
	}
	if list := r.sessions("localhost"); len(list) != 2 {
		t.Errorf("sessions %+v", list)
	}
}

func (r *running) sessions(of string) (list []sessions.Session) {
	r.t.Helper()
	out := r.must("session", "list", of, "--json")
	if err := json.Unmarshal([]byte(out), &list); err != nil {
		r.t.Fatalf("%v in %s", err, out)
	}
	return list
}

// subscribe has a session see the presence of another.
func subscribe(t *testing.T, ctx context.Context, s, to *session.Session) {
	t.Helper()
	say := func(s *session.Session, kind string, to jid.JID) {
		if err := s.Send(ctx, stanza.Stanza{Name: stanza.Presence, Type: kind, To: to}); err != nil {
			t.Fatal(err)
		}
	}
	say(s, "subscribe", to.Local().Bare())
	hears(t, ctx, to, "subscribe", s.Local().Bare().String())
	say(to, "subscribed", s.Local().Bare())
	hears(t, ctx, s, "subscribed", to.Local().Bare().String())
}

// hears waits for a presence of a type from an account.
func hears(t *testing.T, ctx context.Context, s *session.Session, kind, from string) {
	t.Helper()
	for {
		st, err := s.Receive(ctx)
		if err != nil {
			t.Fatalf("waiting for %s of %s: %v", kind, from, err)
		}
		if st.Name == stanza.Presence && st.Type == kind && st.From.Bare().String() == from {
			return
		}
	}
}

// ends waits for the end of a stream.
func ends(ctx context.Context, s *session.Session) *stream.Error {
	for {
		if _, err := s.Receive(ctx); err != nil {
			var e *stream.Error
			if !errors.As(err, &e) {
				return &stream.Error{Text: err.Error()}
			}
			return e
		}
	}
}
