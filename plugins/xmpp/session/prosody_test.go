package session_test

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jabberii/server/bench/port"
	"github.com/jabberii/server/plugins/xmpp/component"
	"github.com/jabberii/server/plugins/xmpp/jid"
	"github.com/jabberii/server/plugins/xmpp/mux"
	"github.com/jabberii/server/plugins/xmpp/ns"
	"github.com/jabberii/server/plugins/xmpp/session"
	"github.com/jabberii/server/plugins/xmpp/stanza"
	"github.com/jabberii/server/plugins/xmpp/stream"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

const prosodyConfig = `
run_as_root = true
data_path = %[1]q
interfaces = { "127.0.0.1" }
c2s_ports = { %[2]d }
c2s_direct_tls_ports = { %[3]d }
component_ports = { %[4]d }
component_interfaces = { "127.0.0.1" }
modules_enabled = { "roster"; "saslauth"; "tls"; "disco"; "ping"; "smacks" }
modules_disabled = { "s2s"; "admin_shell"; "posix" }
authentication = "internal_plain"
storage = "internal"
log = { info = "*console" }
ssl = { certificate = "%[1]s/crt.pem"; key = "%[1]s/key.pem" }
c2s_direct_tls_ssl = { certificate = "%[1]s/crt.pem"; key = "%[1]s/key.pem" }
VirtualHost "example.org"
Component "plays.example.org"
	component_secret = "secret"
`

// prosody is a real server with one account and one component to be.
type prosody struct {
	client, direct, component string // addresses
	roots                     *tls.Config
}

// startProsody runs the server until the test ends, or skips the test without it.
func startProsody(t *testing.T) *prosody {
	t.Helper()
	program, err := exec.LookPath("prosody")
	if err != nil {
		t.Skip("no prosody here")
	}
	dir := t.TempDir()
	ports, err := port.Free(3)
	if err != nil {
		t.Fatal(err)
	}
	p := &prosody{roots: writeCertificate(t, dir)}
	for i, address := range []*string{&p.client, &p.direct, &p.component} {
		*address = fmt.Sprintf("127.0.0.1:%d", ports[i])
	}
	write(t, filepath.Join(dir, "example%2eorg/accounts/juliet.dat"), `return { ["password"] = "pencil"; };`)
	write(t, filepath.Join(dir, "prosody.cfg.lua"), fmt.Sprintf(prosodyConfig, dir, ports[0], ports[1], ports[2]))
	server := exec.CommandContext(t.Context(), program, "--config", filepath.Join(dir, "prosody.cfg.lua"), "-F")
	out, err := server.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	server.Stderr = server.Stdout
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		server.Process.Kill()
		server.Wait()
	})
	lines, log := bufio.NewScanner(out), ""
	for up := 0; up < 3; {
		if !lines.Scan() {
			t.Fatalf("prosody did not start:\n%s", log)
		}
		log += lines.Text() + "\n"
		if strings.Contains(lines.Text(), "Activated service") && strings.Contains(lines.Text(), "127.0.0.1") {
			up++
		}
	}
	go io.Copy(io.Discard, out)
	return p
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), 0o600)); err != nil {
		t.Fatal(err)
	}
}

// writeCertificate leaves crt.pem and key.pem.
func writeCertificate(t *testing.T, dir string) *tls.Config {
	t.Helper()
	server, roots := certificate(t)
	key, err := x509.MarshalECPrivateKey(server.Certificates[0].PrivateKey.(*ecdsa.PrivateKey))
	if err != nil {
		t.Fatal(err)
	}
	block := func(kind string, raw []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: raw}))
	}
	write(t, filepath.Join(dir, "crt.pem"), block("CERTIFICATE", server.Certificates[0].Certificate[0]))
	write(t, filepath.Join(dir, "key.pem"), block("EC PRIVATE KEY", key))
	return roots
}

func dialTCP(t *testing.T, address string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

func TestProsody(t *testing.T) {
	p := startProsody(t)
	ctx := timeout(t)
	balcony, _ := juliet.WithResource("balcony")
	account := session.Account{Address: balcony, Password: "pencil", TLS: p.roots}
	client, err := session.Client(ctx, dialTCP(t, p.client), account)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if client.Local() != balcony || client.TLS() == nil || !client.Resumable() {
		t.Fatalf("as %v, resumable %v", client.Local(), client.Resumable())
	}
	plays := jid.MustParse("plays.example.org")
	bot, err := component.Open(ctx, dialTCP(t, p.component), component.Config{Name: plays, Secret: "secret"})
	if err != nil {
		t.Fatal(err)
	}
	defer bot.Close()
	served := make(chan error, 1)
	go func() {
		served <- mux.Mux{
			{Name: stanza.IQ, Type: stanza.TypeGet, Payload: "ping", NS: ns.Ping, Do: mux.Pong},
		}.Serve(ctx, bot)
	}()

	t.Run("roster and presence", func(t *testing.T) {
		contacts, err := client.Roster(ctx)
		if err != nil || len(contacts) != 0 {
			t.Fatalf("roster %v, %v", contacts, err)
		}
		if err := client.Presence(ctx, ""); err != nil {
			t.Fatal(err)
		}
		st, err := client.Receive(ctx)
		if err != nil || st.Name != stanza.Presence || st.From != balcony {
			t.Fatalf("got %+v, %v", st, err)
		}
	})
	t.Run("ping of the component", func(t *testing.T) {
		ping := stanza.Stanza{Name: stanza.IQ, Type: stanza.TypeGet, To: plays, Body: xml.AppendEmpty(nil, "ping", ns.Ping)}
		if _, err := client.Request(ctx, ping); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("messages over a connection that is cut", func(t *testing.T) { cutAndResume(t, p, client, bot) })
	t.Run("direct TLS", func(t *testing.T) {
		account.Address = juliet
		other, err := session.Client(ctx, clientTLS(t, dialTCP(t, p.direct), p.roots), account)
		if err != nil {
			t.Fatal(err)
		}
		if err := other.Close(); err != nil || other.Local().IsBare() {
			t.Fatalf("as %v, %v", other.Local(), err)
		}
	})
	t.Run("wrong secret", func(t *testing.T) {
		_, err := component.Open(ctx, dialTCP(t, p.component), component.Config{Name: plays, Secret: "guess"})
		var e *stream.Error
		if !errors.As(err, &e) || e.Condition != stream.NotAuthorized {
			t.Fatalf("got %v", err)
		}
	})
	bot.Close()
	<-served
}

// cutAndResume has both ends send while the client's connection is lost now and then.
func cutAndResume(t *testing.T, p *prosody, client, bot *session.Session) {
	ctx := timeout(t)
	const rounds, each = 5, 20
	for round := range rounds {
		for i := range each {
			m := message(client.Local(), fmt.Sprint(round*each+i))
			m.From = jid.MustParse("romeo@plays.example.org")
			if err := bot.Send(ctx, m); err != nil {
				t.Fatal(err)
			}
			if i == each/2 {
				client.Drop()
			}
		}
		if err := client.Resume(ctx, dialTCP(t, p.client)); err != nil {
			t.Fatal(err)
		}
	}
	for i := range rounds * each {
		st, err := client.Receive(ctx)
		if err != nil || body(st) != fmt.Sprint(i) {
			t.Fatalf("message %d: got %s %q, %v", i, st.Name, body(st), err)
		}
	}
	if err := client.Sync(ctx); err != nil {
		t.Fatal(err)
	}
}
