package discover_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/jabberii/server/plugins/xmpp/discover"
	"github.com/miekg/dns"
)

// zone is what the DNS of these tests says.
const zone = `
_xmpp-client._tcp.example.org.   300 IN SRV 20 0 5222 backup.example.org.
_xmpp-client._tcp.example.org.   300 IN SRV 10 0 5222 xmpp.example.org.
_xmpps-client._tcp.example.org.  300 IN SRV 5 0 443 tls.example.org.
_xmpps-client._tcp.example.org.  300 IN SRV 30 0 443 last.example.org.
_xmpp-server._tcp.example.org.   300 IN SRV 1 1 5269 s2s.example.org.
_xmpp-client._tcp.none.org.      300 IN SRV 0 0 0 .
_xmpps-client._tcp.none.org.     300 IN SRV 0 0 0 .
_xmpps-client._tcp.nodirect.org. 300 IN SRV 0 0 0 .
_xmpp-client._tcp.nodirect.org.  300 IN SRV 0 0 5222 nodirect.org.
_xmpps-client._tcp.half.org.     300 IN SRV 0 0 0 .
_xmpps-client._tcp.broken.org.   300 IN SRV 0 0 0 .
_xmpp-client._tcp.portless.org.  300 IN SRV 0 0 0 portless.org.
_xmpp-client._tcp.xn--bcher-kva.example. 300 IN SRV 0 0 5222 books.example.
`

// nameserver serves the zone on loopback and returns a resolver that asks it. A
// name that has "broken" in it and no record is a failure of the server.
func nameserver(t *testing.T) *net.Resolver {
	t.Helper()
	records := map[string][]dns.RR{}
	parser := dns.NewZoneParser(strings.NewReader(zone), "", "")
	for rr, ok := parser.Next(); ok; rr, ok = parser.Next() {
		name := strings.ToLower(rr.Header().Name)
		records[name] = append(records[name], rr)
	}
	if err := parser.Err(); err != nil {
		t.Fatal(err)
	}
	socket, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &dns.Server{PacketConn: socket, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		answer := new(dns.Msg).SetReply(q)
		name := strings.ToLower(q.Question[0].Name)
		answer.Answer = records[name]
		if len(answer.Answer) == 0 {
			answer.Rcode = dns.RcodeNameError
			if strings.Contains(name, "broken") {
				answer.Rcode = dns.RcodeServerFailure
			}
		}
		w.WriteMsg(answer)
	})}
	up := make(chan struct{})
	server.NotifyStartedFunc = func() { close(up) }
	done := make(chan error, 1)
	go func() { done <- server.ActivateAndServe() }()
	<-up
	t.Cleanup(func() {
		server.Shutdown()
		<-done
	})
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", socket.LocalAddr().String())
	}}
}

func TestLookup(t *testing.T) {
	resolver := nameserver(t)
	cases := []struct {
		name, domain string
		service      discover.Service
		want         string
		err          error // any, if want is empty and this too
	}{
		{
			"both kinds mixed by priority", "example.org", discover.Client,
			"tls.example.org:443/tls xmpp.example.org:5222 backup.example.org:5222 last.example.org:443/tls", nil,
		},
		{"servers", "example.org", discover.Server, "s2s.example.org:5269", nil},
		{"a dot at the end", "example.org.", discover.Server, "s2s.example.org:5269", nil},
		{"any case", "EXAMPLE.org", discover.Server, "s2s.example.org:5269", nil},
		{"no records", "plain.org", discover.Client, "plain.org:5222", nil},
		{"no records for servers", "plain.org", discover.Server, "plain.org:5269", nil},
		{"not offered", "none.org", discover.Client, "", discover.ErrNotOffered},
		{"no direct TLS", "nodirect.org", discover.Client, "nodirect.org:5222", nil},
		{"no direct TLS, and no more is said", "half.org", discover.Client, "", discover.ErrNotOffered},
		{"port 0", "portless.org", discover.Client, "portless.org:5222", nil},
		{"server down", "quite.broken.example", discover.Client, "quite.broken.example:5222", nil},
		{"server down behind a refusal", "broken.org", discover.Client, "", nil},
		{"international", "b\u00fccher.example", discover.Client, "books.example:5222", nil},
		{"IPv4", "127.0.0.1", discover.Client, "127.0.0.1:5222", nil},
		{"IPv6", "[::1]", discover.Server, "::1:5269", nil},
		{"empty", "", discover.Client, "", nil},
		{"not a name", "a b", discover.Client, "", nil},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			targets, err := discover.Lookup(t.Context(), resolver, c.service, c.domain)
			if got := show(targets); got != c.want {
				t.Fatalf("got %q, %v\nwant %q", got, err, c.want)
			}
			if (err != nil) != (c.want == "") || c.err != nil && !errors.Is(err, c.err) {
				t.Fatalf("error %v, want %v", err, c.err)
			}
			if c.err == nil && errors.Is(err, discover.ErrNotOffered) {
				t.Fatalf("error %v", err)
			}
		})
	}
}

func show(targets []discover.Target) string {
	var all []string
	for _, x := range targets {
		s := fmt.Sprintf("%s:%d", x.Host, x.Port)
		if x.TLS {
			s += "/tls"
		}
		all = append(all, s)
	}
	return strings.Join(all, " ")
}

func TestLookupEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := discover.Lookup(ctx, nameserver(t), discover.Client, "example.org"); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
}

// records answers every look-up of the plain kind.
type records []*net.SRV

func (r records) LookupSRV(_ context.Context, service, _, name string) (string, []*net.SRV, error) {
	if service != discover.Client.String() {
		return "", nil, &net.DNSError{IsNotFound: true, Name: name}
	}
	return "", r, nil
}

// Over many look-ups, each target comes first as often as its weight says.
func TestWeights(t *testing.T) {
	resolver := records{
		{Target: "later.example.", Port: 1, Priority: 2, Weight: 1000},
		{Target: "one.example.", Port: 1, Priority: 1, Weight: 1},
		{Target: "three.example.", Port: 1, Priority: 1, Weight: 3},
		{Target: "six.example.", Port: 1, Priority: 1, Weight: 6},
		{Target: "never.example.", Port: 1, Priority: 1, Weight: 0},
	}
	const rounds = 20000
	first := map[string]int{}
	for range rounds {
		targets, err := discover.Lookup(t.Context(), resolver, discover.Client, "example.org")
		if err != nil {
			t.Fatal(err)
		}
		if len(targets) != 5 || targets[4].Host != "later.example" {
			t.Fatalf("got %v", show(targets))
		}
		first[targets[0].Host]++
	}
	// The draw is of 0 to 10, of which 0 is the one without weight.
	for host, share := range map[string]int{"never.example": 1, "one.example": 1, "three.example": 3, "six.example": 6} {
		want := rounds * share / 11
		if got := first[host]; got < want*8/10 || got > want*12/10 {
			t.Errorf("%s came first %d times of %d, want about %d", host, got, rounds, want)
		}
	}
}

func TestNoWeightsAreShuffled(t *testing.T) {
	resolver := records{{Target: "a.", Port: 1}, {Target: "b.", Port: 1}, {Target: "c.", Port: 1}}
	seen := map[string]bool{}
	for range 1000 {
		targets, err := discover.Lookup(t.Context(), resolver, discover.Client, "example.org")
		if err != nil {
			t.Fatal(err)
		}
		seen[show(targets)] = true
	}
	if len(seen) != 6 {
		t.Fatalf("%d of 6 orders in a thousand look-ups", len(seen))
	}
}

func TestManyTargetsAreCut(t *testing.T) {
	many := slices.Repeat(records{{Target: "a.", Port: 1}}, 1000)
	targets, err := discover.Lookup(t.Context(), many, discover.Client, "example.org")
	if err != nil || len(targets) != 64 {
		t.Fatalf("%d targets, %v", len(targets), err)
	}
}
