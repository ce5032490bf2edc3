package bosh

import (
	"context"
	"crypto/tls"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"sync"

	"github.com/jabberii/server/plugins/xmpp/xml"
)

// Dial connects to a URL, http or https, with a configuration for TLS that may be
// nil. The connection carries a stream as one over TCP does, for package session
// for example: a header that is written begins a session or restarts it, elements
// go out with the next request, and the end of the stream ends the session. A
// request whose response is lost is made again. If there is TLS the connection
// has the method ConnectionState, of the first of the connections that requests
// take. It is for one who reads and one who writes; Close ends it without a word,
// and then the server waits for a further request.
func Dial(ctx context.Context, address string, config *tls.Config) (net.Conn, error) {
	at, err := url.Parse(address)
	if err != nil {
		return nil, fmt.Errorf("bosh: %w", err)
	}
	var dialer interface {
		DialContext(ctx context.Context, network, address string) (net.Conn, error)
	}
	port := at.Port()
	switch {
	case at.Scheme == "http":
		dialer, port = new(net.Dialer), orDefault(port, "80")
	case at.Scheme == "https":
		config = config.Clone()
		if config == nil {
			config = new(tls.Config)
		}
		config.NextProtos = []string{"http/1.1"}
		dialer, port = &tls.Dialer{Config: config}, orDefault(port, "443")
	default:
		return nil, fmt.Errorf("bosh: %s: http or https is needed", address)
	}
	first, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort(at.Hostname(), port))
	if err != nil {
		return nil, fmt.Errorf("bosh: %w", err)
	}
	unused := make(chan net.Conn, 1)
	unused <- first
	dial := func(ctx context.Context, network, address string) (net.Conn, error) {
		select {
		case conn := <-unused:
			return conn, nil
		default:
			return dialer.DialContext(ctx, network, address)
		}
	}
	c := newClient(address, first, &http.Transport{DialContext: dial, DialTLSContext: dial, DisableCompression: true})
	go c.send()
	if secure, ok := first.(*tls.Conn); ok {
		return secureClient{c, secure}, nil
	}
	return c, nil
}

func orDefault(port, without string) string {
	if port == "" {
		return without
	}
	return port
}

func newClient(address string, first net.Conn, transport *http.Transport) *client {
	c := &client{
		url: address, first: first, http: &http.Client{Transport: transport},
		rid: rand.Int64N(maxRID >> 1), requests: 1,
		scanner: xml.NewScanner(xml.Limits{}), answers: map[int64][]byte{},
	}
	c.expected = c.rid + 1
	c.cond = sync.NewCond(&c.mu)
	c.ctx, c.cancel = context.WithCancel(context.Background())
	return c
}

// secureClient says that there is TLS below, as package session asks.
type secureClient struct {
	*client
	secure *tls.Conn
}

func (c secureClient) ConnectionState() tls.ConnectionState { return c.secure.ConnectionState() }
