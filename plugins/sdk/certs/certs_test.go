package certs_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sdk/certs"
	"github.com/jabberii/server/plugins/sdk/sdktest"
	"github.com/jabberii/server/plugins/sdk/xdb"
	"github.com/jabberii/server/xdb/memory"
)

// place is where a store is: some hosts, a data folder, storage and a log.
type place struct {
	module.Env
	dir     string
	hosts   []string
	harness *sdktest.Harness

	mu      sync.Mutex
	log     bytes.Buffer
	written chan struct{}
}

func (p *place) Section() string                     { return "tls" }
func (p *place) Path(name string) string             { return sdkPath(p.dir, name) }
func (p *place) Serves(_ packet.Kind, h string) bool { return slices.Contains(p.hosts, h) }
func (p *place) Log() *slog.Logger                   { return slog.New(slog.NewTextHandler(p, nil)) }
func (p *place) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case p.written <- struct{}{}:
	default:
	}
	return p.log.Write(b)
}

func (p *place) said() string { p.mu.Lock(); defer p.mu.Unlock(); return p.log.String() }
func (p *place) Ask(_ context.Context, q *packet.Packet) (*packet.Packet, error) {
	return p.harness.Ask(q)
}

func sdkPath(dir, name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(dir, name)
}

func newPlace(t *testing.T, hosts ...string) *place {
	return &place{dir: t.TempDir(), hosts: hosts, written: make(chan struct{}, 1)}
}

func start(t *testing.T, p *place, a certs.Args) *certs.Store {
	t.Helper()
	if a.Folder == "" {
		a.Folder = "certs"
	}
	s, err := certs.New(p, packet.Session, a)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

// shown is the subject of the certificate that is shown for a name.
func shown(t *testing.T, s *certs.Store, name string) string {
	t.Helper()
	c, err := s.Certificate(t.Context(), name)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return c.Leaf.Subject.CommonName
}

// copyTo puts files into a folder under other names.
func copyTo(t *testing.T, dir string, from ...string) {
	t.Helper()
	for i := 0; i < len(from); i += 2 {
		b, err := os.ReadFile(from[i])
		if err != nil {
			t.Fatal(err)
		}
		to := filepath.Join(dir, from[i+1])
		if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(to, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestTheCertificateOfAName(t *testing.T) {
	a := sdktest.NewAuthority(t)
	p := newPlace(t, "served.example", "b\u00fccher.example")
	other, otherKey := a.Issue("other.example")
	named, namedKey := a.Issue("somebody.example")
	wild, wildKey := a.Sign("wild", subject("wild", "*.example.org", "example.org"))
	two, twoKey := a.Sign("two", subject("two", "one.example", "two.example", "chat.example.org"))
	idn, idnKey := a.Sign("idn", subject("idn", "xn--bcher-kva.example"))
	copyTo(t, p.dir, wild, "certs/anything.crt", wildKey, "certs/anything.key", two, "certs/live/fullchain.pem", twoKey, "certs/live/privkey.pem",
		idn, "certs/idn.pem", idnKey, "certs/idn.key")
	s := start(t, p, certs.Args{Cert: other, Key: otherKey, Named: []certs.Named{{Name: "named.example", Cert: named, Key: namedKey}}})
	for name, want := range map[string]string{
		"named.example":         "somebody.example",
		"other.example":         "other.example",
		"example.org":           "wild",
		"Deep.EXAMPLE.org.":     "wild",
		"chat.example.org":      "two", // a name is stronger than a wildcard
		"a.b.example.org":       "other.example",
		"one.example":           "two",
		"b\u00fccher.example":   "idn",
		"xn--bcher-kva.example": "idn",
		"live":                  "two", // by the name of its folder
		"served.example":        "other.example",
		"":                      "other.example",
	} {
		if got := shown(t, s, name); got != want {
			t.Errorf("%q is shown %s, want %s", name, got, want)
		}
	}
}

func subject(name string, names ...string) *x509.Certificate {
	c := &x509.Certificate{KeyUsage: x509.KeyUsageDigitalSignature, DNSNames: names}
	c.Subject.CommonName = name
	return c
}

func TestWithoutACertificateOneIsMade(t *testing.T) {
	p := newPlace(t, "served.example", "[::1]")
	s := start(t, p, certs.Args{})
	first, err := s.Certificate(t.Context(), "served.example")
	if err != nil || !slices.Equal(first.Leaf.DNSNames, []string{"served.example"}) {
		t.Fatalf("%v %v", first, err)
	}
	if got := shown(t, s, "elsewhere.example"); got != "localhost" {
		t.Errorf("a host that is not here is shown %s", got)
	}
	if c, err := s.Certificate(t.Context(), "[::1]"); err != nil || c.Leaf.VerifyHostname("::1") != nil {
		t.Errorf("an address: %v %v", c.Leaf.IPAddresses, err)
	}
	again, err := start(t, p, certs.Args{}).Certificate(t.Context(), "served.example")
	if err != nil || !bytes.Equal(again.Certificate[0], first.Certificate[0]) {
		t.Errorf("after a restart it is another one, %v", err)
	}
}

// TestOneCertificateForAllWhoMakeIt has several stores, as c2s and http have one
// each, make the certificate of a host at the same time.
func TestOneCertificateForAllWhoMakeIt(t *testing.T) {
	p := newPlace(t, "served.example")
	var stores []*certs.Store
	for range 8 {
		stores = append(stores, start(t, p, certs.Args{}))
	}
	made := make(chan *tls.Certificate, len(stores))
	for _, s := range stores {
		go func() {
			c, err := s.Certificate(t.Context(), "served.example")
			if err != nil {
				t.Error(err)
			}
			made <- c
		}()
	}
	first := <-made
	for range len(stores) - 1 {
		if c := <-made; c != nil && first != nil && !bytes.Equal(c.Certificate[0], first.Certificate[0]) {
			t.Error("there are two certificates")
		}
	}
}

// look has the files looked at, and waits until that was said for the nth time.
func look(t *testing.T, p *place, s *certs.Store, text string, n int) {
	t.Helper()
	certs.Age(s)
	shown(t, s, "x.example")
	late := time.After(30 * time.Second)
	for strings.Count(p.said(), text) < n {
		select {
		case <-p.written:
		case <-late:
			t.Fatalf("%q is not said %d times:\n%s", text, n, p.said())
		}
	}
}

func TestFilesAreSwappedWhenTheyChange(t *testing.T) {
	a := sdktest.NewAuthority(t)
	p := newPlace(t)
	one, oneKey := a.Sign("one", subject("one", "x.example"))
	two, twoKey := a.Sign("two", subject("two", "x.example"))
	late, lateKey := a.Sign("late", subject("late", "late.example"))
	copyTo(t, p.dir, one, "x.crt", oneKey, "x.key")
	s := start(t, p, certs.Args{Cert: "x.crt", Key: "x.key"})
	copyTo(t, p.dir, two, "x.crt") // the key does not fit
	look(t, p, s, "stays", 1)
	if got := shown(t, s, "x.example"); got != "one" {
		t.Errorf("a broken file: shows %s", got)
	}
	copyTo(t, p.dir, twoKey, "x.key", late, "certs/late.example.crt", lateKey, "certs/late.example.key")
	look(t, p, s, "read a new certificate", 1)
	if err := os.Remove(filepath.Join(p.dir, "x.key")); err != nil {
		t.Fatal(err)
	}
	look(t, p, s, "stays", 2) // what was found before is on the shelf by now
	for name, want := range map[string]string{"x.example": "two", "late.example": "late"} {
		if got := shown(t, s, name); got != want {
			t.Errorf("%s is shown %s, want %s", name, got, want)
		}
	}
}

func TestAtTheStartFilesAreRight(t *testing.T) {
	a := sdktest.NewAuthority(t)
	one, _ := a.Issue("one")
	_, twoKey := a.Issue("two")
	for name, args := range map[string]certs.Args{
		"no file":             {Cert: "nowhere.crt", Key: "nowhere.key"},
		"another's key":       {Cert: one, Key: twoKey},
		"no file for a name":  {Named: []certs.Named{{Name: "x", Cert: "nowhere.pem"}}},
		"a name without keys": {Named: []certs.Named{{Name: "x", Cert: one}}},
	} {
		s, err := certs.New(newPlace(t), packet.Session, args)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Start(t.Context()); err == nil || !strings.Contains(err.Error(), "certificate: ") {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, args := range []certs.Args{{Cert: "x"}, {Key: "x"}, {Named: []certs.Named{{Name: "*"}}}, {Named: []certs.Named{{Name: "a*.x"}}}} {
		if _, err := certs.New(newPlace(t), packet.Session, args); err == nil {
			t.Errorf("%+v is taken", args)
		}
	}
}

func TestExpiryIsWarnedOf(t *testing.T) {
	a := sdktest.NewAuthority(t)
	p := newPlace(t)
	for name, days := range map[string][2]int{"soon": {-80, 10}, "later": {-60, 30}, "over": {-90, -1}, "short": {-1, 5}} {
		c := subject(name, name)
		c.NotBefore, c.NotAfter = time.Now().AddDate(0, 0, days[0]), time.Now().AddDate(0, 0, days[1])
		cert, key := a.Sign(name, c)
		copyTo(t, p.dir, cert, "certs/"+name+".crt", key, "certs/"+name+".key")
	}
	start(t, p, certs.Args{})
	said := p.said()
	for text, want := range map[string]bool{"names=soon": true, "names=later": false, "names=over": true, "names=short": false, "has expired": true, "expires soon": true} {
		if strings.Contains(said, text) != want {
			t.Errorf("%q is said: %v\n%s", text, !want, said)
		}
	}
}

func TestCertificatesInStorage(t *testing.T) {
	h := sdktest.New(t, sdktest.Plan{
		Modules:  []module.Module{memory.Module},
		Sections: []module.Section{sdktest.Section("store", packet.XDB, sdktest.Host("*"), sdktest.Block("memory", "{}"))},
	}, false)
	p := newPlace(t, "stored.example", "other.example")
	p.harness = h
	a := sdktest.NewAuthority(t)
	cert, key := a.Issue("stored.example")
	chain, err := os.ReadFile(cert)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := os.ReadFile(key)
	if err != nil {
		t.Fatal(err)
	}
	store := xdb.New(p, "test")
	if err := certs.Put(t.Context(), store, "stored.example", chain, []byte("no key")); err == nil {
		t.Error("a certificate without a key is stored")
	}
	if err := certs.Put(t.Context(), store, "stored.example", chain, secret); err != nil {
		t.Fatal(err)
	}
	s := start(t, p, certs.Args{Storage: true})
	c, err := s.Certificate(t.Context(), "stored.example")
	if err != nil || signedBy(c) != "authority" {
		t.Errorf("shows one by %s, %v", signedBy(c), err)
	}
	if c, err = s.Certificate(t.Context(), "other.example"); err != nil || signedBy(c) != "other.example" {
		t.Errorf("one that is not in storage: shows one by %s, %v", signedBy(c), err)
	}
	if c, err = start(t, p, certs.Args{}).Certificate(t.Context(), "stored.example"); err != nil || signedBy(c) != "stored.example" {
		t.Errorf("without storage: shows one by %s, %v", signedBy(c), err)
	}
}

func signedBy(c *tls.Certificate) string { return c.Leaf.Issuer.CommonName }

func TestHandshakes(t *testing.T) {
	a := sdktest.NewAuthority(t)
	p := newPlace(t)
	one, oneKey := a.Issue("one.example")
	two, twoKey := a.Issue("two.example")
	copyTo(t, p.dir, one, "certs/one.example.crt", oneKey, "certs/one.example.key", two, "certs/two.example.crt", twoKey, "certs/two.example.key")
	for _, c := range []struct {
		name   string
		args   certs.Args
		host   string
		client *tls.Config
		want   string // a name of the certificate, or of an error
		curve  tls.CurveID
	}{
		{"SNI", certs.Args{}, "", &tls.Config{ServerName: "two.example"}, "two.example", tls.X25519},
		{"the stream's host", certs.Args{}, "one.example", &tls.Config{ServerName: "two.example"}, "one.example", tls.X25519},
		{"TLS 1.2", certs.Args{}, "", &tls.Config{ServerName: "one.example", MaxVersion: tls.VersionTLS12}, "one.example", tls.X25519},
		{"TLS 1.1", certs.Args{}, "", &tls.Config{ServerName: "one.example", MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}, "protocol version", 0},
		{"only TLS 1.3", certs.Args{Minimum: "1.3"}, "", &tls.Config{ServerName: "one.example", MaxVersion: tls.VersionTLS12}, "protocol version", 0},
		{"ALPN", certs.Args{}, "", &tls.Config{ServerName: "one.example", NextProtos: []string{"xmpp-client"}}, "one.example", tls.X25519},
		{"another protocol", certs.Args{}, "", &tls.Config{ServerName: "one.example", NextProtos: []string{"h2"}}, "no application protocol", 0},
		{"after quantum computers", certs.Args{PostQuantum: true}, "", &tls.Config{ServerName: "one.example"}, "one.example", tls.X25519MLKEM768},
	} {
		t.Run(c.name, func(t *testing.T) {
			config := start(t, p, c.args).Config(c.host, "xmpp-client")
			c.client.InsecureSkipVerify = true
			ours, theirs := net.Pipe()
			defer ours.Close()
			defer theirs.Close()
			go tls.Server(ours, config).Handshake()
			client := tls.Client(theirs, c.client)
			if err := client.Handshake(); err != nil {
				if !strings.Contains(err.Error(), c.want) {
					t.Errorf("%v, want %s", err, c.want)
				}
				return
			}
			state := client.ConnectionState()
			if got := state.PeerCertificates[0].Subject.CommonName; got != c.want || state.CurveID != c.curve {
				t.Errorf("shows %s by %v, want %s by %v", got, state.CurveID, c.want, c.curve)
			}
		})
	}
}
