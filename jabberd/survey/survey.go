// Package survey looks at a host from the outside, as clients and other servers
// do: what the DNS says of it, whether what it names can be reached, and with
// which certificate it answers.
package survey

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/idna"

	"github.com/jabberii/server/plugins/xmpp/dial"
	"github.com/jabberii/server/plugins/xmpp/discover"
)

// A Level says how bad a finding is.
type Level string

// The levels.
const (
	Good    Level = "ok"
	Warning Level = "warning" // some clients or servers will have trouble
	Bad     Level = "error"   // it does not work
)

// A Finding is one thing that was looked at.
type Finding struct {
	Level Level  `json:"level"`
	About string `json:"about"` // a record, or host and port
	Text  string `json:"text"`
}

// A Surveyor looks. Its zero value asks the system's resolver and believes the
// system's authorities. Its methods may be called from many goroutines.
type Surveyor struct {
	Resolver dial.Resolver
	Roots    *x509.CertPool
	Timeout  time.Duration // of each connection; 0 is 10 s
}

func (s *Surveyor) resolver() dial.Resolver {
	if s.Resolver != nil {
		return s.Resolver
	}
	return net.DefaultResolver
}

func (s *Surveyor) limit(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, cmp.Or(s.Timeout, 10*time.Second))
}

// A place is a target with one of its addresses.
type place struct {
	service discover.Service
	target  discover.Target
	guessed bool // no record says more than one can guess
	address netip.Addr
}

func (p place) String() string {
	way := "STARTTLS"
	if p.target.TLS {
		way = "TLS"
	}
	return fmt.Sprintf("%s %s (%s, %s)", p.service, net.JoinHostPort(p.target.Host, strconv.Itoa(int(p.target.Port))), p.address, way)
}

// places finds all that clients and servers would try for a host, with a finding
// for each target that cannot be tried.
func (s *Surveyor) places(ctx context.Context, host string) (list []place, wrong []Finding) {
	for _, service := range []discover.Service{discover.Client, discover.Server} {
		targets, err := discover.Lookup(ctx, s.resolver(), service, host)
		switch {
		case errors.Is(err, discover.ErrNotOffered):
			wrong = append(wrong, Finding{Warning, service.String(), err.Error()})
			continue
		case err != nil:
			wrong = append(wrong, Finding{Bad, service.String(), err.Error()})
			continue
		}
		guess := discover.Target{Host: ascii(host), Port: service.Port()}
		for _, t := range targets {
			addresses, err := s.addresses(ctx, t.Host)
			if err != nil {
				wrong = append(wrong, Finding{Bad, t.Host, err.Error()})
			}
			for _, a := range addresses {
				list = append(list, place{service, t, t == guess, a})
			}
		}
	}
	return list, wrong
}

func (s *Surveyor) addresses(ctx context.Context, name string) ([]netip.Addr, error) {
	if a, err := netip.ParseAddr(name); err == nil {
		return []netip.Addr{a}, nil
	}
	list, err := s.resolver().LookupNetIP(ctx, "ip", name)
	for i := range list {
		list[i] = list[i].Unmap()
	}
	return list, err
}

// each looks at all places at once; the findings are in their order.
func each(places []place, look func(place) Finding) []Finding {
	found := make([]Finding, len(places))
	var looking sync.WaitGroup
	for i, p := range places {
		looking.Go(func() { found[i] = look(p) })
	}
	looking.Wait()
	return found
}

// ascii is a host as the DNS and certificates have it.
func ascii(host string) string {
	if name, err := idna.Lookup.ToASCII(strings.TrimSuffix(host, ".")); err == nil {
		return name
	}
	return host
}
