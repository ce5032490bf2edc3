package link

import (
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strings"
)

// alpn tells the link from whatever else speaks TLS.
const alpn = "jabberd-link"

// A TLS says which certificate a side shows and which ones it takes. Files are
// PEM.
type TLS struct {
	Certificate, Key string   // files; both or none
	Authorities      string   // file; what the other side's certificate has to be signed by
	Pins             []string // the SHA-256 of the other side's public key, hexadecimal, is one of them
	Name             string   // of the side that listens, for which its certificate has to be
}

// ParsePin reads the SHA-256 of a public key: 64 hexadecimal digits, with or
// without colons.
func ParsePin(s string) ([]byte, error) {
	digits := strings.ReplaceAll(strings.TrimPrefix(s, "sha256:"), ":", "")
	pin, err := hex.DecodeString(digits)
	if err != nil || len(pin) != sha256.Size {
		return nil, fmt.Errorf("%q is no SHA-256 of a public key, which has 64 hexadecimal digits", s)
	}
	return pin, nil
}

// Pin returns the pin of a certificate: the SHA-256 of its SubjectPublicKeyInfo.
func Pin(c *x509.Certificate) string {
	sum := sha256.Sum256(c.RawSubjectPublicKeyInfo)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// Server reads the files and returns what [Link.Accept] needs. Peers have to show
// a certificate if there are authorities or pins.
func (t TLS) Server() (*tls.Config, error) {
	c, pool, err := t.config()
	if err != nil {
		return nil, err
	}
	switch {
	case pool != nil:
		c.ClientAuth, c.ClientCAs = tls.RequireAndVerifyClientCert, pool
	case len(t.Pins) > 0:
		c.ClientAuth = tls.RequireAnyClientCert
	}
	return c, nil
}

// Client reads the files and returns what [Link.Connect] needs. Without
// authorities and pins the system's authorities count.
func (t TLS) Client() (*tls.Config, error) {
	c, pool, err := t.config()
	if err != nil {
		return nil, err
	}
	c.ServerName, c.RootCAs = t.Name, pool
	c.InsecureSkipVerify = pool == nil && len(t.Pins) > 0 // the pin says more than a name would
	return c, nil
}

func (t TLS) config() (*tls.Config, *x509.CertPool, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS13, NextProtos: []string{alpn}, SessionTicketsDisabled: true}
	if t.Certificate != "" {
		pair, err := tls.LoadX509KeyPair(t.Certificate, t.Key)
		if err != nil {
			return nil, nil, fmt.Errorf("certificate: %w", err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	var pool *x509.CertPool
	if t.Authorities != "" {
		text, err := os.ReadFile(t.Authorities)
		if err != nil {
			return nil, nil, fmt.Errorf("authorities: %w", err)
		}
		if pool = x509.NewCertPool(); !pool.AppendCertsFromPEM(text) {
			return nil, nil, fmt.Errorf("authorities: %s has no certificate", t.Authorities)
		}
	}
	var pins [][]byte
	for _, s := range t.Pins {
		pin, err := ParsePin(s)
		if err != nil {
			return nil, nil, err
		}
		pins = append(pins, pin)
	}
	c.VerifyConnection = func(state tls.ConnectionState) error { return verify(&state, pins) }
	return c, pool, nil
}

// verify checks what TLS does not: the pin, and that both sides speak the link.
func verify(state *tls.ConnectionState, pins [][]byte) error {
	if state.NegotiatedProtocol != alpn {
		return errors.New("the other side does not speak " + alpn)
	}
	if len(pins) == 0 {
		return nil
	}
	if len(state.PeerCertificates) == 0 {
		return errors.New("the other side shows no certificate")
	}
	shown := state.PeerCertificates[0]
	sum := sha256.Sum256(shown.RawSubjectPublicKeyInfo)
	for _, pin := range pins {
		if subtle.ConstantTimeCompare(pin, sum[:]) == 1 {
			return nil
		}
	}
	return fmt.Errorf("the other side's public key is %s, which is not pinned", Pin(shown))
}
