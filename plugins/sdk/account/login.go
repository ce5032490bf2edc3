package account

import (
	"context"
	"time"

	"github.com/jabberii/server/plugins/sdk/xdb"
)

// When an account has logged in last is in namespace "logins" of its storage.
const (
	loginsNS = "logins"
	lastKey  = "last"
)

// KeepLogin keeps that an account logs in. Those without one, who are anonymous, leave
// nothing behind.
func KeepLogin(ctx context.Context, store *xdb.Store, jid string) error {
	there, err := Exists(ctx, store, jid)
	if err != nil || !there {
		return err
	}
	_, err = store.Put(ctx, jid, loginsNS, lastKey, []byte(time.Now().UTC().Format(time.RFC3339)))
	return err
}

// LastLogin returns when an account has logged in last, to the second; the zero time is
// not known.
func LastLogin(ctx context.Context, store *xdb.Store, jid string) (time.Time, error) {
	it, found, err := store.Get(ctx, jid, loginsNS, lastKey)
	if err != nil || !found {
		return time.Time{}, err
	}
	return time.Parse(time.RFC3339, string(it.Value))
}
