package c2s

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"time"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/plugins/sdk/account"
	"github.com/jabberii/server/plugins/sdk/xdb"
	"github.com/jabberii/server/plugins/xmpp/fast"
	"github.com/jabberii/server/plugins/xmpp/jid"
	"github.com/jabberii/server/plugins/xmpp/sasl"
	"github.com/jabberii/server/plugins/xmpp/session"
)

type tokenArgs struct {
	Lifetime module.Duration `json:"lifetime" default:"21d" doc:"How long a client that does not come back may log in with the token that it was given. 0 gives none."`
	Renew    module.Duration `json:"renew" default:"1d" doc:"A client that logs in with a token older than that is given another."`
	Clients  int             `json:"clients" default:"20" doc:"Clients of one account that have tokens; with one more, the one with the oldest token loses it."`
}

// tokens are those with which the clients of a host log in again (XEP-0484). What is
// in storage are no secrets, see package fast.
type tokens struct {
	args   tokenArgs
	store  *xdb.Store
	secret []byte // of the host
}

// tries is how often a change is made that others interfere with.
const tries = 5

// item is the key of a client's tokens.
func tokenItem(agent string) string {
	sum := sha256.Sum256([]byte(agent))
	return hex.EncodeToString(sum[:16])
}

// key makes the tokens of a login's client. They are no good with another password.
func (t *tokens) key(ctx context.Context, j jid.JID, agent string) *fast.Key {
	return &fast.Key{Secret: t.secret, Account: j.String(), Since: attemptOf(ctx).since, Agent: agent}
}

// Use is that of [session.Tokens].
func (t *tokens) Use(ctx context.Context, j jid.JID, use session.TokenUse, proves func(string) bool) (due bool, err error) {
	owner, item := j.String(), tokenItem(use.Agent)
	if err := attemptOf(ctx).allowed(owner); err != nil {
		return false, err
	}
	admitted := attemptOf(ctx).admit(ctx, t.store, owner)
	if admitted != nil && !errors.Is(admitted, sasl.AccountDisabled) {
		return false, admitted
	}
	for try := 0; ; try++ {
		it, found, err := t.store.Get(ctx, owner, account.Tokens, item)
		if err != nil {
			return false, err
		}
		if !found {
			return false, sasl.NotAuthorized
		}
		var pair fast.Pair
		if err := pair.UnmarshalText(it.Value); err != nil {
			return false, err
		}
		now := time.Now()
		g, changed, err := pair.Use(now, fast.Use{Mechanism: use.Mechanism, Count: use.Count, Invalidate: use.Invalidate}, t.key(ctx, j, use.Agent), proves)
		if err != nil {
			return false, err
		}
		if admitted != nil { // it has proved to be the one who is told
			return false, admitted
		}
		due = now.Sub(g.Issued) >= t.args.Renew.Std()
		if !changed {
			return due, nil
		}
		text, err := pair.MarshalText()
		if err != nil {
			return false, err
		}
		if _, err = t.store.CompareAndSet(ctx, owner, account.Tokens, item, it.Rev, text); !xdb.IsConflict(err) || try == tries {
			return due, err
		}
	}
}

// Issue is that of [session.Tokens].
func (t *tokens) Issue(ctx context.Context, j jid.JID, agent, mechanism string) (session.Token, error) {
	owner, item := j.String(), tokenItem(agent)
	var g *fast.Grant
	isNew := false
	_, err := t.store.Update(ctx, owner, account.Tokens, item, func(old *xdb.Item) ([]byte, error) {
		var pair fast.Pair
		if isNew = old == nil; !isNew && pair.UnmarshalText(old.Value) != nil {
			pair = fast.Pair{} // nobody can use it
		}
		g = pair.Issue(time.Now(), mechanism, t.args.Lifetime.Std())
		return pair.MarshalText()
	})
	if err == nil && isNew {
		err = t.thin(ctx, owner, item)
	}
	if err != nil {
		return session.Token{}, err
	}
	return session.Token{Mechanism: mechanism, Secret: t.key(ctx, j, agent).Token(g), Expiry: g.Expiry}, nil
}

// thin takes away tokens that are of no more use, and the oldest of too many clients.
func (t *tokens) thin(ctx context.Context, owner, keep string) error {
	items, err := t.store.GetAll(ctx, owner, account.Tokens)
	if err != nil {
		return err
	}
	now, left := time.Now(), len(items)
	oldest, since := "", now
	var gone []string
	for _, it := range items {
		var pair fast.Pair
		switch err := pair.UnmarshalText(it.Value); {
		case it.Key == keep:
		case err != nil, pair.Empty(now):
			gone = append(gone, it.Key)
		case !pair.Issued().After(since):
			oldest, since = it.Key, pair.Issued()
		}
	}
	if left-len(gone) > t.args.Clients && oldest != "" {
		gone = append(gone, oldest)
	}
	for _, key := range gone {
		err = errors.Join(err, t.store.Delete(ctx, owner, account.Tokens, key))
	}
	return err
}
