package c2s

import (
	"context"
	"crypto/x509"
	"fmt"
	"slices"

	"github.com/jabberii/server/plugins/sdk/certs"
	"github.com/jabberii/server/plugins/sdk/xdb"
	"github.com/jabberii/server/plugins/xmpp/identity"
	"github.com/jabberii/server/plugins/xmpp/jid"
	"github.com/jabberii/server/plugins/xmpp/sasl"
)

// startAuthority reads who may sign the certificates of clients.
func (s *Service) startAuthority(ctx context.Context) error {
	if s.args.TLS.Authority == "" {
		return nil
	}
	s.authority = certs.NewAuthorities(s.env, s.args.TLS.Authority)
	if err := s.authority.Start(ctx); err != nil {
		return fmt.Errorf("client_ca: %w", err)
	}
	return nil
}

// byCertificate returns what names the account of a certificate that the
// handshake has found to be right (XEP-0178, part 2): that of the host which the
// certificate says, or, if it says several, the one of them that the client asks for.
func byCertificate(store *xdb.Store, domain string) func(context.Context, *x509.Certificate, string) (string, error) {
	return func(ctx context.Context, c *x509.Certificate, authzid string) (string, error) {
		var said []jid.JID
		for _, text := range identity.Addresses(c) {
			a, err := jid.Parse(text)
			if err == nil && a.Domain() == domain && a.Local() != "" && a.Resource() == "" && !slices.Contains(said, a) {
				said = append(said, a)
			}
		}
		if len(said) == 0 {
			return "", sasl.NotAuthorized
		}
		who := said[0]
		if authzid != "" {
			var err error
			if who, err = jid.Parse(authzid); err != nil || !slices.Contains(said, who) {
				return "", sasl.InvalidAuthzid
			}
		} else if len(said) > 1 {
			return "", sasl.InvalidAuthzid
		}
		return who.Local(), attemptOf(ctx).admit(ctx, store, who.String())
	}
}
