package proxied_test

import (
	"io"
	"net"
	"strings"
	"syscall"
	"testing"

	"github.com/jabberii/server/plugins/sdk/proxied"
	"github.com/pires/go-proxyproto"
)

func version2(t *testing.T, h proxyproto.Header) string {
	t.Helper()
	h.Version = 2
	b, err := h.Format()
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestAccept(t *testing.T) {
	four := proxyproto.Header{Command: proxyproto.PROXY, TransportProtocol: proxyproto.TCPv4,
		SourceAddr: &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 1000}, DestinationAddr: &net.TCPAddr{IP: net.IPv4(192, 0, 2, 2), Port: 5222}}
	six := proxyproto.Header{Command: proxyproto.PROXY, TransportProtocol: proxyproto.TCPv6,
		SourceAddr: &net.TCPAddr{IP: net.ParseIP("2001:db8::1"), Port: 1000}, DestinationAddr: &net.TCPAddr{IP: net.ParseIP("2001:db8::2"), Port: 5222}}
	for _, c := range []struct {
		name, trusted, say, from, rest string // from "" is the peer itself, "!" an error
	}{
		{"version 1", "127.0.0.1", "PROXY TCP4 192.0.2.1 192.0.2.2 1000 5222\r\nhello", "192.0.2.1:1000", "hello"},
		{"version 1, IPv6", "127.0.0.0/8", "PROXY TCP6 2001:db8::1 2001:db8::2 1000 5222\r\nhello", "[2001:db8::1]:1000", "hello"},
		{"version 1, unknown", "127.0.0.1", "PROXY UNKNOWN\r\nhello", "", "hello"},
		{"version 2", "127.0.0.1", version2(t, four) + "hello", "192.0.2.1:1000", "hello"},
		{"version 2, IPv6", "::ffff:127.0.0.1", version2(t, six) + "hello", "[2001:db8::1]:1000", "hello"},
		{"version 2, local", "127.0.0.1", version2(t, proxyproto.Header{Command: proxyproto.LOCAL, TransportProtocol: proxyproto.UNSPEC}) + "hello", "", "hello"},
		{"no header", "127.0.0.1", "<stream:stream>", "!", ""},
		{"half a header", "127.0.0.1", "PROXY TCP4 192.0.2.1", "!", ""},
		{"too long", "127.0.0.1", "PROXY " + strings.Repeat("x", 200), "!", ""},
		{"nothing", "127.0.0.1", "", "!", ""},
		{"not a proxy", "10.0.0.0/8", "PROXY TCP4 192.0.2.1 192.0.2.2 1000 5222\r\nhello", "", "PROXY TCP4 192.0.2.1 192.0.2.2 1000 5222\r\nhello"},
	} {
		t.Run(c.name, func(t *testing.T) {
			proxies, err := proxied.Parse("proxies", []string{c.trusted})
			if err != nil {
				t.Fatal(err)
			}
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			theirs, err := net.Dial("tcp", l.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			io.WriteString(theirs, c.say)
			theirs.(*net.TCPConn).CloseWrite()
			defer theirs.Close()
			accepted, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			defer accepted.Close()
			ours, err := proxies.Accept(accepted)
			if c.from == "!" {
				if err == nil {
					t.Error("is taken")
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if c.from == "" {
				c.from = theirs.LocalAddr().String()
			}
			rest, err := io.ReadAll(ours)
			if got := ours.RemoteAddr().String(); got != c.from || err != nil || string(rest) != c.rest {
				t.Errorf("from %s: %q, %v; want from %s: %q", got, rest, err, c.from, c.rest)
			}
			if _, ok := ours.(syscall.Conn); !ok {
				t.Error("it cannot be parked")
			}
		})
	}
}

func TestParse(t *testing.T) {
	for _, wrong := range []string{"", "proxy.example", "10.0.0.0/33", "10.0.0.1:5222"} {
		if _, err := proxied.Parse("proxies", []string{"::1", wrong}); err == nil || !strings.Contains(err.Error(), "proxies.1") {
			t.Errorf("%q: %v", wrong, err)
		}
	}
}
