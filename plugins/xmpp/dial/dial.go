// Package dial connects to a domain's XMPP service.
//
//	conn, err := new(dial.Dialer).Dial(ctx, discover.Client, "example.org")
//
// Package discover says where to try. The targets are tried in their order, one after
// the other, so that a backup is not used while the main server can be reached; the
// addresses of one target are raced against each other with a small head start for each
// (RFC 8305, "happy eyeballs"), so that a broken IPv6 costs a quarter of a second.
//
// A target with direct TLS (XEP-0368) counts as reached when the handshake is done: with
// the domain, not the target, as the name in SNI and in the certificate, and with ALPN.
// Any other target is a TCP connection in the clear, on which the session negotiates
// STARTTLS. The caller tells them apart by the type: *tls.Conn or not.
package dial

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/jabberii/server/plugins/xmpp/discover"
	"golang.org/x/net/idna"
)

// DefaultTimeout is how long one target is tried unless the dialer says otherwise.
const DefaultTimeout = 10 * time.Second

// A Resolver asks the DNS for SRV records and addresses; *net.Resolver is one.
type Resolver interface {
	discover.Resolver
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// A Dialer says how to connect. The zero Dialer is ready for use; it may be used by
// several goroutines at a time, and is not changed.
type Dialer struct {
	// Resolver is asked for names. Nil means net.DefaultResolver.
	Resolver Resolver
	// TLS is for targets with direct TLS: roots, a client certificate, versions. The
	// server name and the ALPN protocols are filled in where it has none. Nil is the
	// same as the zero Config.
	TLS *tls.Config
	// NoDirectTLS passes over targets with direct TLS.
	NoDirectTLS bool
	// Timeout is for one target, with look-up and TLS. 0 means DefaultTimeout.
	Timeout time.Duration
	// Connect opens a TCP connection. Nil means that of a net.Dialer.
	Connect func(ctx context.Context, network, address string) (net.Conn, error)
}

// Dial connects to a domain's service. The error is that of discover.Lookup, or joins
// those of all the targets.
func (d *Dialer) Dial(ctx context.Context, s discover.Service, domain string) (net.Conn, error) {
	targets, err := discover.Lookup(ctx, d.resolver(), s, domain)
	if err != nil {
		return nil, err
	}
	return d.DialTargets(ctx, s, domain, targets)
}

// DialTargets connects to the first of the targets that can be reached, for callers
// who know where a domain's service is.
func (d *Dialer) DialTargets(ctx context.Context, s discover.Service, domain string, targets []discover.Target) (net.Conn, error) {
	var errs []error
	for _, t := range targets {
		if t.TLS && d.NoDirectTLS {
			continue
		}
		conn, err := d.target(ctx, s, domain, t)
		if err == nil {
			return conn, nil
		}
		errs = append(errs, fmt.Errorf("%s port %d: %w", t.Host, t.Port, err))
		if ctx.Err() != nil {
			break
		}
	}
	if errs == nil {
		errs = []error{errors.New("no target to try")}
	}
	return nil, fmt.Errorf("dial %s of %s: %w", s, domain, errors.Join(errs...))
}

func (d *Dialer) resolver() Resolver {
	if d.Resolver != nil {
		return d.Resolver
	}
	return net.DefaultResolver
}

// target tries all the addresses of one target.
func (d *Dialer) target(ctx context.Context, s discover.Service, domain string, t discover.Target) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(d.Timeout, DefaultTimeout))
	defer cancel()
	addrs, err := d.addresses(ctx, t.Host)
	if err != nil {
		return nil, err
	}
	var config *tls.Config
	if t.TLS {
		if config, err = d.config(s, domain); err != nil {
			return nil, err
		}
	}
	return race(ctx, addrs, func(ctx context.Context, addr netip.Addr) (net.Conn, error) {
		return d.open(ctx, netip.AddrPortFrom(addr, t.Port), config)
	})
}

// maxAddresses bounds what is tried of one host.
const maxAddresses = 16

// addresses are those of a host, the two families in turns, beginning with the one
// that the resolver likes better.
func (d *Dialer) addresses(ctx context.Context, host string) ([]netip.Addr, error) {
	if addr, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{addr}, nil
	}
	addrs, err := d.resolver().LookupNetIP(ctx, "ip", strings.TrimSuffix(host, ".")+".")
	if err != nil {
		return nil, err
	}
	if len(addrs) == 0 {
		return nil, errors.New("no address")
	}
	var first, second []netip.Addr
	for _, a := range addrs {
		if a = a.Unmap(); a.Is4() == addrs[0].Unmap().Is4() {
			first = append(first, a)
		} else {
			second = append(second, a)
		}
	}
	turns := make([]netip.Addr, 0, len(addrs))
	for i := range max(len(first), len(second)) {
		turns = append(turns, first[min(i, len(first)):min(i+1, len(first))]...)
		turns = append(turns, second[min(i, len(second)):min(i+1, len(second))]...)
	}
	return turns[:min(len(turns), maxAddresses)], nil
}

// config is the TLS configuration for a domain's service.
func (d *Dialer) config(s discover.Service, domain string) (*tls.Config, error) {
	config := new(tls.Config)
	if d.TLS != nil {
		config = d.TLS.Clone()
	}
	if config.ServerName == "" {
		config.ServerName = strings.Trim(domain, "[]")
		if _, err := netip.ParseAddr(config.ServerName); err != nil {
			if config.ServerName, err = idna.Lookup.ToASCII(strings.TrimSuffix(domain, ".")); err != nil {
				return nil, err
			}
		}
	}
	if config.NextProtos == nil {
		config.NextProtos = []string{s.String()}
	}
	return config, nil
}

// open connects to one address, with TLS if there is a configuration for it.
func (d *Dialer) open(ctx context.Context, addr netip.AddrPort, config *tls.Config) (net.Conn, error) {
	connect := d.Connect
	if connect == nil {
		connect = new(net.Dialer).DialContext
	}
	conn, err := connect(ctx, "tcp", addr.String())
	if err != nil || config == nil {
		return conn, err
	}
	secure := tls.Client(conn, config)
	if err := secure.HandshakeContext(ctx); err != nil {
		conn.Close()
		return nil, fmt.Errorf("%s: %w", addr, err)
	}
	return secure, nil
}
