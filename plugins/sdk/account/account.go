// Package account keeps what the server knows of accounts in storage: the keys
// with which they log in (RFC 5802), never their passwords.
//
// Namespace "auth" of an account has an item for each hash function of SCRAM,
// "scram-sha-256" and so on, whose value is in the form of RFC 5803. An account
// exists if it has one. While it is disabled, nobody logs in, see Disable. Item
// "created" says since when there is the account, and "changed", where it has had
// another password, since when it has the one that it has.
package account

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sdk/xdb"
	"github.com/jabberii/server/plugins/xmpp/sasl"
)

// NS is the namespace of storage that the keys are in, and Tokens the one of what else
// clients log in with (XEP-0484), which another password ends.
const (
	NS     = "auth"
	Tokens = "fast"
)

// hashes are those for which keys are kept, the best first.
var hashes = [...]sasl.Hash{sasl.SHA256, sasl.SHA1, sasl.SHA512}

// Errors of SetPassword and Remove, to be tested for with errors.Is.
var (
	ErrExists = errors.New("there is such an account already")
	ErrNone   = errors.New("there is no such account")
)

// item is the key of the item with the keys of a hash function.
func item(h sasl.Hash) string { return "scram-" + strings.ToLower(string(h)) }

// Missing lists the hash functions that an account has no keys for. An account without
// any keys, whose password somebody else checks, lacks none.
func Missing(ctx context.Context, store *xdb.Store, jid string) ([]sasl.Hash, error) {
	items, err := store.GetAll(ctx, jid, NS)
	if err != nil {
		return nil, err
	}
	var missing []sasl.Hash
	for _, h := range hashes {
		if !slices.ContainsFunc(items, func(it xdb.Item) bool { return it.Key == item(h) }) {
			missing = append(missing, h)
		}
	}
	if len(missing) == len(hashes) {
		return nil, nil
	}
	return missing, nil
}

// AddKeys gives an account keys of its password for another hash function. Those that
// it has stay. An account that was removed meanwhile does not come to be again.
func AddKeys(ctx context.Context, store *xdb.Store, jid string, keys sasl.Keys) error {
	text, err := keys.MarshalText()
	if err != nil {
		return err
	}
	items, err := store.GetAll(ctx, jid, NS)
	if err != nil {
		return err
	}
	known := slices.IndexFunc(items, isKeys)
	if known < 0 {
		return nil
	}
	is := items[known]
	err = store.Batch(ctx, jid, []xdb.Change{
		{Op: xdb.Put, NS: NS, Key: is.Key, Value: is.Value, Check: true, Was: is.Rev},
		{Op: xdb.Put, NS: NS, Key: item(keys.Hash), Value: text, Check: true},
	})
	if xdb.IsConflict(err) {
		return nil
	}
	return err
}

// Created returns when an account was made; the zero time is that of one which is not
// there, or of which it is not known.
func Created(ctx context.Context, store *xdb.Store, jid string) (time.Time, error) {
	items, err := store.GetAll(ctx, jid, NS)
	if err != nil || !exists(items) {
		return time.Time{}, err
	}
	text, found := value(items, createdKey)
	if !found {
		return time.Time{}, nil
	}
	return time.Parse(time.RFC3339, text)
}

// Exists reports whether there is an account, disabled or not.
func Exists(ctx context.Context, store *xdb.Store, jid string) (bool, error) {
	items, err := store.GetAll(ctx, jid, NS)
	return exists(items), err
}

// Add makes an account.
func Add(ctx context.Context, store *xdb.Store, jid, password string) error {
	found, err := Exists(ctx, store, jid)
	if err == nil && found {
		err = fmt.Errorf("%s: %w", jid, ErrExists)
	}
	if err != nil {
		return err
	}
	// Of two who add it at once, one does.
	if err = put(ctx, store, jid, password, true); xdb.IsConflict(err) {
		err = fmt.Errorf("%s: %w", jid, ErrExists)
	}
	return err
}

// SetPassword changes the password of an account. Its clients log in with the new one:
// the tokens that they have are of no more use, and end, which may be nil, ends its
// sessions. After an error these may be left; repeated, it goes on.
func SetPassword(ctx context.Context, store *xdb.Store, jid, password string, end func(context.Context) error) error {
	if _, err := mustExist(ctx, store, jid); err != nil {
		return err
	}
	if err := put(ctx, store, jid, password, false); err != nil {
		return err
	}
	if err := dropTokens(ctx, store, jid); err != nil || end == nil {
		return err
	}
	return end(ctx)
}

// dropTokens takes the tokens of an account away, if there is a store that has any.
func dropTokens(ctx context.Context, store *xdb.Store, jid string) error {
	err := store.Drop(ctx, jid, Tokens, "")
	if isUnavailable(err) {
		return nil
	}
	return err
}

// isUnavailable reports whether there is no store of a namespace.
func isUnavailable(err error) bool {
	var reject *packet.Reject
	return errors.As(err, &reject) && reject.Condition == "service-unavailable"
}

func mustExist(ctx context.Context, store *xdb.Store, jid string) (Credentials, error) {
	c, err := Read(ctx, store, jid)
	if err == nil && !exists(c.items) {
		err = fmt.Errorf("%s: %w", jid, ErrNone)
	}
	return c, err
}

// put makes the keys of a password, of an account that has none if it is new.
func put(ctx context.Context, store *xdb.Store, jid, password string, isNew bool) error {
	if password == "" {
		return errors.New("the password is empty")
	}
	since := xdb.Change{Op: xdb.Put, NS: NS, Key: changedKey, Value: []byte(time.Now().UTC().Format(time.RFC3339Nano))}
	if isNew {
		since.Key = createdKey
	}
	changes := []xdb.Change{since}
	for _, h := range hashes {
		keys, err := sasl.NewKeys(h, password, sasl.NewSalt(), sasl.MinIterations)
		if err != nil {
			return err
		}
		text, err := keys.MarshalText()
		if err != nil {
			return err
		}
		changes = append(changes, xdb.Change{Op: xdb.Put, NS: NS, Key: item(h), Value: text, Check: isNew})
	}
	return store.Batch(ctx, jid, changes)
}

// Remove takes away an account and all that any store has of it. The keys go
// first, so that nobody logs in meanwhile; then forget, which may be nil, ends
// what it has elsewhere, such as its sessions. After an error some of it may be
// left; repeated, it goes on. Where somebody else keeps the account, who does not let
// it go, everything stays; what one leaves behind that is gone there can be removed.
func Remove(ctx context.Context, store *xdb.Store, jid string, forget func(context.Context) error) error {
	left, err := store.Namespaces(ctx, jid)
	if err != nil {
		return err
	}
	switch there, err := Exists(ctx, store, jid); {
	case err != nil:
		return err
	case there:
		if err := store.Drop(ctx, jid, NS, ""); err != nil {
			return err // who keeps the account refuses, and nothing has changed
		}
	case len(left) == 0:
		return fmt.Errorf("%s: %w", jid, ErrNone)
	}
	if err := dropTokens(ctx, store, jid); err != nil {
		return err
	}
	if forget != nil {
		if err := forget(ctx); err != nil {
			return err
		}
	}
	return store.Drop(ctx, jid, "", "")
}
