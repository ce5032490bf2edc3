package c2s

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/xmpp/session"
)

// certificates are the server's: the one of the configuration, or one for each
// host that it signs itself.
type certificates struct {
	env       module.Env
	cert, key string

	mu      sync.Mutex
	one     *tls.Certificate // of the configuration
	hosts   map[string]*tls.Certificate
	servers map[string]*session.TLSServer
}

// load reads the certificate of the configuration, if there is one.
func (c *certificates) load() error {
	if c.cert == "" {
		return nil
	}
	pair, err := tls.LoadX509KeyPair(c.env.Path(c.cert), c.env.Path(c.key))
	if err != nil {
		return fmt.Errorf("certificate: %w", err)
	}
	c.one = &pair
	return nil
}

// server returns what does handshakes for a host; "" lets the client's SNI say
// which.
func (c *certificates) server(host string) (*session.TLSServer, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s := c.servers[host]; s != nil {
		return s, nil
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: nil}
	if host == "" {
		config.NextProtos = []string{"xmpp-client"} // XEP-0368
		config.GetCertificate = func(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
			c.mu.Lock()
			defer c.mu.Unlock()
			return c.of(strings.ToLower(h.ServerName))
		}
	} else {
		cert, err := c.of(host)
		if err != nil {
			return nil, err
		}
		config.Certificates = []tls.Certificate{*cert}
	}
	if c.servers == nil || len(c.servers) >= maxHosts {
		c.servers = map[string]*session.TLSServer{}
	}
	s := session.NewTLSServer(config)
	c.servers[host] = s
	return s, nil
}

// of returns the certificate for a host; the lock is held.
func (c *certificates) of(host string) (*tls.Certificate, error) {
	if c.one != nil {
		return c.one, nil
	}
	if !c.env.Serves(packet.Session, host) {
		host = "localhost" // a client without SNI, or for a host that is not here
	}
	if cert := c.hosts[host]; cert != nil {
		return cert, nil
	}
	cert, err := c.selfSigned(host)
	if err != nil {
		return nil, err
	}
	if c.hosts == nil || len(c.hosts) >= maxHosts {
		c.hosts = map[string]*tls.Certificate{}
	}
	c.hosts[host] = cert
	return cert, nil
}

// selfSigned reads the host's own certificate, or makes it.
func (c *certificates) selfSigned(host string) (*tls.Certificate, error) {
	file := c.env.Path(filepath.Join("certs", filepath.Base(host)))
	pair, err := tls.LoadX509KeyPair(file+".crt", file+".key")
	if err == nil && time.Now().Before(pair.Leaf.NotAfter) {
		return &pair, nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	cert, key, err := sign(host)
	if err != nil {
		return nil, fmt.Errorf("certificate for %s: %w", host, err)
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return nil, err
	}
	if err := os.WriteFile(file+".key", key, 0o600); err != nil {
		return nil, err
	}
	if err := os.WriteFile(file+".crt", cert, 0o644); err != nil {
		return nil, err
	}
	c.env.Log().Warn("made a self-signed certificate; clients will ask whether to trust it", "host", host, "file", file+".crt")
	pair, err = tls.X509KeyPair(cert, key)
	return &pair, err
}

// sign makes a self-signed certificate for a host, good for ten years, and its
// key, both PEM.
func sign(host string) (cert, key []byte, err error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, nil, err
	}
	t := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: host}, DNSNames: []string{host},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(10, 0, 0),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, t, t, private.Public(), private)
	if err != nil {
		return nil, nil, err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}), nil
}
