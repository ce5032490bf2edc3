package session

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"sync"

	"github.com/jabberii/server/plugins/xmpp/sasl"
)

// A TLSServer does the receiving side's handshakes and finds out what SASL has to know
// of the channel: its bindings, which take the certificate that was presented, and the
// peer's certificate. It is made once for a configuration, and may be used by any number
// of connections at a time.
type TLSServer struct {
	config *tls.Config // makes the tickets of sessions
	choose *tls.Config // has the certificates
	idle   sync.Pool   // of *end
}

// NewTLSServer prepares a configuration. Client certificates are asked for if its
// ClientAuth says so; with ClientCAs, one that these have not signed for clients counts
// as none, since who has no right one may still log in with a password. With a GetConfigForClient there is no binding
// of type tls-server-end-point.
func NewTLSServer(config *tls.Config) *TLSServer {
	s := &TLSServer{config: config.Clone(), choose: config.Clone()}
	// Without Certificates, GetCertificate is asked in every handshake but a resumed one.
	s.config.Certificates = nil
	return s
}

// An end is what a handshake shows its client of the server. A client that resumes a TLS
// session is shown no certificate, and binds to that of the first handshake, whose
// [sasl.ServerEndPoint] is therefore in the tickets. An end is for one handshake after
// another: the connections of all share its configuration, which they keep.
type end struct {
	config      *tls.Config
	certificate *tls.Certificate // that was chosen
	resumed     []byte           // what the client's ticket says
}

func (e *end) point(resumed bool) []byte {
	if resumed {
		return e.resumed
	}
	return sasl.ServerEndPoint(leaf(e.certificate))
}

// inTicket tells what we put into a ticket from what others may.
const inTicket = "xmpp server end point "

// end returns one that no handshake uses.
func (s *TLSServer) end() *end {
	if e, ok := s.idle.Get().(*end); ok {
		e.certificate, e.resumed = nil, nil
		return e
	}
	e := &end{config: s.config.Clone()}
	e.config.GetCertificate = func(hello *tls.ClientHelloInfo) (certificate *tls.Certificate, err error) {
		e.certificate, err = chooseCertificate(s.choose, hello)
		return e.certificate, err
	}
	e.config.WrapSession = func(state tls.ConnectionState, session *tls.SessionState) ([]byte, error) {
		session.Extra = append(session.Extra, append([]byte(inTicket), e.point(state.DidResume)...))
		return s.config.EncryptTicket(state, session)
	}
	e.config.UnwrapSession = func(ticket []byte, state tls.ConnectionState) (*tls.SessionState, error) {
		session, err := s.config.DecryptTicket(ticket, state)
		if session == nil || err != nil {
			return nil, err
		}
		for _, extra := range session.Extra {
			if point, ours := bytes.CutPrefix(extra, []byte(inTicket)); ours {
				e.resumed = bytes.Clone(point)
			}
		}
		return session, nil
	}
	return e
}

// Handshake puts a connection into TLS. Ctx bounds the handshake only. On an error
// the connection is not closed.
func (s *TLSServer) Handshake(ctx context.Context, conn net.Conn) (*tls.Conn, sasl.Channel, error) {
	e := s.end()
	defer s.idle.Put(e)
	secure := tls.Server(conn, e.config)
	if err := secure.HandshakeContext(ctx); err != nil {
		return nil, sasl.Channel{}, fmt.Errorf("tls: %w", err)
	}
	state := secure.ConnectionState()
	channel := sasl.Channel{Secure: true, Bindings: sasl.TLSBindings(&state, e.point(state.DidResume))}
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
