package certs

import (
	"bytes"
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
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// madeFolder is where certificates are that we have signed ourselves, below
// the data folder.
const madeFolder = "certs"

// maker is the organization in certificates that we have signed ourselves, and by
// which they are told from those that an admin has put beside them.
const maker = "signed by jabberd for itself"

// isMade reports whether selfSigned has made a certificate.
func isMade(c *x509.Certificate) bool { return slices.Contains(c.Subject.Organization, maker) }

// madeMark begins the files that selfSigned has written. Those of others it leaves alone: an
// admin may be about to put a certificate beside its key.
const madeMark = "# " + maker + "\n"

// selfSigned returns the certificate that a host has signed itself: that of an
// earlier time, or a new one.
func (s *Store) selfSigned(host string) (*tls.Certificate, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.made[host]; c != nil && time.Now().Before(c.Leaf.NotAfter) {
		return c, nil
	}
	c, err := s.readOrSign(host)
	if err != nil {
		return nil, err
	}
	if len(s.made) >= maxNames {
		clear(s.made)
	}
	s.made[host] = c
	return c, nil
}

// readOrSign has the folder for itself meanwhile: with two who sign for one host
// at once, the certificate of one would stand beside the key of the other.
func (s *Store) readOrSign(host string) (*tls.Certificate, error) {
	folder := s.env.Path(madeFolder)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, err
	}
	unlock, err := lock(folder)
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", folder, err)
	}
	defer unlock()
	file := filepath.Join(folder, filepath.Base(host))
	pair, err := tls.LoadX509KeyPair(file+".crt", file+".key")
	if err == nil && time.Now().Before(pair.Leaf.NotAfter) {
		return &pair, nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	ours := err == nil && isMade(pair.Leaf) || isOurs(file+".crt") && isOurs(file+".key")
	cert, key, err := sign(host)
	if err != nil {
		return nil, fmt.Errorf("certificate for %s: %w", host, err)
	}
	if !ours {
		s.env.Log().Warn("a file without its other half stays as it is; until that comes, clients are shown a self-signed certificate that is kept nowhere",
			"host", host, "certificate", file+".crt", "key", file+".key")
		pair, err = tls.X509KeyPair(cert, key)
		return &pair, err
	}
	if err := errors.Join(replace(file+".key", key, 0o600), replace(file+".crt", cert, 0o644)); err != nil {
		return nil, err
	}
	s.env.Log().Warn("made a self-signed certificate; clients will ask whether to trust it", "host", host, "file", file+".crt")
	pair, err = tls.X509KeyPair(cert, key)
	return &pair, err
}

// isOurs reports whether a file may be written: it is not there, or selfSigned has made it.
func isOurs(file string) bool {
	b, err := os.ReadFile(file)
	return errors.Is(err, fs.ErrNotExist) || bytes.HasPrefix(b, []byte(madeMark))
}

// replace writes a file that is never there in part: others look at the folder without
// its lock, and this process may die meanwhile.
func replace(file string, content []byte, mode os.FileMode) error {
	next := file + ".new"
	if err := os.WriteFile(next, content, mode); err != nil {
		return err
	}
	return os.Rename(next, file)
}

// lock keeps others out of a folder who lock it too, in any process.
func lock(folder string) (unlock func(), err error) {
	f, err := os.Open(folder)
	if err != nil {
		return nil, err
	}
	for {
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return func() { _ = f.Close() }, nil // which gives the lock up
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
	_, ascii := spell(host)
	t := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: host, Organization: []string{maker}},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(10, 0, 0),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
	}
	if ip := net.ParseIP(strings.Trim(host, "[]")); ip != nil {
		t.IPAddresses = []net.IP{ip}
	} else {
		t.DNSNames = []string{ascii}
	}
	der, err := x509.CreateCertificate(rand.Reader, t, t, private.Public(), private)
	if err != nil {
		return nil, nil, err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, nil, err
	}
	return marked("CERTIFICATE", der), marked("PRIVATE KEY", secret), nil
}

// marked is a file of ours: what stands in front of a block is not read.
func marked(block string, b []byte) []byte {
	return append([]byte(madeMark), pem.EncodeToMemory(&pem.Block{Type: block, Bytes: b})...)
}
