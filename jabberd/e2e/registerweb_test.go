package e2e_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jabberii/server/plugins/xmpp/bosh"
	"github.com/jabberii/server/plugins/xmpp/jid"
	"github.com/jabberii/server/plugins/xmpp/registration"
	"github.com/jabberii/server/plugins/xmpp/session"
	"github.com/jabberii/server/plugins/xmpp/stanza"
	"github.com/jabberii/server/plugins/xmpp/websocket"
)

// open returns a file of conf where anybody may have an account, by what its comments
// say of it, as a path from the root.
func open(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../..", file))
	if err != nil {
		t.Fatal(err)
	}
	changed := strings.Replace(string(text), `# load "register" {}`, "load \"register\" {\n    who = \"anybody\"\n    limit { per_address = 0 }\n  }", 1)
	changed = strings.Replace(changed, "    starttls = var.tls\n", "    starttls = var.tls\n    registration = [var.host]\n", 1)
	if strings.Count(changed, "\n") != strings.Count(string(text), "\n")+4 || strings.Contains(changed, `# load "register"`) {
		t.Fatalf("%s has other comments by now", file)
	}
	path := filepath.Join(t.TempDir(), filepath.Base(file))
	if err := os.WriteFile(path, []byte(changed), 0o600); err != nil {
		t.Fatal(err)
	}
	root, err := filepath.Abs("../..")
	if err == nil {
		path, err = filepath.Rel(root, path)
	}
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// TestRegistrationOnWeb has clients make an account over TCP, WebSocket and BOSH, use
// it, change its password and remove it.
func TestRegistrationOnWeb(t *testing.T) {
	r := start(t, open(t, "conf/edge.hcl"), nil)
	config := &tls.Config{InsecureSkipVerify: true, ServerName: "localhost"}
	at := func(port string) string { return "localhost:" + r.vars[port] }
	for name, dial := range map[string]func(context.Context) (net.Conn, error){
		"TCP": func(ctx context.Context) (net.Conn, error) {
			return (&tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true, ServerName: "localhost", NextProtos: []string{"xmpp-client"}}}).DialContext(ctx, "tcp", at("c2s_tls_port"))
		},
		"WebSocket": func(ctx context.Context) (net.Conn, error) {
			return websocket.Dial(ctx, "wss://"+at("https_port")+"/ws", config)
		},
		"BOSH": func(ctx context.Context) (net.Conn, error) {
			return bosh.Dial(ctx, "https://"+at("https_port")+"/http-bind", config)
		},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
			defer cancel()
			login := func(password string, register bool) (*session.Session, error) {
				conn, err := dial(ctx)
				if err != nil {
					t.Fatal(err)
				}
				s, err := session.Client(ctx, conn, session.Account{
					Address: jid.MustParse("carl-" + name + "@localhost"), Password: password, Register: register,
				})
				if err == nil {
					t.Cleanup(s.Drop)
				}
				return s, err
			}
			carl, err := login("one password", true)
			if err != nil {
				t.Fatal(err)
			}
			var refused *stanza.Error
			if _, err := login("one password", true); !errors.As(err, &refused) || refused.Condition != stanza.Conflict {
				t.Errorf("the name is taken: %v", err)
			}
			ask := func(q registration.Request) {
				t.Helper()
				iq := stanza.Stanza{Name: stanza.IQ, Type: stanza.TypeSet, To: carl.Remote(), Body: q.Append(nil)}
				if _, err := carl.Request(ctx, iq); err != nil {
					t.Fatal(err)
				}
			}
			ask(registration.Request{Username: carl.Local().Local(), Password: "another one"})
			if _, err := login("one password", false); err == nil {
				t.Error("the password of before is good")
			}
			if _, err := login("another one", false); err != nil {
				t.Errorf("the new password: %v", err)
			}
			ask(registration.Request{Remove: true})
			if end := ends(ctx, carl); end.Condition != "not-authorized" {
				t.Errorf("the session ends with %v", end)
			}
			if _, err := login("another one", false); err == nil {
				t.Error("who was removed logs in")
			}
		})
	}
	if out := r.must("user", "list", "localhost"); out != "" {
		t.Errorf("accounts are left: %s", out)
	}
}
