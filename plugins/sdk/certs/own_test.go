package certs_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
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

// Half of an admin's certificate, whose other half is about to come, is not written over by
// one that the server makes meanwhile.
func TestHalfOfACertificateStays(t *testing.T) {
	for _, half := range []string{"crt", "key"} {
		t.Run(half, func(t *testing.T) {
			p := newPlace(t, "half.example")
			folder := filepath.Join(p.dir, "certs")
			signOwn(t, folder, "half.example", "half.example")
			whole := map[string][]byte{}
			for _, ext := range []string{"crt", "key"} {
				whole[ext] = readFile(t, filepath.Join(folder, "half.example."+ext))
				if err := os.Remove(filepath.Join(folder, "half.example."+ext)); err != nil {
					t.Fatal(err)
				}
			}
			write := func(ext string) {
				if err := os.WriteFile(filepath.Join(folder, "half.example."+ext), whole[ext], 0o600); err != nil {
					t.Fatal(err)
				}
			}
			write(half)
			s := start(t, p, certs.Args{})
			for range 2 {
				if got := shown(t, s, "half.example"); got != "half.example" {
					t.Errorf("shown is %s", got)
				}
			}
			if got := readFile(t, filepath.Join(folder, "half.example."+half)); !bytes.Equal(got, whole[half]) {
				t.Fatal("the file was written over")
			}
			write("crt")
			write("key")
			certs.Look(s)
			if got := shown(t, s, "half.example"); got != "own half.example" {
				t.Errorf("then shown is %s", got)
			}
		})
	}
}

func readFile(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// What the server has begun to write when it died, it writes anew.
func TestAKeyOfOursIsMadeAnew(t *testing.T) {
	p := newPlace(t, "died.example")
	shown(t, start(t, p, certs.Args{}), "died.example")
	file := filepath.Join(p.dir, "certs", "died.example.crt")
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	shown(t, start(t, p, certs.Args{}), "died.example")
	if _, err := tls.LoadX509KeyPair(file, filepath.Join(p.dir, "certs", "died.example.key")); err != nil {
		t.Error(err)
	}
}
