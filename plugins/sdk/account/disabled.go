package account

import (
	"context"
	"slices"
	"strings"

	"github.com/jabberii/server/plugins/sdk/xdb"
)

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

// Enabled reports whether there is an account that may log in: who
// authenticates by other means than its keys asks this.
func Enabled(ctx context.Context, store *xdb.Store, jid string) (bool, error) {
	items, err := store.GetAll(ctx, jid, NS)
	return exists(items) && !has(items, disabledKey), err
}

func has(items []xdb.Item, key string) bool {
	return slices.ContainsFunc(items, func(it xdb.Item) bool { return it.Key == key })
}

func exists(items []xdb.Item) bool {
	return slices.ContainsFunc(items, func(it xdb.Item) bool { return it.Key == VerifyKey || strings.HasPrefix(it.Key, "scram-") })
}
