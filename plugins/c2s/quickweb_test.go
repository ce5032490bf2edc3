package c2s_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/c2s"
	weblisten "github.com/jabberii/server/plugins/http"
	"github.com/jabberii/server/plugins/sdk/sdktest"
	"github.com/jabberii/server/plugins/sdk/web"
	"github.com/jabberii/server/plugins/xmpp/bosh"
	"github.com/jabberii/server/plugins/xmpp/jid"
	"github.com/jabberii/server/plugins/xmpp/sasl"
	"github.com/jabberii/server/plugins/xmpp/session"
	"github.com/jabberii/server/plugins/xmpp/websocket"
)

// wholeWeb is whole with http in the section of c2s.
func wholeWeb(args string) sdktest.Plan {
	p, routes := whole(args), new(web.Routes)
	p.Modules[0] = c2s.With(routes)
	p.Modules = append([]module.Module{weblisten.With(routes)}, p.Modules...)
	http := sdktest.Block("http", `{"listen":["127.0.0.1:0"],"tls":{"listen":["127.0.0.1:0"]}}`)
	p.Sections[0] = sdktest.Section("c2s", packet.Session, http, sdktest.Block("c2s", args))
	return p
}

// onWeb connects as pages do, with TLS.
var onWeb = map[string]func(ctx context.Context, address string) (net.Conn, error){
	"WebSocket": func(ctx context.Context, address string) (net.Conn, error) {
		return websocket.Dial(ctx, "wss://"+address+"/ws", &tls.Config{InsecureSkipVerify: true})
	},
	"BOSH": func(ctx context.Context, address string) (net.Conn, error) {
		return bosh.Dial(ctx, "https://"+address+"/http-bind", &tls.Config{InsecureSkipVerify: true})
	},
}

// A client over WebSocket or BOSH logs in by SASL2, binds by Bind 2, comes again with
// its token, and resumes. A token that is not bound to a connection is for those who
// have no channel binding, as pages.
func TestQuickLoginOnWeb(t *testing.T) {
	const args = `{"listen":["127.0.0.1:0"],"channel_binding":true,"guesses":{"delay":"0s"},"websocket":{},"bosh":{}}`
	sdktest.Both(t, wholeWeb(args), func(t *testing.T, h *sdktest.Harness) {
		served(h) // in the clear
		address := served(h)
		withAccount(t, h)
		for name, dial := range onWeb {
			t.Run(name, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
				defer cancel()
				login := func(a session.Account) (*session.Session, error) {
					conn, err := dial(ctx, address)
					if err != nil {
						t.Fatal(err)
					}
					a.Address = jid.MustParse("ann@" + domain + "/" + name)
					a.Agent = session.Agent{ID: installation, Software: name}
					s, err := session.Client(ctx, conn, a)
					if err == nil {
						t.Cleanup(s.Drop)
					}
					return s, err
				}
				if _, err := login(session.Account{Password: "wrong"}); !errors.Is(err, sasl.NotAuthorized) {
					t.Errorf("a wrong password: %v", err)
				}
				first, err := login(session.Account{Password: "secret"})
				if err != nil {
					t.Fatal(err)
				}
				full, token := first.Local().String(), first.Token()
				if _, bound := first.Features().Find("authentication", "urn:xmpp:sasl:2"); bound {
					t.Error("SASL2 is offered after the login")
				}
				want := map[string]string{"WebSocket": sasl.HTSHA256Expr, "BOSH": sasl.HTSHA256None}[name]
				if !strings.HasPrefix(full, "ann@example.org/"+name+"/") || token.Mechanism != want || !first.Resumable() {
					t.Fatalf("bound %s, token %+v, resumable %v", full, token, first.Resumable())
				}
				echo(t, first, "first")
				first.Close()

				second, err := login(session.Account{Token: token})
				if err != nil || second.Local().String() != full {
					t.Fatalf("with the token: %v", err)
				}
				echo(t, second, "before")
				second.Drop()
				conn, err := dial(ctx, address)
				if err != nil {
					t.Fatal(err)
				}
				if err := second.Resume(ctx, conn); err != nil {
					t.Fatalf("resumption: %v", err)
				}
				echo(t, second, "after")

				if third, err := login(session.Account{Token: token}); err != nil || third.Local().String() != full {
					t.Errorf("again: %v", err)
				}
				if _, err := second.Receive(ctx); err == nil || !strings.Contains(err.Error(), "conflict") {
					t.Errorf("the session of before ends with %v", err)
				}
				token.Secret += "x"
				if _, err := login(session.Account{Token: token}); !errors.Is(err, sasl.NotAuthorized) {
					t.Errorf("another token: %v", err)
				}
			})
		}
	})
}
