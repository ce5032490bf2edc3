package sasl_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"testing"
	"time"

	"github.com/jabberii/server/plugins/xmpp/sasl"
)

// selfSigned makes a certificate, signed with ECDSA and SHA-256, or with Ed25519.
func selfSigned(t *testing.T, edwards bool) tls.Certificate {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"example.org"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	var public, private any
	if edwards {
		pub, key, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		public, private = pub, key
	} else {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		public, private = key.Public(), key
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, public, private)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(raw)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{raw}, PrivateKey: private, Leaf: leaf}
}

// handshake returns both ends' states of a TLS connection over a pipe.
func handshake(t *testing.T, cert tls.Certificate, version uint16) (client, server tls.ConnectionState) {
	t.Helper()
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	roots := x509.NewCertPool()
	roots.AddCert(cert.Leaf)
	c := tls.Client(a, &tls.Config{RootCAs: roots, ServerName: "example.org", MaxVersion: version})
	s := tls.Server(b, &tls.Config{Certificates: []tls.Certificate{cert}})
	errs := make(chan error, 1)
	go func() { errs <- s.Handshake() }()
	if err := c.Handshake(); err != nil {
		t.Fatal(err)
	}
	if version == tls.VersionTLS13 {
		go c.Read(make([]byte, 1)) // takes the session ticket off the pipe
	}
	if err := <-errs; err != nil {
		t.Fatal(err)
	}
	return c.ConnectionState(), s.ConnectionState()
}

func TestTLSBindings(t *testing.T) {
	cases := []struct {
		name    string
		edwards bool
		version uint16
		want    []string
	}{
		{"1.3", false, tls.VersionTLS13, []string{sasl.TLSExporter, sasl.TLSServerEndPoint}},
		{"1.2", false, tls.VersionTLS12, []string{sasl.TLSExporter, sasl.TLSServerEndPoint, sasl.TLSUnique}},
		{"no hash in the signature", true, tls.VersionTLS13, []string{sasl.TLSExporter}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			cert := selfSigned(t, c.edwards)
			client, server := handshake(t, cert, c.version)
			ours := sasl.TLSBindings(&client, sasl.ServerEndPoint(client.PeerCertificates[0]))
			theirs := sasl.TLSBindings(&server, sasl.ServerEndPoint(cert.Leaf))
			if len(ours) != len(c.want) || len(theirs) != len(c.want) {
				t.Fatalf("client %v, server %v, want %v", ours, theirs, c.want)
			}
			for i, name := range c.want {
				if ours[i].Type != name || theirs[i].Type != name || !bytes.Equal(ours[i].Data, theirs[i].Data) {
					t.Errorf("%s: client %x, server %x", name, ours[i], theirs[i])
				}
				if digest := sha256.Sum256(cert.Leaf.Raw); name == sasl.TLSServerEndPoint && !bytes.Equal(ours[i].Data, digest[:]) {
					t.Errorf("end point %x, want %x", ours[i].Data, digest)
				}
			}
		})
	}
	client, _ := handshake(t, selfSigned(t, false), tls.VersionTLS13)
	if got := sasl.TLSBindings(&client, nil); len(got) != 1 {
		t.Fatalf("without a certificate: %v", got)
	}
}
