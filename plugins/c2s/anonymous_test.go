package c2s_test

import (
	"context"
	"crypto/tls"
	"errors"
	"testing"
	"time"

	"github.com/jabberii/server/plugins/sdk/sdktest"
	"github.com/jabberii/server/plugins/sdk/xdb"
	"github.com/jabberii/server/plugins/xmpp/jid"
	"github.com/jabberii/server/plugins/xmpp/ns"
	"github.com/jabberii/server/plugins/xmpp/sasl"
	"github.com/jabberii/server/plugins/xmpp/session"
	"github.com/jabberii/server/plugins/xmpp/stanza"
)

// Who is let in without a name gets an account that is gone with the connection, and all
// that it has stored with it.
func TestAnonymous(t *testing.T) {
	p := whole("{" + directTLS + `,"anonymous":["` + domain + `"]}`)
	sdktest.Both(t, p, func(t *testing.T, h *sdktest.Harness) {
		address := listening(h)
		withAccount(t, h)
		if _, _, err := quick(t, address, session.Account{Password: "secret"}); !errors.Is(err, sasl.ErrNoMechanism) {
			t.Errorf("a password: %v", err)
		}
		for name, agent := range map[string]session.Agent{"SASL": {}, "SASL2": {Software: "test"}} {
			t.Run(name, func(t *testing.T) {
				s := letIn(t, address, agent)
				defer s.Drop()
				account := s.Local().Bare()
				if len(account.Local()) != 26 || s.Local().Resource() == "" {
					t.Errorf("bound %s", s.Local())
				}
				store := xdb.New(asker{h}, "test")
				_, err := s.Request(t.Context(), stanza.Stanza{Name: stanza.IQ, Type: stanza.TypeSet,
					Body: []byte("<query xmlns='" + ns.Roster + "'><item jid='bob@example.org'/></query>")})
				if err != nil {
					t.Fatal(err)
				}
				if list, err := store.Namespaces(t.Context(), account.String()); err != nil || len(list) == 0 {
					t.Fatalf("stored %v, %v", list, err)
				}
				s.Drop()
				ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
				defer cancel()
				for list := []string{""}; len(list) > 0; {
					if list, err = store.Namespaces(ctx, account.String()); err != nil {
						t.Fatalf("still stored: %v, %v", list, err)
					}
				}
			})
		}
	})
}

func letIn(t *testing.T, address string, agent session.Agent) *session.Session {
	t.Helper()
	conn, err := tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"xmpp-client"}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	s, err := session.Client(ctx, conn, session.Account{Address: jid.MustParse(domain), Mechanisms: []string{sasl.Anonymous}, Agent: agent})
	if err != nil {
		t.Fatal(err)
	}
	return s
}
