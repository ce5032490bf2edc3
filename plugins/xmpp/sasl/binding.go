package sasl

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
)

// The types of channel binding that TLSBindings makes.
const (
	TLSExporter       = "tls-exporter"         // RFC 9266
	TLSServerEndPoint = "tls-server-end-point" // RFC 5929 part 4
	TLSUnique         = "tls-unique"           // RFC 5929 part 3, until TLS 1.2
)

// A Binding ties an exchange to the channel that it runs in: both ends compute
// Data from their end of it, and it differs if somebody sits between them.
type Binding struct {
	Type string // as registered with IANA
	Data []byte
}

// TLSBindings makes the bindings of a TLS connection after its handshake, the best
// first: tls-exporter, tls-server-end-point, and tls-unique before TLS 1.3. EndPoint
// is the [ServerEndPoint] of the server's certificate: on the server's side the one
// that it presented, if need be in the handshake that is resumed, on the client's
// state.PeerCertificates[0]; nil leaves tls-server-end-point out.
func TLSBindings(state *tls.ConnectionState, endPoint []byte) []Binding {
	var bindings []Binding
	// The library refuses where the exporter is not unique to the connection.
	if data, err := state.ExportKeyingMaterial("EXPORTER-Channel-Binding", []byte{}, 32); err == nil {
		bindings = append(bindings, Binding{TLSExporter, data})
	}
	if len(endPoint) > 0 {
		bindings = append(bindings, Binding{TLSServerEndPoint, endPoint})
	}
	if state.Version < tls.VersionTLS13 && len(state.TLSUnique) > 0 {
		bindings = append(bindings, Binding{TLSUnique, state.TLSUnique})
	}
	return bindings
}

// ServerEndPoint hashes a server's certificate with the hash of its own signature, and
// MD5 and SHA-1 replaced by SHA-256 (RFC 5929 section 4.1). A signature without a hash has
// no binding: the result is nil, as it is without a certificate.
func ServerEndPoint(cert *x509.Certificate) []byte {
	if cert == nil {
		return nil
	}
	var h crypto.Hash
	switch cert.SignatureAlgorithm {
	case x509.MD5WithRSA, x509.SHA1WithRSA, x509.DSAWithSHA1, x509.ECDSAWithSHA1,
		x509.SHA256WithRSA, x509.DSAWithSHA256, x509.ECDSAWithSHA256, x509.SHA256WithRSAPSS:
		h = crypto.SHA256
	case x509.SHA384WithRSA, x509.ECDSAWithSHA384, x509.SHA384WithRSAPSS:
		h = crypto.SHA384
	case x509.SHA512WithRSA, x509.ECDSAWithSHA512, x509.SHA512WithRSAPSS:
		h = crypto.SHA512
	default:
		return nil
	}
	d := h.New()
	d.Write(cert.Raw)
	return d.Sum(nil)
}

func findBinding(bindings []Binding, name string) (Binding, bool) {
	for _, b := range bindings {
		if b.Type == name {
			return b, true
		}
	}
	return Binding{}, false
}
