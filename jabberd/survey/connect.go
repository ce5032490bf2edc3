package survey

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/jabberii/server/plugins/xmpp/discover"
	"github.com/jabberii/server/plugins/xmpp/jid"
	"github.com/jabberii/server/plugins/xmpp/ns"
	"github.com/jabberii/server/plugins/xmpp/session"
)

// Ports connects to every address that clients and servers would try.
func (s *Surveyor) Ports(ctx context.Context, host string) []Finding {
	places, wrong := s.places(ctx, host)
	return append(wrong, each(places, func(p place) Finding {
		began := time.Now()
		conn, err := s.connect(ctx, p)
		if err != nil {
			return p.unreachable(err)
		}
		conn.Close()
		return Finding{Good, p.String(), fmt.Sprintf("open, %d ms", time.Since(began).Milliseconds())}
	})...)
}

// unreachable is the finding that p does not answer as it should. For other servers
// it need not, unless a record says so.
func (p place) unreachable(err error) Finding {
	if p.service == discover.Server && p.guessed {
		return Finding{Warning, p.String(), err.Error() + "; if the host is not for other servers, let its record _xmpp-server._tcp say so, with the target \".\""}
	}
	return Finding{Bad, p.String(), err.Error()}
}

func (s *Surveyor) connect(ctx context.Context, p place) (net.Conn, error) {
	ctx, cancel := s.limit(ctx)
	defer cancel()
	return new(net.Dialer).DialContext(ctx, "tcp", netip.AddrPortFrom(p.address, p.target.Port).String())
}

// Certificates begins TLS with every address that clients and servers would try,
// and looks at the certificate that it has for the host.
func (s *Surveyor) Certificates(ctx context.Context, host string) []Finding {
	places, wrong := s.places(ctx, host)
	return append(wrong, each(places, func(p place) Finding {
		state, err := s.begin(ctx, host, p)
		if err != nil {
			return p.unreachable(err)
		}
		f := s.judge(ascii(host), state)
		f.About = p.String()
		return f
	})...)
}

// begin brings a connection to where it is encrypted.
func (s *Surveyor) begin(ctx context.Context, host string, p place) (*tls.ConnectionState, error) {
	conn, err := s.connect(ctx, p)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	ctx, cancel := s.limit(ctx)
	defer cancel()
	// The certificate is judged afterwards, so that a wrong one can be described.
	config := &tls.Config{ServerName: ascii(host), InsecureSkipVerify: true, NextProtos: []string{p.service.String()}}
	if p.target.TLS {
		secure := tls.Client(conn, config)
		if err := secure.HandshakeContext(ctx); err != nil {
			return nil, err
		}
		state := secure.ConnectionState()
		return &state, nil
	}
	remote, err := jid.New("", host, "")
	if err != nil {
		return nil, err
	}
	var state tls.ConnectionState
	config.NextProtos = nil
	config.VerifyConnection = func(s tls.ConnectionState) error {
		state = s
		return errSeen
	}
	space := ns.Client
	if p.service == discover.Server {
		space = ns.Server
	}
	_, err = session.Initiate(ctx, conn, session.Config{NS: space, Remote: remote, Features: []session.Feature{session.StartTLS(config)}})
	if !errors.Is(err, errSeen) {
		return nil, err
	}
	return &state, nil
}

// errSeen ends a handshake of which enough was seen.
var errSeen = errors.New("seen")

// soon is when a certificate should have been replaced.
const soon = 14 * 24 * time.Hour

// judge says what is wrong with what a server presents for a host.
func (s *Surveyor) judge(host string, state *tls.ConnectionState) Finding {
	if len(state.PeerCertificates) == 0 {
		return Finding{Level: Bad, Text: "no certificate"}
	}
	leaf := state.PeerCertificates[0]
	between := x509.NewCertPool()
	for _, c := range state.PeerCertificates[1:] {
		between.AddCert(c)
	}
	left := time.Until(leaf.NotAfter)
	_, err := leaf.Verify(x509.VerifyOptions{DNSName: host, Roots: s.Roots, Intermediates: between})
	var unknown x509.UnknownAuthorityError
	switch {
	case errors.As(err, &unknown) && leaf.CheckSignature(leaf.SignatureAlgorithm, leaf.RawTBSCertificate, leaf.Signature) == nil:
		return Finding{Level: Bad, Text: "self-signed: clients ask their users whether to trust it, other servers may refuse it"}
	case err != nil:
		return Finding{Level: Bad, Text: err.Error()}
	case left < soon:
		return Finding{Level: Warning, Text: fmt.Sprintf("good, but only for %d days more", int(left.Hours()/24))}
	}
	return Finding{Level: Good, Text: fmt.Sprintf("good until %s, issued by %s, %s", leaf.NotAfter.Format(time.DateOnly), leaf.Issuer.CommonName, tls.VersionName(state.Version))}
}
