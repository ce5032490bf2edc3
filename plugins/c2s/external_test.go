package c2s_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jabberii/server/plugins/sdk/sdktest"
	"github.com/jabberii/server/plugins/xmpp/identity"
)

// certified is a client's certificate for addresses.
func certified(t *testing.T, a *sdktest.Authority, use x509.ExtKeyUsage, addresses ...string) (cert, key string) {
	t.Helper()
	names, err := identity.Extension(addresses...)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{use}}
	if len(addresses) > 0 {
		template.ExtraExtensions = append(template.ExtraExtensions, names)
	} else {
		template.DNSNames = []string{domain}
	}
	return a.Sign("client", template)
}

func externalAs(authzid string) string {
	text := "="
	if authzid != "" {
		text = base64.StdEncoding.EncodeToString([]byte(authzid))
	}
	return "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>" + text + "</auth>"
}

// Login by certificate, case by case (XEP-0178, part 2).
func TestXEP0178Clients(t *testing.T) {
	t.Parallel()
	ours := sdktest.NewAuthority(t)
	p := plan(fmt.Sprintf(`{"listen":[],"tls":{"listen":["127.0.0.1:0"],"client_ca":%q}}`, ours.File))
	const client = x509.ExtKeyUsageClientAuth
	sdktest.Both(t, p, func(t *testing.T, h *sdktest.Harness) {
		address := listening(h)
		withAccount(t, h)
		withDisabled(t, h)
		for _, c := range []struct {
			name      string
			authority *sdktest.Authority
			use       x509.ExtKeyUsage
			addresses []string
			authzid   string
			want      string
		}{
			{"one address", ours, client, []string{"ann@example.org"}, "", "<success"},
			{"written otherwise", ours, client, []string{"Ann@EXAMPLE.org"}, "", "<success"},
			{"its own as authzid", ours, client, []string{"ann@example.org"}, "ann@example.org", "<success"},
			{"another authzid", ours, client, []string{"ann@example.org"}, "bob@example.org", "<invalid-authzid"},
			{"one of this host", ours, client, []string{"ann@example.net", "ann@example.org"}, "", "<success"},
			{"several, none asked for", ours, client, []string{"bob@example.org", "ann@example.org"}, "", "<invalid-authzid"},
			{"several, one asked for", ours, client, []string{"bob@example.org", "ann@example.org"}, "ann@example.org", "<success"},
			{"of another host", ours, client, []string{"ann@example.net"}, "", "<not-authorized"},
			{"a host, no account", ours, client, []string{"example.org"}, "", "<not-authorized"},
			{"no such account", ours, client, []string{"nobody@example.org"}, "", "<not-authorized"},
			{"a disabled account", ours, client, []string{"carl@example.org"}, "", "<account-disabled"},
			{"a name in DNS", ours, client, nil, "ann@example.org", "<not-authorized"},
			{"not for clients", ours, x509.ExtKeyUsageServerAuth, []string{"ann@example.org"}, "", "<invalid-mechanism"},
			{"of another authority", sdktest.NewAuthority(t), client, []string{"ann@example.org"}, "", "<invalid-mechanism"},
		} {
			t.Run(c.name, func(t *testing.T) {
				pair, err := tls.LoadX509KeyPair(certified(t, c.authority, c.use, c.addresses...))
				if err != nil {
					t.Fatal(err)
				}
				out := rawTLS(t, address, header+externalAs(c.authzid)+header+closed, &pair)
				offered := strings.Contains(out, "<mechanism>EXTERNAL</mechanism>")
				if !strings.Contains(out, c.want) || offered != (c.want != "<invalid-mechanism") {
					t.Errorf("want %s in\n%s", c.want, out)
				}
			})
		}
		if out := rawTLS(t, address, header+plainAs("ann", "secret")+header+closed, nil); strings.Contains(out, "EXTERNAL") || !strings.Contains(out, "<success") {
			t.Errorf("without a certificate\n%s", out)
		}
	})
}

// rawTLS is raw over TLS, with a certificate unless it is nil.
func rawTLS(t *testing.T, address, say string, pair *tls.Certificate) string {
	t.Helper()
	config := &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"xmpp-client"}}
	if pair != nil { // also one of an authority that the server does not name
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return pair, nil }
	}
	conn, err := tls.Dial("tcp", address, config)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	io.WriteString(conn, say)
	out, err := io.ReadAll(conn)
	if err != nil && !errors.Is(err, net.ErrClosed) {
		t.Fatalf("%v after %s", err, out)
	}
	return string(out)
}

// OpenSSL speaks with us: STARTTLS with a certificate, and what it makes of ours.
func TestOpenSSL(t *testing.T) {
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("there is no openssl")
	}
	ours := sdktest.NewAuthority(t)
	server, serverKey := ours.Issue(domain)
	cert, key := certified(t, ours, x509.ExtKeyUsageClientAuth, "ann@example.org")
	p := plan(fmt.Sprintf(`{"listen":["127.0.0.1:0"],"tls":{"cert":%q,"key":%q,"client_ca":%q}}`, server, serverKey, ours.File))
	sdktest.Both(t, p, func(t *testing.T, h *sdktest.Harness) {
		address := listening(h)
		withAccount(t, h)
		for _, version := range []string{"-tls1_2", "-tls1_3"} {
			cmd := exec.Command(openssl, "s_client", "-connect", address, "-starttls", "xmpp", "-xmpphost", domain, "-servername", domain, "-verify_return_error",
				"-verify_hostname", domain, "-CAfile", ours.File, "-cert", cert, "-key", key, "-quiet", "-no_ign_eof", version)
			cmd.Stderr = os.Stderr
			in, err := cmd.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			io.WriteString(in, header+externalAs("")+header+bindIQ+closed)
			out, err := cmd.Output()
			if err != nil || !strings.Contains(string(out), "<success") || !strings.Contains(string(out), "ann@example.org/there") {
				t.Errorf("%s: %v\n%s", version, err, out)
			}
			in.Close()
		}
	})
}

// Who may sign for clients is read again when the file changes, also for a client that
// has a session of TLS from before.
func TestAuthorityOfClientsChanges(t *testing.T) {
	old, next := sdktest.NewAuthority(t), sdktest.NewAuthority(t)
	file := filepath.Join(t.TempDir(), "ca.pem")
	put := func(a *sdktest.Authority) {
		t.Helper()
		text, err := os.ReadFile(a.File)
		if err == nil {
			err = os.WriteFile(file+".new", text, 0o600)
		}
		if err = errors.Join(err, os.Rename(file+".new", file)); err != nil {
			t.Fatal(err)
		}
	}
	put(old)
	p := plan(fmt.Sprintf(`{"listen":[],"tls":{"listen":["127.0.0.1:0"],"client_ca":%q}}`, file))
	h := sdktest.New(t, p, false)
	address := listening(h)
	withAccount(t, h)
	may := func(a *sdktest.Authority) bool {
		t.Helper()
		pair, err := tls.LoadX509KeyPair(certified(t, a, x509.ExtKeyUsageClientAuth, "ann@example.org"))
		if err != nil {
			t.Fatal(err)
		}
		return strings.Contains(rawTLS(t, address, header+externalAs("")+header+closed, &pair), "<success")
	}
	if !may(old) || may(next) {
		t.Fatal("at the start, not those of the file may log in")
	}
	put(next)
	for end := time.Now().Add(30 * time.Second); !may(next); { // it is looked at every few seconds
		if time.Now().After(end) {
			t.Fatal("the new file is not read")
		}
	}
	if may(old) {
		t.Error("one who is not in the file any more signs for clients")
	}
}
