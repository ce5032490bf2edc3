package c2s

import (
	"crypto/tls"
	"crypto/x509"
	"sync"

	"github.com/jabberii/server/plugins/xmpp/session"
)

// tlsServers keeps what does handshakes for each host.
type tlsServers struct {
	mu     sync.Mutex
	asked  *x509.CertPool // who signs for clients; with others each host gets another
	byHost map[string]*session.TLSServer
}

// tlsServer returns what does handshakes for the host of a stream; "" lets the
// client's SNI say which, for connections that begin with TLS (XEP-0368).
func (s *Service) tlsServer(host string) *session.TLSServer {
	var authority *x509.CertPool
	if s.authority != nil {
		authority = s.authority.Pool()
	}
	s.servers.mu.Lock()
	defer s.servers.mu.Unlock()
	if authority != s.servers.asked {
		s.servers.asked, s.servers.byHost = authority, nil
	}
	if known := s.servers.byHost[host]; known != nil {
		return known
	}
	var protocols []string
	if host == "" {
		protocols = []string{"xmpp-client"}
	}
	config := s.certs.Config(host, protocols...)
	if authority != nil {
		config.ClientAuth, config.ClientCAs = tls.RequestClientCert, authority
	}
	server := session.NewTLSServer(config)
	if s.servers.byHost == nil || len(s.servers.byHost) >= maxHosts {
		s.servers.byHost = map[string]*session.TLSServer{}
	}
	s.servers.byHost[host] = server
	return server
}
