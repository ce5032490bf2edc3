package c2s

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/jabberii/server/plugins/sdk/account"
	"github.com/jabberii/server/plugins/sdk/xdb"
	"github.com/jabberii/server/plugins/xmpp/sasl"
)

// verify has an authenticator ask storage whether a password is right, for a
// host whose storage has no keys of accounts: of the mechanisms for passwords
// that leaves PLAIN.
func (s *Service) verify(a *sasl.Authenticator, domain string) {
	a.Mechanisms = slices.DeleteFunc(slices.Clone(a.Mechanisms), func(name string) bool {
		return strings.HasPrefix(name, "SCRAM-") || name == sasl.Plain
	})
	a.Mechanisms = append(a.Mechanisms, sasl.Plain)
	a.Keys, a.Learned = nil, nil
	store := xdb.New(s.env, s.env.Section())
	a.Verify = func(ctx context.Context, username, password string) error {
		owner := username + "@" + domain
		if err := attemptOf(ctx).allowed(owner); err != nil {
			return err
		}
		err := account.Verify(ctx, s.env, s.env.Section(), owner, password)
		switch {
		case errors.Is(err, account.ErrWrong):
			return sasl.NotAuthorized
		case err != nil:
			return err
		}
		return attemptOf(ctx).admit(ctx, store, owner)
	}
}
