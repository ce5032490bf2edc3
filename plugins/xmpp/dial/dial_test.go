package dial_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jabberii/server/plugins/xmpp/dial"
	"github.com/jabberii/server/plugins/xmpp/discover"
)

// names is a resolver: SRV records by service, addresses by host.
type names struct {
	srv   map[string][]*net.SRV
	hosts map[string]string
}

func (n names) LookupSRV(_ context.Context, service, _, _ string) (string, []*net.SRV, error) {
	return "", n.srv[service], nil
}

func (n names) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	var all []netip.Addr
	for _, s := range strings.Fields(n.hosts[strings.TrimSuffix(host, ".")]) {
		all = append(all, netip.MustParseAddr(s))
	}
	if all == nil {
		return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	}
	return all, nil
}

// listen accepts on loopback, and hands the connections to serve.
func listen(t *testing.T, serve func(net.Conn)) (port uint16) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer conn.Close()
				serve(conn)
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		wg.Wait()
	})
	return l.Addr().(*net.TCPAddr).AddrPort().Port()
}

// closed is a port that nobody listens on.
func closed(t *testing.T) uint16 {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).AddrPort().Port()
}

func say(text string) func(net.Conn) {
	return func(c net.Conn) { c.Write([]byte(text)) }
}

// hear reads what a listener says.
func hear(t *testing.T, conn net.Conn, err error) string {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	b := make([]byte, 100)
	n, err := conn.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	return string(b[:n])
}

func TestTargetsInTheirOrder(t *testing.T) {
	first, second := listen(t, say("first")), listen(t, say("second"))
	record := func(port, priority uint16) *net.SRV {
		return &net.SRV{Target: "host.example.", Port: port, Priority: priority}
	}
	cases := []struct {
		name    string
		records []*net.SRV
		want    string
	}{
		{"the first", []*net.SRV{record(second, 2), record(first, 1)}, "first"},
		{"the second, if the first refuses", []*net.SRV{record(closed(t), 1), record(second, 2)}, "second"},
		{"the second, if the first has no address", []*net.SRV{{Target: "lost.example.", Port: first}, record(second, 2)}, "second"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			d := dial.Dialer{Resolver: names{
				srv:   map[string][]*net.SRV{"xmpp-client": c.records},
				hosts: map[string]string{"host.example": "127.0.0.1"},
			}}
			conn, err := d.Dial(t.Context(), discover.Client, "example.org")
			if got := hear(t, conn, err); got != c.want {
				t.Fatalf("connected to the %s", got)
			}
		})
	}
}

func TestNobodyThere(t *testing.T) {
	d := dial.Dialer{Resolver: names{hosts: map[string]string{"a.example": "127.0.0.1"}}}
	targets := []discover.Target{{Host: "a.example", Port: closed(t)}, {Host: "b.example", Port: 1}}
	_, err := d.DialTargets(t.Context(), discover.Client, "example.org", targets)
	var dns *net.DNSError
	var op *net.OpError
	if !errors.As(err, &dns) || !errors.As(err, &op) {
		t.Fatalf("want both reasons, got %v", err)
	}
	d.NoDirectTLS = true
	targets = []discover.Target{{Host: "a.example", Port: 1, TLS: true}}
	if _, err := d.DialTargets(t.Context(), discover.Client, "example.org", targets); err == nil {
		t.Fatal("connected with TLS")
	}
}

// An address that does not answer costs its head start, not the timeout.
func TestSilentAddressIsOvertaken(t *testing.T) {
	port := listen(t, say("hello"))
	released := make(chan struct{})
	var tried []string
	var mu sync.Mutex
	d := dial.Dialer{
		Resolver: names{hosts: map[string]string{"host.example": "2001:db8::1 2001:db8::2 127.0.0.1"}},
		Connect: func(ctx context.Context, network, address string) (net.Conn, error) {
			mu.Lock()
			tried = append(tried, address)
			mu.Unlock()
			if strings.HasPrefix(address, "[") {
				<-ctx.Done()
				close(released)
				return nil, ctx.Err()
			}
			return new(net.Dialer).DialContext(ctx, network, address)
		},
	}
	targets := []discover.Target{{Host: "host.example", Port: port}}
	conn, err := d.DialTargets(t.Context(), discover.Client, "example.org", targets)
	if got := hear(t, conn, err); got != "hello" {
		t.Fatalf("heard %q", got)
	}
	<-released // the one that lost was cancelled
	want := fmt.Sprintf("[[2001:db8::1]:%d 127.0.0.1:%d]", port, port)
	if got := fmt.Sprint(tried); got != want {
		t.Fatalf("tried %s, want %s", got, want)
	}
}

// A connection that succeeds after another has won is closed.
func TestLateConnectionIsClosed(t *testing.T) {
	ours, theirs := net.Pipe()
	won := make(chan struct{})
	d := dial.Dialer{
		Resolver: names{hosts: map[string]string{"host.example": "192.0.2.1 192.0.2.2"}},
		Connect: func(ctx context.Context, _, address string) (net.Conn, error) {
			if strings.HasPrefix(address, "192.0.2.1") {
				<-won
				return ours, nil
			}
			a, b := net.Pipe()
			t.Cleanup(func() { b.Close() })
			return a, nil
		},
	}
	conn, err := d.DialTargets(t.Context(), discover.Client, "example.org", []discover.Target{{Host: "host.example", Port: 1}})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	close(won)
	if _, err := theirs.Read(make([]byte, 1)); err == nil {
		t.Fatal("still open")
	}
}

func TestTimeoutAndCancel(t *testing.T) {
	hang := func(ctx context.Context, _, _ string) (net.Conn, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	targets := []discover.Target{{Host: "192.0.2.1", Port: 1}, {Host: "192.0.2.2", Port: 1}}
	d := dial.Dialer{Connect: hang, Timeout: time.Millisecond}
	_, err := d.DialTargets(t.Context(), discover.Client, "example.org", targets)
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "192.0.2.2") {
		t.Fatalf("want both to time out, got %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancelling := dial.Dialer{Connect: func(c context.Context, network, address string) (net.Conn, error) {
		cancel()
		return hang(c, network, address)
	}}
	_, err = cancelling.DialTargets(ctx, discover.Client, "example.org", targets)
	if !errors.Is(err, context.Canceled) || strings.Contains(err.Error(), "192.0.2.2") {
		t.Fatalf("want an end at the first, got %v", err)
	}
}

func certificate(t *testing.T, name string) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(raw)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{raw}, PrivateKey: key}, roots
}

func TestDirectTLS(t *testing.T) {
	cert, roots := certificate(t, "xn--bcher-kva.example")
	states := make(chan tls.ConnectionState, 1)
	port := listen(t, func(c net.Conn) {
		server := tls.Server(c, &tls.Config{
			Certificates: []tls.Certificate{cert}, NextProtos: []string{"http/1.1", "xmpp-client", "xmpp-server"},
		})
		if server.Handshake() == nil {
			states <- server.ConnectionState()
			server.Write([]byte("hello"))
		}
	})
	for _, service := range []discover.Service{discover.Client, discover.Server} {
		d := dial.Dialer{
			TLS: &tls.Config{RootCAs: roots},
			Resolver: names{
				srv: map[string][]*net.SRV{
					strings.Replace(service.String(), "xmpp", "xmpps", 1): {{Target: "target.example.", Port: port}},
				},
				hosts: map[string]string{"target.example": "127.0.0.1"},
			},
		}
		conn, err := d.Dial(t.Context(), service, "b\u00fccher.example")
		if _, ok := conn.(*tls.Conn); err == nil && !ok {
			t.Fatalf("a %T", conn)
		}
		if got := hear(t, conn, err); got != "hello" {
			t.Fatalf("heard %q", got)
		}
		state := <-states
		if state.ServerName != "xn--bcher-kva.example" || state.NegotiatedProtocol != service.String() {
			t.Fatalf("server name %q, protocol %q", state.ServerName, state.NegotiatedProtocol)
		}
		if d.TLS.ServerName != "" || d.TLS.NextProtos != nil {
			t.Fatal("the dialer's configuration was changed")
		}
	}
}

// The certificate has to be the domain's: what the DNS names does not count.
func TestDirectTLSOfAnotherDomain(t *testing.T) {
	cert, roots := certificate(t, "target.example")
	port := listen(t, func(c net.Conn) {
		tls.Server(c, &tls.Config{Certificates: []tls.Certificate{cert}}).Handshake()
	})
	d := dial.Dialer{
		TLS:      &tls.Config{RootCAs: roots},
		Resolver: names{hosts: map[string]string{"target.example": "127.0.0.1"}},
	}
	targets := []discover.Target{{Host: "target.example", Port: port, TLS: true}}
	_, err := d.DialTargets(t.Context(), discover.Client, "example.org", targets)
	var wrong x509.HostnameError
	if !errors.As(err, &wrong) {
		t.Fatalf("got %v", err)
	}
}
