package c2s

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"time"

	"github.com/jabberii/server/plugins/sdk/xdb"
)

// Keys of accounts that do not exist are made up, so that nobody can tell them
// from those that do. They are made of a secret which outlives the process and
// is the same on all nodes, for what changed with one of them would tell: it is
// in the storage of the host.
const (
	decoyNS  = "sasl"
	decoyKey = "decoys"

	decoyTime = 5 * time.Second // that a stream waits for it
)

// decoys returns the secret of a host, and makes it if there is none. Without
// storage it is that of this process; then kept is false.
func (s *Service) decoys(ctx context.Context, domain string) (secret []byte, kept bool) {
	ctx, cancel := context.WithTimeout(ctx, decoyTime)
	defer cancel()
	store := xdb.New(s.env, s.env.Section())
	secret, err := readDecoys(ctx, store, domain)
	if err == nil && secret == nil {
		secret = make([]byte, 32)
		rand.Read(secret)
		text := base64.StdEncoding.AppendEncode(nil, secret)
		if _, err = store.CompareAndSet(ctx, domain, decoyNS, decoyKey, 0, text); xdb.IsConflict(err) {
			secret, err = readDecoys(ctx, store, domain) // somebody else was faster
		}
	}
	if err != nil && !s.warned.Swap(true) {
		s.env.Log().Warn("the secret that keys of unknown accounts are made of is not in storage; after a restart they can be told from accounts: "+
			err.Error(), "host", domain)
	}
	if err != nil {
		return s.secret, false
	}
	return secret, true
}

// readDecoys returns the secret that is in storage, nil if there is none.
func readDecoys(ctx context.Context, store *xdb.Store, domain string) ([]byte, error) {
	it, found, err := store.Get(ctx, domain, decoyNS, decoyKey)
	if err != nil || !found {
		return nil, err
	}
	secret, err := base64.StdEncoding.DecodeString(string(it.Value))
	if err == nil && len(secret) < 16 {
		err = errors.New("it is too short")
	}
	return secret, err
}
