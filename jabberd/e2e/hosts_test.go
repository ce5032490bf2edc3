package e2e_test

import (
	"crypto/tls"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/jabberii/server/jabberd/e2e/clients"
	"github.com/jabberii/server/plugins/sdk/sdktest"
)

// TestSeveralHosts has users of two hosts chat, keeps their data apart, and
// gives one of the hosts a certificate while they are connected.
func TestSeveralHosts(t *testing.T) {
	everyIsolation(t, func(t *testing.T, vars map[string]string) {
		r := start(t, "conf/hosts.hcl", vars)
		a, b := clients.Slixmpp(t, r.user("ann@localhost")), clients.Slixmpp(t, r.user("bob@company.localhost"))
		a.Presence(clients.Presence{})
		b.Presence(clients.Presence{})
		a.Message("bob@company.localhost", "hello, company")
		b.AwaitMessage("ann@localhost", "hello, company")
		b.Message("ann@localhost", "hello, everybody")
		a.AwaitMessage("bob@company.localhost", "hello, everybody")
		for _, store := range []string{"xdb", "company"} {
			if files, err := os.ReadDir(filepath.Join(r.data, store)); err != nil || len(files) == 0 {
				t.Errorf("there is nothing in %s: %v", store, err)
			}
		}

		for _, host := range []string{"localhost", "company.localhost"} {
			if got := shownTo(t, r, host); got != host {
				t.Errorf("%s is shown a certificate by %s", host, got)
			}
		}
		cert, key := sdktest.NewAuthority(t).Issue("company.localhost")
		put(t, key, filepath.Join(r.data, "certs/company.localhost.key"))
		put(t, cert, filepath.Join(r.data, "certs/company.localhost.crt"))
		r.await("the certificate of the authority", func() bool { return shownTo(t, r, "company.localhost") == "authority" })
		if got := shownTo(t, r, "localhost"); got != "localhost" {
			t.Errorf("localhost is shown a certificate by %s", got)
		}
		a.Message("bob@company.localhost", "still there?")
		b.AwaitMessage("ann@localhost", "still there?")
	})
}

// shownTo is who has signed the certificate that a host's clients are shown.
func shownTo(t *testing.T, r *running, host string) string {
	t.Helper()
	conn, err := tls.Dial("tcp", "127.0.0.1:"+r.vars["c2s_tls_port"], &tls.Config{ServerName: host, InsecureSkipVerify: true, NextProtos: []string{"xmpp-client"}})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	return conn.ConnectionState().PeerCertificates[0].Issuer.CommonName
}

// put copies a file.
func put(t *testing.T, from, to string) {
	t.Helper()
	in, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(out, in); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
}
