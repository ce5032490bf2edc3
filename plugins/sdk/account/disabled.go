package account

import (
	"context"
	"errors"

	"github.com/jabberii/server/plugins/sdk/xdb"
	"github.com/jabberii/server/plugins/xmpp/sasl"
)

// ErrDisabled is for who logs in to an account that is disabled, and has proved to be
// its owner: others are not told (RFC 6120 section 6.5.1).
var ErrDisabled = &sasl.Failure{Condition: sasl.AccountDisabled, Text: "The account is disabled"}

// disabledKey is the item that an account has while it is disabled.
const disabledKey = "disabled"

// Disable has nobody log in with an account any more; what it has stays, and
// what comes for it is kept. Its sessions are the caller's to end.
func Disable(ctx context.Context, store *xdb.Store, jid string) error {
	if err := mustExist(ctx, store, jid); err != nil {
		return err
	}
	_, err := store.Put(ctx, jid, NS, disabledKey, nil)
	return err
}

// Enable undoes Disable.
func Enable(ctx context.Context, store *xdb.Store, jid string) error {
	if err := mustExist(ctx, store, jid); err != nil {
		return err
	}
	return store.Delete(ctx, jid, NS, disabledKey)
}

// IsDisabled reports whether there is an account that is disabled.
func IsDisabled(ctx context.Context, store *xdb.Store, jid string) (bool, error) {
	err := Admit(ctx, store, jid)
	if disabled := errors.Is(err, sasl.AccountDisabled); disabled || errors.Is(err, sasl.ErrNoAccount) {
		return disabled, nil
	}
	return false, err
}

// Enabled reports whether there is an account that may log in.
func Enabled(ctx context.Context, store *xdb.Store, jid string) (bool, error) {
	c, err := Read(ctx, store, jid)
	return err == nil && c.Admit() == nil, err
}
