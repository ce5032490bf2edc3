// Package identity reads from a certificate which XMPP addresses it is for: the
// identifier id-on-xmppAddr of RFC 6120, 13.7.1.4, that certificates of clients
// have (XEP-0178).
package identity

import (
	"crypto/x509"
	"crypto/x509/pkix"
	encoding "encoding/asn1"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

var (
	subjectAltName = encoding.ObjectIdentifier{2, 5, 29, 17}
	idOnXMPPAddr   = encoding.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 8, 5}
)

// The tags of GeneralName and of the value in it (RFC 5280, 4.2.1.6).
var (
	otherName = asn1.Tag(0).ContextSpecific().Constructed()
	value     = asn1.Tag(0).ContextSpecific().Constructed()
)

// Addresses lists the addresses that a certificate says, as they are written
// there, in their order. One that is malformed ends the list. It is for who
// asks to see who has signed the certificate.
func Addresses(certificate *x509.Certificate) []string {
	for _, e := range certificate.Extensions {
		if e.Id.Equal(subjectAltName) {
			return addresses(e.Value)
		}
	}
	return nil
}

func addresses(extension []byte) []string {
	var all []string
	names, in := cryptobyte.String(nil), cryptobyte.String(extension)
	if !in.ReadASN1(&names, asn1.SEQUENCE) {
		return nil
	}
	for !names.Empty() {
		var name, content, text cryptobyte.String
		var tag asn1.Tag
		if !names.ReadAnyASN1(&name, &tag) {
			break
		}
		var id encoding.ObjectIdentifier
		if tag != otherName || !name.ReadASN1ObjectIdentifier(&id) || !id.Equal(idOnXMPPAddr) {
			continue
		}
		if !name.ReadASN1(&content, value) || !content.ReadASN1(&text, asn1.UTF8String) {
			break
		}
		all = append(all, string(text))
	}
	return all
}

// Extension makes the extension subjectAltName with addresses, for the
// ExtraExtensions of a certificate that is to be signed.
func Extension(addresses ...string) (pkix.Extension, error) {
	var b cryptobyte.Builder
	b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		for _, a := range addresses {
			b.AddASN1(otherName, func(b *cryptobyte.Builder) {
				b.AddASN1ObjectIdentifier(idOnXMPPAddr)
				b.AddASN1(value, func(b *cryptobyte.Builder) {
					b.AddASN1(asn1.UTF8String, func(b *cryptobyte.Builder) { b.AddBytes([]byte(a)) })
				})
			})
		}
	})
	der, err := b.Bytes()
	return pkix.Extension{Id: subjectAltName, Value: der}, err
}
