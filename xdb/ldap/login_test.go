package ldap_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/c2s"
	"github.com/jabberii/server/plugins/sdk/account"
	"github.com/jabberii/server/plugins/sdk/sdktest"
	"github.com/jabberii/server/plugins/sdk/xdb"
	"github.com/jabberii/server/plugins/sm"
	"github.com/jabberii/server/plugins/xmpp/jid"
	"github.com/jabberii/server/plugins/xmpp/sasl"
	"github.com/jabberii/server/plugins/xmpp/session"
)

var addressIn = regexp.MustCompile(`address='([^']+)'`)

// TestDisabled keeps accounts of a directory from logging in, which knows nothing of it.
func TestDisabled(t *testing.T) {
	d := start(t, sdktest.NewAuthority(t))
	args := fmt.Sprintf(`{"url":%q,"starttls":false,"base":"dc=example,dc=org","bind_dn":"cn=admin,dc=example,dc=org","bind_password":"admin"}`, d.url)
	server := plan(args)
	server.Modules = append(server.Modules, c2s.Module, sm.Module)
	server.Sections = append(server.Sections,
		sdktest.Section("c2s", packet.Session, sdktest.Block("c2s", `{"listen":[],"tls":{"listen":["127.0.0.1:0"]}}`)),
		sdktest.Service("users", sdktest.Host("example.org"), sdktest.Block("sm", "{}")))
	sdktest.Both(t, server, func(t *testing.T, h *sdktest.Harness) {
		address := addressIn.FindStringSubmatch(h.Logged("listening for clients").Attrs)[1]
		ctx, store := t.Context(), xdb.New(asker{h}, "test")
		login := func(password string) error { return login(t, address, password) }
		if err := login("secret"); err != nil {
			t.Fatal(err)
		}
		if err := account.Disable(ctx, store, "carl@example.org"); !errors.Is(err, account.ErrNone) {
			t.Errorf("nobody disabled: %v", err)
		}
		if err := account.Disable(ctx, store, "ann@example.org"); err != nil {
			t.Fatal(err)
		}
		for password, want := range map[string]error{"secret": sasl.AccountDisabled, "a guess": sasl.NotAuthorized} {
			if err := login(password); !errors.Is(err, want) {
				t.Errorf("disabled, with %q: %v, want %v", password, err, want)
			}
		}
		var disabled []string
		for a, err := range account.All(ctx, store, "example.org") {
			if err != nil {
				t.Fatal(err)
			}
			if a.Disabled {
				disabled = append(disabled, a.JID)
			}
		}
		if !slices.Equal(disabled, []string{"ann@example.org"}) {
			t.Errorf("disabled are %v", disabled)
		}
		if err := account.Enable(ctx, store, "ann@example.org"); err != nil {
			t.Fatal(err)
		}
		if err := login("secret"); err != nil {
			t.Errorf("enabled again: %v", err)
		}
	})
}

// login logs ann in and out.
func login(t *testing.T, address, password string) error {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	conf := &tls.Config{InsecureSkipVerify: true, ServerName: "example.org", NextProtos: []string{"xmpp-client"}}
	s, err := session.Client(ctx, tls.Client(conn, conf), session.Account{Address: jid.MustParse("ann@example.org"), Password: password})
	if err == nil {
		s.Close()
	}
	return err
}
