package c2s

import (
	"context"

	"github.com/jabberii/server/plugins/sdk/account"
	"github.com/jabberii/server/plugins/sdk/xdb"
	"github.com/jabberii/server/plugins/xmpp/jid"
	"github.com/jabberii/server/plugins/xmpp/sasl"
)

// upgrades add keys to accounts that came with those of one hash only, from another
// server for example (XEP-0480).
type upgrades struct{ store *xdb.Store }

// upgradeTo are the hashes that accounts should have keys of.
var upgradeTo = []sasl.Hash{sasl.SHA256, sasl.SHA512}

func (u upgrades) Missing(ctx context.Context, j jid.JID) ([]sasl.Hash, error) {
	return account.Missing(ctx, u.store, j.String())
}

func (u upgrades) Add(ctx context.Context, j jid.JID, keys sasl.Keys) error {
	return account.AddKeys(ctx, u.store, j.String(), keys)
}

// learned makes the keys that an account lacks of a password that its client has said. If
// it fails, the next login tries again.
func (s *Service) learned(store *xdb.Store, domain string) func(context.Context, string, string) {
	return func(ctx context.Context, username, password string) {
		owner := username + "@" + domain
		missing, err := account.Missing(ctx, store, owner)
		for _, h := range missing {
			var keys sasl.Keys
			if keys, err = sasl.NewKeys(h, password, sasl.NewSalt(), sasl.MinIterations); err == nil {
				err = account.AddKeys(ctx, store, owner, keys)
			}
			if err != nil {
				break
			}
		}
		if err != nil {
			s.env.Log().Warn("keys of further hashes: "+err.Error(), "account", owner)
		}
	}
}
