package certs_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/jabberii/server/plugins/sdk/certs"
)

// signOwn leaves a certificate that an admin has signed himself, in NAME.crt and
// NAME.key of a folder.
func signOwn(t *testing.T, folder, name, host string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := subject("own "+host, host)
	c.SerialNumber, c.NotBefore, c.NotAfter = big.NewInt(1), time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	for ext, block := range map[string]*pem.Block{"key": {Type: "PRIVATE KEY", Bytes: secret}, "crt": {Type: "CERTIFICATE", Bytes: der}} {
		if err := os.WriteFile(filepath.Join(folder, name+"."+ext), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// TestAnAdminsOwnSignature has certificates that nobody else vouches for lie
// beside, and in the place of, those that the server makes.
func TestAnAdminsOwnSignature(t *testing.T) {
	p := newPlace(t, "beside.example", "over.example", "made.example")
	s := start(t, p, certs.Args{})
	for _, host := range []string{"beside.example", "over.example", "made.example"} {
		if got := shown(t, s, host); got != host {
			t.Errorf("%s is shown %s at first", host, got)
		}
	}
	certs.Look(s) // and knows the files that were made
	signOwn(t, filepath.Join(p.dir, "certs"), "company", "beside.example")
	signOwn(t, filepath.Join(p.dir, "certs"), "over.example", "over.example")
	certs.Look(s)
	for host, want := range map[string]string{"beside.example": "own beside.example", "over.example": "own over.example", "made.example": "made.example"} {
		if got := shown(t, s, host); got != want {
			t.Errorf("%s is shown %s, want %s", host, got, want)
		}
	}
}
