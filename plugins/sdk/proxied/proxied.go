// Package proxied has the addresses of clients that come by way of a proxy, as
// the PROXY protocol tells them, versions 1 and 2 (haproxy's proxy-protocol.txt).
//
// Only proxies that are trusted may tell them, and those have to: a connection
// from one begins with a header, one from anybody else does not, so that nobody
// can say that he is somewhere else.
package proxied

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/netip"
	"time"

	"github.com/jabberii/server/jabberd/module"
	"github.com/pires/go-proxyproto"
)

// headerTime is how long a proxy may take for its header.
const headerTime = 10 * time.Second

// Proxies are the addresses that are trusted.
type Proxies []netip.Prefix

// Parse reads the argument of a module: addresses and networks, "10.0.0.7" or
// "10.0.0.0/8". The error is that of the argument.
func Parse(name string, list []string) (Proxies, error) {
	var all Proxies
	for i, text := range list {
		if a, err := netip.ParseAddr(text); err == nil {
			all = append(all, netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen()))
			continue
		}
		p, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, module.BadArg(fmt.Sprintf("%s.%d", name, i), "%q is no address or network; write it like 10.0.0.7 or 10.0.0.0/8", text)
		}
		all = append(all, p)
	}
	return all, nil
}

// Trust reports whether an address is that of a proxy.
func (p Proxies) Trust(address net.Addr) bool {
	tcp, ok := address.(*net.TCPAddr)
	if !ok {
		return false
	}
	a := tcp.AddrPort().Addr().Unmap()
	for _, prefix := range p {
		if prefix.Contains(a) {
			return true
		}
	}
	return false
}

// Accept returns a connection whose RemoteAddr is that of the client: c itself
// unless a proxy has opened it, from which it reads the header. It waits for
// that at most ten seconds. On an error c is not closed.
func (p Proxies) Accept(c net.Conn) (net.Conn, error) {
	tcp, ok := c.(*net.TCPConn)
	if !ok || len(p) == 0 || !p.Trust(c.RemoteAddr()) {
		return c, nil
	}
	tcp.SetReadDeadline(time.Now().Add(headerTime))
	r := bufio.NewReader(tcp)
	h, err := proxyproto.Read(r)
	if err != nil {
		return nil, fmt.Errorf("header of the proxy at %s: %w", tcp.RemoteAddr(), err)
	}
	tcp.SetReadDeadline(time.Time{})
	early, _ := r.Peek(r.Buffered())
	client := &conn{TCPConn: tcp, early: early, remote: tcp.RemoteAddr()}
	if source, _, ok := h.TCPAddrs(); ok && !h.Command.IsLocal() { // local is the proxy itself, asking how we are
		client.remote = source
	}
	return client, nil
}

// A conn is a connection behind its header.
type conn struct {
	*net.TCPConn
	early  []byte // came with the header
	remote net.Addr
}

func (c *conn) Read(b []byte) (int, error) {
	if len(c.early) > 0 {
		n := copy(b, c.early)
		if c.early = c.early[n:]; len(c.early) == 0 {
			c.early = nil
		}
		return n, nil
	}
	return c.TCPConn.Read(b)
}

// WriteTo is not that of the TCP connection, which knows nothing of what came early.
func (c *conn) WriteTo(w io.Writer) (int64, error) { return io.Copy(w, struct{ io.Reader }{c}) }

func (c *conn) RemoteAddr() net.Addr { return c.remote }
