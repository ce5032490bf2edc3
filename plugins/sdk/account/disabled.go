package account

import (
	"context"
	"errors"
	"time"

	"github.com/jabberii/server/plugins/sdk/xdb"
	"github.com/jabberii/server/plugins/xmpp/sasl"
)

// ErrDisabled is for who logs in to an account that is disabled, and has proved to be
// its owner: others are not told (RFC 6120 section 6.5.1).
var ErrDisabled = &sasl.Failure{Condition: sasl.AccountDisabled, Text: "The account is disabled"}

// An account that is disabled has an item in namespace DisabledNS, which says since when.
// Whoever keeps the account need not know of it: a directory, a program. Where the server
// keeps it itself, there is an item disabledKey with its keys too, so that a login asks
// storage once.
const (
	DisabledNS  = "disabled"
	sinceKey    = "since"
	disabledKey = "disabled"
)

// Disable has nobody log in with an account any more; what it has stays, and
// what comes for it is kept. Its sessions are the caller's to end. After an error it may
// be listed as disabled; repeated, it goes on.
func Disable(ctx context.Context, store *xdb.Store, jid string) error {
	c, err := mustExist(ctx, store, jid)
	if err != nil {
		return err
	}
	now := time.Now().UTC().Format(time.RFC3339)
	if _, err = store.Put(ctx, jid, DisabledNS, sinceKey, []byte(now)); err == nil && c.isOurs() {
		_, err = store.Put(ctx, jid, NS, disabledKey, nil)
	}
	return err
}

// Enable undoes Disable.
func Enable(ctx context.Context, store *xdb.Store, jid string) error {
	c, err := mustExist(ctx, store, jid)
	if err != nil {
		return err
	}
	if has(c.items, disabledKey) {
		if err := store.Delete(ctx, jid, NS, disabledKey); err != nil {
			return err
		}
	}
	return store.Delete(ctx, jid, DisabledNS, sinceKey)
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
