package acme_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/certmagic"

	"github.com/jabberii/server/basemods/load"
	"github.com/jabberii/server/bench/port"
	"github.com/jabberii/server/jabberd/config/configtest"
	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/acme"
	"github.com/jabberii/server/plugins/c2s"
	weblisten "github.com/jabberii/server/plugins/http"
	"github.com/jabberii/server/plugins/sdk/certs"
	"github.com/jabberii/server/plugins/sdk/sdktest"
	"github.com/jabberii/server/plugins/sdk/web"
	"github.com/jabberii/server/plugins/sdk/xdb"
	"github.com/jabberii/server/xdb/file"
)

type asker struct{ h *sdktest.Harness }

func (a asker) Ask(_ context.Context, q *packet.Packet) (*packet.Packet, error) { return a.h.Ask(q) }

var addressIn = regexp.MustCompile(`address='([^']+)'`)

// freePort is one that nobody listens on.
func freePort(t *testing.T) int {
	t.Helper()
	ports, err := port.Free(1)
	if err != nil {
		t.Fatal(err)
	}
	return ports[0]
}

// An authority issues certificates for the hosts that are here, c2s and http show them,
// and after a restart they are still there.
func TestCertificatesAreIssuedAndShown(t *testing.T) {
	port := freePort(t)
	directory, roots := authority(t, port, 90*24*3600)
	args := fmt.Sprintf(`{"hosts":["example.org","b\u00fccher.example.org"],"terms_agreed":true,"email":"ann@example.org",
		"directory":%q,"directory_ca":%q,"listen":"127.0.0.1:%d"}`, directory, roots, port)
	plan := sdktest.Plan{
		Modules: []module.Module{acme.Module, c2s.Module, weblisten.With(new(web.Routes)), file.Module},
		Sections: []module.Section{
			sdktest.Section("certificates", packet.Session, sdktest.Block("acme", args)),
			sdktest.Section("c2s", packet.Session, sdktest.Block("c2s", `{"listen":[],"tls":{"listen":["127.0.0.1:0"]}}`)),
			sdktest.Section("web", packet.Session, sdktest.Block("http", `{"tls":{"listen":["127.0.0.1:0"]}}`)),
			sdktest.Section("users", packet.Session, sdktest.Host("example.org"), sdktest.Host("b\u00fccher.example.org"), sdktest.Sink()),
			sdktest.Section("store", packet.XDB, sdktest.Host("*"), sdktest.Block("file", `{"path":"xdb"}`)),
		},
	}
	sdktest.Both(t, plan, func(t *testing.T, h *sdktest.Harness) {
		address := listening(h)
		overHTTP := addressIn.FindStringSubmatch(h.Logged("listening for HTTP").Attrs)[1]
		for range 2 {
			h.Logged("put a certificate into storage")
		}
		first := issued(t, h, address, "example.org")
		if other := issued(t, h, overHTTP, "example.org"); other != first {
			t.Error("c2s and http show another certificate each")
		}
		if again := issued(t, h, address, "b\u00fccher.example.org"); again == first {
			t.Error("two hosts have one certificate")
		}
		h.Restart()
		if after := issued(t, h, listening(h), "example.org"); after != first {
			t.Error("after a restart it is another certificate")
		}
	})
}

// A certificate that is renewed is shown in place of the one before.
func TestCertificatesAreRenewedAndShown(t *testing.T) {
	port := freePort(t)
	directory, roots := authority(t, port, 1800) // which certmagic renews when it looks next
	args := fmt.Sprintf(`{"hosts":["example.org"],"terms_agreed":true,"directory":%q,"directory_ca":%q,"listen":"127.0.0.1:%d"}`, directory, roots, port)
	plan := sdktest.Plan{
		Modules: []module.Module{acme.Module, c2s.Module, file.Module},
		Sections: []module.Section{
			sdktest.Section("certificates", packet.Session, sdktest.Block("acme", args)),
			sdktest.Section("c2s", packet.Session, sdktest.Block("c2s", `{"listen":[],"tls":{"listen":["127.0.0.1:0"]}}`)),
			sdktest.Section("users", packet.Session, sdktest.Host("example.org"), sdktest.Sink()),
			sdktest.Section("store", packet.XDB, sdktest.Host("*"), sdktest.Block("file", `{"path":"xdb"}`)),
		},
	}
	sdktest.Both(t, plan, func(t *testing.T, h *sdktest.Harness) {
		address := listening(h)
		h.Logged("put a certificate into storage")
		first := issued(t, h, address, "example.org")
		h.Restart()
		address = listening(h)
		h.Logged("put a certificate into storage")
		if after := issued(t, h, address, "example.org"); after == first {
			t.Error("the certificate that was renewed is not shown")
		}
	})
}

// What goes wrong is said.
func TestAHostThatIsElsewhere(t *testing.T) {
	port := freePort(t)
	directory, roots := authority(t, port, 90*24*3600)
	args := fmt.Sprintf(`{"hosts":["elsewhere.example"],"terms_agreed":true,"directory":%q,"directory_ca":%q,"listen":"127.0.0.1:%d"}`, directory, roots, port)
	plan := sdktest.Plan{
		Modules: []module.Module{acme.Module, file.Module},
		Sections: []module.Section{
			sdktest.Section("certificates", packet.Session, sdktest.Block("acme", args)),
			sdktest.Section("store", packet.XDB, sdktest.Host("*"), sdktest.Block("file", `{"path":"xdb"}`)),
		},
	}
	sdktest.Both(t, plan, func(t *testing.T, h *sdktest.Harness) {
		if e := h.Logged("no certificate was issued"); e.Type != "error" || e.Host != "elsewhere.example" || !strings.Contains(e.Attrs, "could not resolve") {
			t.Errorf("logged as %s of %s: %s", e.Type, e.Host, e.Attrs)
		}
	})
}

func listening(h *sdktest.Harness) string {
	return addressIn.FindStringSubmatch(h.Logged("listening for clients").Attrs)[1]
}

// issued is the number of the certificate that is in storage and that c2s shows.
func issued(t *testing.T, h *sdktest.Harness, address, host string) string {
	t.Helper()
	stored, err := certs.Get(t.Context(), xdb.New(asker{h}, "test"), host)
	if err != nil || stored == nil {
		t.Fatalf("%s is not in storage: %v", host, err)
	}
	ascii := strings.ReplaceAll(host, "b\u00fccher", "xn--bcher-kva")
	conn, err := tls.Dial("tcp", address, &tls.Config{ServerName: ascii, InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	shown := conn.ConnectionState().PeerCertificates[0]
	if !shown.Equal(stored.Leaf) || !slices.Contains(shown.DNSNames, ascii) || !strings.Contains(shown.Issuer.CommonName, "Pebble") {
		t.Errorf("%s is shown one for %q by %s", host, shown.DNSNames, shown.Issuer.CommonName)
	}
	return shown.SerialNumber.String()
}

func TestArguments(t *testing.T) {
	for name, c := range map[string]struct{ args, want string }{
		"no agreement": {`{"hosts":["example.org"]}`, "terms_agreed"},
		"no hosts":     {`{"hosts":[],"terms_agreed":true}`, "hosts"},
		"a wildcard":   {`{"hosts":["a.example","*.example.org"],"terms_agreed":true}`, "hosts.1"},
		"an address":   {`{"hosts":["192.0.2.1"],"terms_agreed":true}`, "hosts.0"},
		"half a key":   {`{"hosts":["example.org"],"terms_agreed":true,"key_id":"x"}`, "key_id"},
		"no port":      {`{"hosts":["example.org"],"terms_agreed":true,"listen":"80"}`, "listen.0"},
	} {
		if _, err := acme.Module.New(nil, []byte(c.args)); err == nil || !strings.Contains(err.Error(), c.want+":") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func newStorages(t *testing.T) (one, two certmagic.Storage) {
	t.Helper()
	h := sdktest.New(t, sdktest.Plan{
		Modules:  []module.Module{file.Module},
		Sections: []module.Section{sdktest.Section("store", packet.XDB, sdktest.Host("*"), sdktest.Block("file", `{"path":"xdb"}`))},
	}, false)
	store := xdb.New(asker{h}, "test")
	return acme.NewStorage(store, "example.org"), acme.NewStorage(store, "example.org")
}

func TestStorage(t *testing.T) {
	s, other := newStorages(t)
	ctx := t.Context()
	for key, value := range map[string]string{"a/b/c": "one", "a/b/d": "\x00<&", "a/e": "", "ab": "x"} {
		if err := s.Store(ctx, key, []byte(value)); err != nil {
			t.Fatal(err)
		}
		if got, err := other.Load(ctx, key); err != nil || string(got) != value {
			t.Errorf("%s is %q, %v", key, got, err)
		}
	}
	if _, err := s.Load(ctx, "a/b"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("nothing is there: %v", err)
	}
	if info, err := s.Stat(ctx, "a/b/c"); err != nil || !info.IsTerminal || info.Size != 3 || time.Since(info.Modified) > time.Minute {
		t.Errorf("a file: %+v, %v", info, err)
	}
	if info, err := s.Stat(ctx, "a/b"); err != nil || info.IsTerminal {
		t.Errorf("a folder: %+v, %v", info, err)
	}
	list := func(path string, recursive bool, want ...string) {
		t.Helper()
		if got, err := s.List(ctx, path, recursive); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s has %q, %v; want %q", path, got, err, want)
		}
	}
	list("", false, "a", "ab")
	list("a", false, "a/b", "a/e")
	list("a/", true, "a/b/c", "a/b/d", "a/e")
	if err := s.Delete(ctx, "a/b"); err != nil {
		t.Fatal(err)
	}
	list("", true, "a/e", "ab")
	if s.Exists(ctx, "a/b") || !s.Exists(ctx, "a") {
		t.Error("the folder is there, or what is beside it is not")
	}
	if err := s.Delete(ctx, "nothing"); err != nil {
		t.Error(err)
	}
}

func TestLocks(t *testing.T) {
	one, two := newStorages(t)
	ctx := t.Context()
	if err := one.Lock(ctx, "issue example.org"); err != nil {
		t.Fatal(err)
	}
	short, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
	defer cancel()
	if err := two.Lock(short, "issue example.org"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a lock that another holds: %v", err)
	}
	if err := two.Lock(ctx, "another"); err != nil {
		t.Error(err)
	}
	taken := make(chan error)
	go func() { taken <- two.Lock(ctx, "issue example.org") }()
	if err := one.Unlock(ctx, "issue example.org"); err != nil {
		t.Error(err)
	}
	if err := <-taken; err != nil {
		t.Error(err)
	}
	if err := one.Unlock(ctx, "issue example.org"); err == nil {
		t.Error("gives back what it does not hold")
	}
	for _, name := range []string{"another", "issue example.org"} {
		if err := two.Unlock(ctx, name); err != nil {
			t.Error(err)
		}
	}
}

func TestReadme(t *testing.T) { configtest.Readme(t, acme.Module, load.With(acme.Module, c2s.Module)) }
