package account

import (
	"context"
	"slices"
	"strings"

	"github.com/jabberii/server/plugins/sdk/xdb"
	"github.com/jabberii/server/plugins/xmpp/sasl"
)

// Items of an account that say since when.
const (
	createdKey = "created"
	changedKey = "changed"
)

// Credentials are what storage knows at one time of how an account logs in.
type Credentials struct {
	items    []xdb.Item
	disabled bool
}

// Read returns the credentials of an account, a bare JID, there or not.
func Read(ctx context.Context, store *xdb.Store, jid string) (Credentials, error) {
	items, err := store.GetAll(ctx, jid, NS)
	c := Credentials{items, has(items, disabledKey)}
	if err != nil || c.isOurs() || !exists(items) {
		return c, err
	}
	_, disabled, err := store.Get(ctx, jid, DisabledNS, sinceKey)
	if isUnavailable(err) {
		err = nil
	}
	c.disabled = c.disabled || disabled
	return c, err
}

// isOurs reports whether the server keeps the account itself.
func (c Credentials) isOurs() bool { return has(c.items, createdKey) }

// Since tells the account's password from those of before, and from those of other
// accounts that had its name. It is "" for one whose passwords somebody else keeps.
//
// A login proves a password, and gets its session a moment later. Who ends the sessions
// of an account that has another password, or is disabled or removed, has changed the
// credentials before: whoever gives out a session reads them again when it can be ended,
// and ends it itself unless it is admitted and Since is the same.
func (c Credentials) Since() string {
	for _, key := range [...]string{changedKey, createdKey} {
		if text, found := value(c.items, key); found {
			return text
		}
	}
	return ""
}

// Keys returns the keys that the account has for a hash function, with "" the best that
// it has. Without any the error is sasl.ErrNoAccount. With those of an account that is
// disabled it is ErrDisabled.
func (c Credentials) Keys(hash sasl.Hash) (sasl.Keys, error) {
	for _, h := range hashes {
		if hash != "" && hash != h {
			continue
		}
		if text, found := value(c.items, item(h)); found {
			var k sasl.Keys
			err := k.UnmarshalText([]byte(text))
			if err == nil {
				err = c.Admit()
			}
			return k, err
		}
	}
	return sasl.Keys{}, sasl.ErrNoAccount
}

// Admit is asked for who has proved by other means than the keys to own the account. The
// error is nil, ErrDisabled, or sasl.ErrNoAccount.
func (c Credentials) Admit() error {
	switch {
	case !exists(c.items):
		return sasl.ErrNoAccount
	case c.disabled:
		return ErrDisabled
	}
	return nil
}

// Keys returns the keys of an account, as its Credentials do.
func Keys(ctx context.Context, store *xdb.Store, jid string, hash sasl.Hash) (sasl.Keys, error) {
	c, err := Read(ctx, store, jid)
	if err != nil {
		return sasl.Keys{}, err
	}
	return c.Keys(hash)
}

// Admit says whether an account may log in, as its Credentials do.
func Admit(ctx context.Context, store *xdb.Store, jid string) error {
	c, err := Read(ctx, store, jid)
	if err != nil {
		return err
	}
	return c.Admit()
}

func value(items []xdb.Item, key string) (string, bool) {
	for _, it := range items {
		if it.Key == key {
			return string(it.Value), true
		}
	}
	return "", false
}

func has(items []xdb.Item, key string) bool {
	_, found := value(items, key)
	return found
}

func isKeys(it xdb.Item) bool { return strings.HasPrefix(it.Key, "scram-") }

func exists(items []xdb.Item) bool {
	return has(items, VerifyKey) || slices.ContainsFunc(items, isKeys)
}
