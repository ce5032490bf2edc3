package ldap_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"regexp"
	"testing"
	"time"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/c2s"
	"github.com/jabberii/server/plugins/register"
	"github.com/jabberii/server/plugins/sdk/sdktest"
	"github.com/jabberii/server/plugins/sm"
	"github.com/jabberii/server/plugins/xmpp/jid"
	"github.com/jabberii/server/plugins/xmpp/session"
	"github.com/jabberii/server/plugins/xmpp/stanza"
	"github.com/jabberii/server/xdb/ldap"
	"github.com/jabberii/server/xdb/memory"
)

// TestNobodyRegistersInADirectory has clients ask for what only the directory can do
// (XEP-0077): each hears not-allowed, and nothing is changed.
func TestNobodyRegistersInADirectory(t *testing.T) {
	a := sdktest.NewAuthority(t)
	d := start(t, a)
	args := fmt.Sprintf(`{"url":%q,"ca":%q,"base":"dc=example,dc=org","bind_dn":"cn=admin,dc=example,dc=org","bind_password":"admin"}`, d.url, a.File)
	p := plan(args)
	p.Modules = []module.Module{c2s.Module, register.Module, sm.Module, ldap.Module, memory.Module}
	p.Sections = append([]module.Section{
		sdktest.Section("c2s", packet.Session, sdktest.Block("c2s", `{"listen":["127.0.0.1:0"],"registration":["example.org"]}`)),
		sdktest.Service("users", sdktest.Host("example.org"), sdktest.Block("register", `{"who":"anybody"}`), sdktest.Block("sm", `{}`)),
	}, p.Sections...)
	sdktest.Both(t, p, func(t *testing.T, h *sdktest.Harness) {
		address := regexp.MustCompile(`address='([^']+)'`).FindStringSubmatch(h.Logged("listening for clients").Attrs)[1]
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		login := func(a session.Account) (*session.Session, error) {
			conn, err := net.Dial("tcp", address)
			if err != nil {
				t.Fatal(err)
			}
			a.TLS = &tls.Config{InsecureSkipVerify: true}
			return session.Client(ctx, conn, a)
		}
		refused := func(what string, err error) {
			t.Helper()
			var e *stanza.Error
			if !errors.As(err, &e) || e.Condition != stanza.NotAllowed || e.Text == "" {
				t.Errorf("%s: %v", what, err)
			}
		}
		_, err := login(session.Account{Address: jid.MustParse("dora@example.org"), Password: "a password", Register: true})
		refused("an account", err)
		ann, err := login(session.Account{Address: jid.MustParse("ann@example.org"), Password: "secret"})
		if err != nil {
			t.Fatal(err)
		}
		defer ann.Drop()
		ask := func(to, payload string) error {
			iq := stanza.Stanza{Name: stanza.IQ, Type: stanza.TypeSet, Body: []byte(payload)}
			if to != "" {
				iq.To = jid.MustParse(to)
			}
			_, err := ann.Request(ctx, iq)
			return err
		}
		if err := ask("", "<query xmlns='jabber:iq:roster'><item jid='bob@example.org'/></query>"); err != nil {
			t.Fatal(err)
		}
		refused("another password", ask("example.org", "<query xmlns='jabber:iq:register'><username>ann</username><password>another one</password></query>"))
		refused("no account", ask("example.org", "<query xmlns='jabber:iq:register'><remove/></query>"))
		if contacts, err := ann.Roster(ctx); err != nil || len(contacts) != 1 {
			t.Errorf("what she has is %+v, %v", contacts, err)
		}
	})
}
