package peer

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"time"
)

// certificate makes an ECDSA P-256 certificate for Domain, if there is none: the
// same kind for every server, since its handshake is part of a login. cert.pem
// and key.pem are its parts, both.pem has them together.
func certificate(dir string) error {
	if _, err := os.Stat(filepath.Join(dir, "both.pem")); err == nil {
		return nil
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()),
		Subject:      pkix.Name{CommonName: Domain},
		DNSNames:     []string{Domain},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().AddDate(10, 0, 0),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert})
	keyPEM := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})
	for _, file := range []struct {
		name string
		text []byte
	}{{"cert.pem", certPEM}, {"key.pem", keyPEM}, {"both.pem", append(certPEM, keyPEM...)}} {
		if err := os.WriteFile(filepath.Join(dir, file.name), file.text, 0o600); err != nil {
			return err
		}
	}
	return nil
}
