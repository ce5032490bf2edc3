package session_test

import (
	"context"
	"crypto/x509"
	b64 "encoding/base64"

	"github.com/jabberii/server/plugins/xmpp/sasl"
)

var peerCertificate = &x509.Certificate{DNSNames: []string{"example.net"}}

// external believes the certificate for the domain that is asked for.
func external(_ context.Context, c *x509.Certificate, authzid string) (string, error) {
	if c.VerifyHostname(authzid) != nil {
		return "", sasl.NotAuthorized
	}
	return authzid, nil
}

func base64(s string) string { return b64.StdEncoding.EncodeToString([]byte(s)) }
