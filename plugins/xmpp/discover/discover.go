// Package discover finds where a domain's XMPP service is to be reached: RFC 6120
// part 3.2 with the SRV records of RFC 2782, and XEP-0368 for those who take TLS
// from the first byte on.
//
//	targets, err := discover.Lookup(ctx, net.DefaultResolver, discover.Client, "example.org")
//
// The answer is a list of host names and ports in the order in which to try them;
// package dial turns it into a connection. Records for STARTTLS and for direct TLS
// are mixed as if they were of one service, as XEP-0368 asks, so the operator of the
// domain decides which comes first. Targets of the same priority are shuffled by their
// weights, anew for each look-up.
//
// What a domain says through the DNS is not authenticated. The certificate is
// therefore checked against the domain that was asked for, never against a target.
package discover

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"

	"golang.org/x/net/idna"
)

// A Service is one of the two that a domain may offer.
type Service int

const (
	// Client is the service that clients connect to, port 5222 by default.
	Client Service = iota
	// Server is the service that other servers connect to, port 5269 by default.
	Server
)

// String is the service's name in SRV records and as an ALPN protocol.
func (s Service) String() string {
	if s == Server {
		return "xmpp-server"
	}
	return "xmpp-client"
}

// Port is where the service is if no record says otherwise.
func (s Service) Port() uint16 {
	if s == Server {
		return 5269
	}
	return 5222
}

// A Target is one place at which to try.
type Target struct {
	Host     string // a name without the dot at its end, or an IP address
	Port     uint16
	TLS      bool // direct TLS, else plain TCP and STARTTLS
	Priority uint16
	Weight   uint16
}

// A Resolver asks the DNS for SRV records; *net.Resolver is one. What it returns
// need not be in order.
type Resolver interface {
	LookupSRV(ctx context.Context, service, proto, name string) (cname string, records []*net.SRV, err error)
}

// ErrNotOffered says that a domain declares in the DNS that it does not have the
// service (a target of "."). There is nothing to fall back to.
var ErrNotOffered = errors.New("domain does not offer the service")

// maxTargets bounds what is made of one answer; an honest one has a handful.
const maxTargets = 64

// Lookup finds the targets of a domain, at least one unless there is an error. The
// domain is the domainpart of a JID: a name, international or not, or an IP address,
// in brackets if it is of version 6. Without SRV records the domain itself is the one
// target, and so it is if the look-up itself fails, as RFC 6120 part 3.2.1 says. The
// errors are ErrNotOffered, that of an impossible domain, that of ctx, and that of a
// look-up if there is nothing but the refusal of the other kind of record.
func Lookup(ctx context.Context, r Resolver, s Service, domain string) ([]Target, error) {
	if addr, err := netip.ParseAddr(strings.Trim(domain, "[]")); err == nil {
		return []Target{{Host: addr.String(), Port: s.Port()}}, nil
	}
	name, err := idna.Lookup.ToASCII(strings.TrimSuffix(domain, "."))
	if err != nil || name == "" {
		return nil, fmt.Errorf("look up %s of %q: not a domain name", s, domain)
	}
	direct := make(chan answer, 1)
	go func() { direct <- ask(ctx, r, "xmpps"+strings.TrimPrefix(s.String(), "xmpp"), name, true) }()
	plain := ask(ctx, r, s.String(), name, false)
	secure := <-direct
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("look up %s of %s: %w", s, domain, err)
	}
	targets := append(plain.targets, secure.targets...)
	switch {
	case len(targets) > 0:
		order(targets)
		return targets[:min(len(targets), maxTargets)], nil
	case !plain.refused && !secure.refused:
		return []Target{{Host: name, Port: s.Port()}}, nil
	}
	if err := cmp.Or(plain.err, secure.err); err != nil {
		return nil, fmt.Errorf("look up %s of %s: %w", s, domain, err)
	}
	return nil, fmt.Errorf("look up %s of %s: %w", s, domain, ErrNotOffered)
}

// An answer is what the DNS says of one kind of record.
type answer struct {
	targets []Target
	refused bool  // there is a record that says no
	err     error // it says nothing; that there are no records is no error
}

func ask(ctx context.Context, r Resolver, service, name string, direct bool) (a answer) {
	// The dot at the end keeps search lists out of it.
	_, records, err := r.LookupSRV(ctx, service, "tcp", name+".")
	var dns *net.DNSError
	if len(records) == 0 && err != nil && !(errors.As(err, &dns) && dns.IsNotFound) {
		a.err = err
	}
	for _, srv := range records {
		host := strings.TrimSuffix(srv.Target, ".")
		if host == "" {
			a.refused = true
			continue
		}
		if srv.Port == 0 {
			continue
		}
		a.targets = append(a.targets, Target{
			Host: host, Port: srv.Port, TLS: direct, Priority: srv.Priority, Weight: srv.Weight,
		})
	}
	return a
}
