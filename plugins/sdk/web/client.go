package web

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/netip"
)

// A Client is who has sent a request.
type Client struct {
	Addr netip.AddrPort // its own, or as a trusted proxy says; then without a port
	// Secure says that nobody on the way can read along: there is TLS, here or at
	// a trusted proxy, or the client is on this machine and no proxy between.
	Secure bool
	// TLS is the state of the client's encryption if it ends here, else nil.
	TLS *tls.ConnectionState
	// Proto is what a trusted proxy says that it was asked by: "https"; "" without one.
	Proto string
}

type clientKey struct{}

// WithClient returns r with the client that has sent it; for who serves.
func WithClient(r *http.Request, c Client) *http.Request {
	return r.WithContext(context.WithValue(r.Context(), clientKey{}, c))
}

// ClientOf returns who has sent a request.
func ClientOf(r *http.Request) Client {
	if c, ok := r.Context().Value(clientKey{}).(Client); ok {
		return c
	}
	addr, _ := netip.ParseAddrPort(r.RemoteAddr)
	return Client{Addr: addr, Secure: r.TLS != nil, TLS: r.TLS}
}

// NetAddr is the address as connections have it.
func (c Client) NetAddr() net.Addr { return net.TCPAddrFromAddrPort(c.Addr) }
