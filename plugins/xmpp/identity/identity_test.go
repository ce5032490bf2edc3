package identity_test

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"slices"
	"testing"

	"github.com/jabberii/server/plugins/xmpp/identity"
)

// fromOpenSSL is the subjectAltName that OpenSSL makes of DNS:example.com, two
// xmppAddr with an email address between them, and another otherName.
const fromOpenSSL = "306B820B6578616D706C652E636F6DA02006082B06010505070805A0140C126A756C696574406578616D706C652E636F6D810D6A406578616D706C652E636F6D" +
	"A02006082B06010505070805A0140C126A756C696574406578616D706C652E6E6574A00906022A03A0030C0178"

func with(value []byte) *x509.Certificate {
	return &x509.Certificate{Extensions: []pkix.Extension{{Id: []int{2, 5, 29, 15}}, {Id: []int{2, 5, 29, 17}, Value: value}}}
}

func TestAddresses(t *testing.T) {
	der, err := hex.DecodeString(fromOpenSSL)
	if err != nil {
		t.Fatal(err)
	}
	both := []string{"juliet@example.com", "juliet@example.net"}
	made, err := identity.Extension(both...)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		in   *x509.Certificate
		want []string
	}{
		"of OpenSSL":       {with(der), both},
		"our own":          {with(made.Value), both},
		"no extension":     {new(x509.Certificate), nil},
		"empty":            {with(nil), nil},
		"cut off":          {with(der[:40]), nil},
		"broken in itself": {with(append([]byte{0x30, 0x2a}, der[2:44]...)), nil},
	} {
		if got := identity.Addresses(c.in); !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func FuzzAddresses(f *testing.F) {
	der, _ := hex.DecodeString(fromOpenSSL)
	f.Add(der)
	f.Fuzz(func(t *testing.T, b []byte) {
		all := identity.Addresses(with(b))
		made, err := identity.Extension(all...)
		if err != nil {
			t.Fatal(err)
		}
		if again := identity.Addresses(with(made.Value)); !slices.Equal(again, all) {
			t.Errorf("%q becomes %q", all, again)
		}
	})
}
