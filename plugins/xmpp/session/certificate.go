package session

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"

	"github.com/jabberii/server/plugins/xmpp/sasl"
)

// A TLSServer does the receiving side's handshakes and finds out what SASL has to know
// of the channel: its bindings, which take the certificate that was presented, and the
// peer's certificate. It is made once for a configuration, and may be used by any number
// of connections at a time.
type TLSServer struct {
	config *tls.Config
}

// NewTLSServer prepares a configuration. Client certificates are asked for if its
// ClientAuth says so; with ClientCAs, one that these have not signed for clients counts
// as none, since who has no right one may still log in with a password. With a GetConfigForClient there is no binding
// of type tls-server-end-point.
func NewTLSServer(config *tls.Config) *TLSServer {
	choose := config.Clone()
	config = config.Clone()
	// Without Certificates, the function is asked in every handshake but a resumed one.
	config.Certificates = nil
	config.GetCertificate = func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		certificate, err := chooseCertificate(choose, hello)
		if err != nil {
			return nil, err
		}
		if p, ok := hello.Context().Value(presentedKey{}).(*presented); ok {
			p.certificate = certificate
		}
		return certificate, nil
	}
	return &TLSServer{config}
}

// presented is where a handshake leaves the certificate that it has chosen.
type presented struct{ certificate *tls.Certificate }

type presentedKey struct{}

// Handshake puts a connection into TLS. Ctx bounds the handshake only. On an error
// the connection is not closed.
func (s *TLSServer) Handshake(ctx context.Context, conn net.Conn) (*tls.Conn, sasl.Channel, error) {
	p := new(presented)
	secure := tls.Server(conn, s.config)
	if err := secure.HandshakeContext(context.WithValue(ctx, presentedKey{}, p)); err != nil {
		return nil, sasl.Channel{}, fmt.Errorf("tls: %w", err)
	}
	state := secure.ConnectionState()
	channel := sasl.Channel{Secure: true, Bindings: sasl.TLSBindings(&state, leaf(p.certificate))}
	if len(state.PeerCertificates) > 0 && s.trusts(state.PeerCertificates) {
		channel.Certificate = state.PeerCertificates[0]
	}
	return secure, channel, nil
}

// trusts reports whether a peer's certificate may name it.
func (s *TLSServer) trusts(chain []*x509.Certificate) bool {
	if s.config.ClientCAs == nil {
		return true
	}
	between := x509.NewCertPool()
	for _, c := range chain[1:] {
		between.AddCert(c)
	}
	_, err := chain[0].Verify(x509.VerifyOptions{
		Roots: s.config.ClientCAs, Intermediates: between, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	return err == nil
}

// chooseCertificate does what crypto/tls does.
func chooseCertificate(config *tls.Config, hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	if config.GetCertificate != nil && (len(config.Certificates) == 0 || hello.ServerName != "") {
		certificate, err := config.GetCertificate(hello)
		if certificate != nil || err != nil {
			return certificate, err
		}
	}
	if len(config.Certificates) == 0 {
		return nil, fmt.Errorf("no certificate for %q", hello.ServerName)
	}
	for i := range config.Certificates {
		if hello.SupportsCertificate(&config.Certificates[i]) == nil {
			return &config.Certificates[i], nil
		}
	}
	return &config.Certificates[0], nil
}

func leaf(c *tls.Certificate) *x509.Certificate {
	switch {
	case c == nil || len(c.Certificate) == 0:
		return nil
	case c.Leaf != nil:
		return c.Leaf
	}
	parsed, err := x509.ParseCertificate(c.Certificate[0])
	if err != nil {
		return nil
	}
	return parsed
}
