package e2e_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"strings"
	"sync"
	"testing"

	"github.com/jabberii/server/plugins/xmpp/session"
)

// A hesitant client waits before it asks for its session.
type hesitant struct {
	*tls.Conn
	asks chan struct{} // closed when it is about to ask
	goOn chan struct{}
}

func (h *hesitant) Write(b []byte) (int, error) {
	if bytes.Contains(b, []byte("xmpp-bind'")) {
		close(h.asks)
		<-h.goOn
	}
	return h.Conn.Write(b)
}

// TestALoginIsOvertaken changes an account after a client has logged in to it, and before
// it has a session: it gets none.
func TestALoginIsOvertaken(t *testing.T) {
	for name, file := range map[string]string{"one process": "conf/jabberd.hcl", "edge": "conf/edge.hcl"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			vars := map[string]string{}
			if name == "one process" {
				vars["isolation"] = "none"
			}
			r := start(t, file, vars)
			for command, why := range map[string]string{
				"passwd bob@localhost --password other": "reset: Password changed",
				"disable bob@localhost":                 "not-authorized: Account disabled",
				"remove bob@localhost":                  "not-authorized",
			} {
				r.must("user", "add", "bob@localhost", "--password", "pw-bob@localhost")
				h := &hesitant{Conn: dialDirect(t, r), asks: make(chan struct{}), goOn: make(chan struct{})}
				over := make(chan error, 1)
				go func() {
					a := bobs("", "pw-bob@localhost")
					a.Agent = session.Agent{} // SASL, then a session
					_, err := session.Client(soon(t), h, a)
					over <- err
				}()
				select {
				case <-h.asks:
				case err := <-over:
					t.Fatalf("%s: the login: %v", command, err)
				}
				r.must(append([]string{"user"}, strings.Fields(command)...)...)
				close(h.goOn)
				if err := <-over; err == nil || !strings.Contains(err.Error(), why) {
					t.Errorf("%s: the login ends with %v, want %s", command, err, why)
				}
				r.await("the end of all sessions", func() bool { return len(r.sessions("bob@localhost")) == 0 })
				r.jabberd("user", "remove", "bob@localhost")
			}
		})
	}
}

func dialDirect(t *testing.T, r *running) *tls.Conn {
	t.Helper()
	tc, err := tls.Dial("tcp", "127.0.0.1:"+r.vars["c2s_tls_port"], &tls.Config{
		InsecureSkipVerify: true, ServerName: "localhost", NextProtos: []string{"xmpp-client"}, MinVersion: tls.VersionTLS13,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tc.Close() })
	return tc
}

// TestLoginsAreOvertaken changes a password while clients log in with it, and with tokens
// that they have got for it: whatever is under way, none has a session afterwards.
func TestLoginsAreOvertaken(t *testing.T) {
	const clients = 6
	r := start(t, "conf/edge.hcl", nil)
	r.user("bob@localhost")
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	var under sync.WaitGroup // until each has been let in once
	under.Add(clients)
	for i := range clients {
		wg.Go(func() {
			a := bobs(string(rune('a'+i)), "pw-bob@localhost")
			if i%3 == 0 {
				a.Agent = session.Agent{}
			}
			for n := 0; ; n++ {
				s, err := session.Client(soon(t), dialDirect(t, r), a)
				if n == 0 {
					under.Done()
				}
				if err != nil {
					if n == 0 || ctx.Err() == nil && !strings.Contains(err.Error(), "authorized") && !strings.Contains(err.Error(), "reset") {
						t.Errorf("client %d, login %d: %v", i, n, err)
					}
					return
				}
				if a.Token = s.Token(); i%3 == 1 {
					a.Password = "" // the token only
				}
				if ctx.Err() != nil { // the password has been changed: what it has is over
					ended(t, s)
					return
				}
			}
		})
	}
	under.Wait()
	r.must("user", "passwd", "bob@localhost", "--password", "other")
	cancel()
	wg.Wait()
	r.await("the end of all sessions", func() bool { return len(r.sessions("bob@localhost")) == 0 })
}
