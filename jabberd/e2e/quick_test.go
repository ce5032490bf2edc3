package e2e_test

import (
	"context"
	"crypto/tls"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jabberii/server/plugins/xmpp/jid"
	"github.com/jabberii/server/plugins/xmpp/session"
)

// A trips counts how often a client in TLS waits for an answer to what it has written.
type trips struct {
	*tls.Conn
	written atomic.Bool
	n       atomic.Int32
}

func (c *trips) Write(b []byte) (int, error) {
	c.written.Store(true)
	return c.Conn.Write(b)
}

func (c *trips) Read(b []byte) (int, error) {
	if c.written.Swap(false) {
		c.n.Add(1)
	}
	return c.Conn.Read(b)
}

// TestQuickLogin has a client log in with a password once and with its token from then
// on, each time in one round trip, also when the server was started anew in between.
func TestQuickLogin(t *testing.T) {
	t.Run("edge", func(t *testing.T) { quickLogin(t, "conf/edge.hcl", nil) })
	everyIsolation(t, func(t *testing.T, vars map[string]string) { quickLogin(t, "conf/jabberd.hcl", vars) })
}

func quickLogin(t *testing.T, file string, vars map[string]string) {
	r := start(t, file, vars)
	r.user("ann@localhost")
	account := session.Account{
		Address: jid.MustParse("ann@localhost/phone"), Password: "pw-ann@localhost",
		Agent: session.Agent{ID: "d4565fa7-4d72-4749-b3d3-740edbf87770", Software: "test"},
	}
	first, _ := quick(t, r, account)
	if first.Token().Secret == "" || !first.Resumable() {
		t.Fatalf("token %+v, resumable %v", first.Token(), first.Resumable())
	}
	full := first.Local()
	account.Password, account.Token = "", first.Token()
	for _, restart := range []bool{false, true} {
		if restart {
			r.stop()
			r.launch()
		}
		s, n := quick(t, r, account)
		if n != 1 || s.Local() != full {
			t.Errorf("with the token: %d round trips, bound %s; started anew: %v", n, s.Local(), restart)
		}
		account.Token = s.Token()
	}
}

// quick logs in over TLS 1.3, and returns how many round trips that took.
func quick(t *testing.T, r *running, a session.Account) (*session.Session, int) {
	t.Helper()
	tc, err := tls.Dial("tcp", "127.0.0.1:"+r.vars["c2s_tls_port"], &tls.Config{
		InsecureSkipVerify: true, ServerName: "localhost", NextProtos: []string{"xmpp-client"}, MinVersion: tls.VersionTLS13,
	})
	if err != nil {
		t.Fatal(err)
	}
	conn := &trips{Conn: tc}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	s, err := session.Client(ctx, conn, a)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Drop)
	return s, int(conn.n.Load())
}
