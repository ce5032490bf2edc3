package account_test

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sdk/account"
	"github.com/jabberii/server/plugins/sdk/xdb"
	"github.com/jabberii/server/plugins/xmpp/sasl"
	"github.com/jabberii/server/xdb/memory"
)

// A tree has one store and nothing else.
type tree struct {
	store  packet.Handler
	mu     sync.Mutex
	answer *packet.Packet
}

func (t *tree) Answer(_ context.Context, _, answer *packet.Packet) error {
	a := *answer
	t.answer = &a
	return nil
}

func (t *tree) Ask(ctx context.Context, q *packet.Packet) (*packet.Packet, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := *q
	p.Kind = packet.XDB
	if v, err := t.store.Handle(ctx, &p); err != nil || v != packet.Claim {
		return nil, errors.Join(err, errors.New("not claimed"))
	}
	return t.answer, nil
}

func store(t *testing.T) *xdb.Store {
	return xdb.New(memoryTree(), "test")
}

func memoryTree() *tree {
	tr := &tree{}
	tr.store = xdb.Serve(tr, memory.Open(1<<20), "memory")
	return tr
}

func TestAccount(t *testing.T) {
	ctx, s := context.Background(), store(t)
	const ann = "ann@example.org"
	if err := account.SetPassword(ctx, s, ann, "x", nil); !errors.Is(err, account.ErrNone) {
		t.Errorf("password of nobody: %v", err)
	}
	if err := account.Add(ctx, s, ann, ""); err == nil {
		t.Error("an empty password was taken")
	}
	if err := account.Add(ctx, s, ann, "secret"); err != nil {
		t.Fatal(err)
	}
	if err := account.Add(ctx, s, ann, "other"); !errors.Is(err, account.ErrExists) {
		t.Errorf("a second account of the name: %v", err)
	}
	for _, h := range []sasl.Hash{"", sasl.SHA1, sasl.SHA256} {
		k, err := account.Keys(ctx, s, ann, h)
		if err != nil || !k.Verify("secret") || k.Verify("other") || h != "" && k.Hash != h {
			t.Errorf("keys for %q: %v, %v", h, k.Hash, err)
		}
	}
	ended := false
	err := account.SetPassword(ctx, s, ann, "new", func(context.Context) error {
		ended = true
		if k, err := account.Keys(ctx, s, ann, ""); err != nil || k.Verify("secret") {
			t.Errorf("the password of before counts when sessions end: %v", err)
		}
		return nil
	})
	if err != nil || !ended {
		t.Fatal(err, ended)
	}
	if k, err := account.Keys(ctx, s, ann, ""); err != nil || !k.Verify("new") {
		t.Errorf("the new password does not count: %v", err)
	}
	if _, err := s.Put(ctx, ann, "roster", "bob@example.org", []byte("<item/>")); err != nil {
		t.Fatal(err)
	}
	forgotten := false
	err = account.Remove(ctx, s, ann, func(context.Context) error {
		forgotten = true
		if _, err := account.Keys(ctx, s, ann, ""); !errors.Is(err, sasl.ErrNoAccount) {
			t.Errorf("keys are left when the rest is forgotten: %v", err)
		}
		return nil
	})
	if err != nil || !forgotten {
		t.Fatal(err, forgotten)
	}
	if _, err := account.Keys(ctx, s, ann, ""); !errors.Is(err, sasl.ErrNoAccount) {
		t.Errorf("keys are left: %v", err)
	}
	if list, err := s.Namespaces(ctx, ann); err != nil || len(list) != 0 {
		t.Errorf("left are %v, %v", list, err)
	}
	if err := account.Remove(ctx, s, ann, nil); !errors.Is(err, account.ErrNone) {
		t.Errorf("removed twice: %v", err)
	}
}

// Of those who add one account at once, one does.
func TestAddAtOnce(t *testing.T) {
	ctx, s := context.Background(), store(t)
	const many = 8
	errs := make(chan error, many)
	for range many {
		go func() { errs <- account.Add(ctx, s, "ann@example.org", "secret") }()
	}
	added := 0
	for range many {
		switch err := <-errs; {
		case err == nil:
			added++
		case !errors.Is(err, account.ErrExists):
			t.Error(err)
		}
	}
	if added != 1 {
		t.Errorf("%d have added it", added)
	}
}

// Nobody logs in with an account that is disabled, which is there all the same.
func TestDisabled(t *testing.T) {
	ctx, store := context.Background(), store(t)
	const jid = "ann@example.org"
	if err := account.Disable(ctx, store, jid); !errors.Is(err, account.ErrNone) {
		t.Errorf("nobody disabled: %v", err)
	}
	if err := account.Admit(ctx, store, jid); !errors.Is(err, sasl.ErrNoAccount) {
		t.Errorf("nobody admitted: %v", err)
	}
	if err := account.Add(ctx, store, jid, "secret"); err != nil {
		t.Fatal(err)
	}
	check := func(what string, enabled bool) {
		t.Helper()
		keys, err := account.Keys(ctx, store, jid, "")
		if (err == nil) != enabled || err != nil && !errors.Is(err, account.ErrDisabled) || keys.StoredKey == nil {
			t.Errorf("%s: keys: %v", what, err)
		}
		if err := account.Admit(ctx, store, jid); (err == nil) != enabled || err != nil && !errors.Is(err, sasl.AccountDisabled) {
			t.Errorf("%s: admitted: %v", what, err)
		}
		if got, err := account.IsDisabled(ctx, store, jid); got == enabled || err != nil {
			t.Errorf("%s: disabled %v, %v", what, got, err)
		}
		if got, err := account.Enabled(ctx, store, jid); got != enabled || err != nil {
			t.Errorf("%s: enabled %v, %v", what, got, err)
		}
		if there, err := account.Exists(ctx, store, jid); !there || err != nil {
			t.Errorf("%s: exists %v, %v", what, there, err)
		}
	}
	check("new", true)
	if err := account.Disable(ctx, store, jid); err != nil {
		t.Fatal(err)
	}
	check("disabled", false)
	if err := account.SetPassword(ctx, store, jid, "other", nil); err != nil {
		t.Fatal(err)
	}
	check("with another password", false)
	if err := account.Enable(ctx, store, jid); err != nil {
		t.Fatal(err)
	}
	check("enabled again", true)
}

// What a password was proved with is told from what counts later.
func TestSince(t *testing.T) {
	ctx, store := context.Background(), store(t)
	const jid = "ann@example.org"
	since := func() string {
		t.Helper()
		c, err := account.Read(ctx, store, jid)
		if err != nil {
			t.Fatal(err)
		}
		return c.Since()
	}
	seen := map[string]string{since(): "nobody"}
	for _, change := range []struct {
		name string
		do   func() error
		same bool
	}{
		{"added", func() error { return account.Add(ctx, store, jid, "secret") }, false},
		{"disabled", func() error { return account.Disable(ctx, store, jid) }, true},
		{"enabled", func() error { return account.Enable(ctx, store, jid) }, true},
		{"another password", func() error { return account.SetPassword(ctx, store, jid, "other", nil) }, false},
		{"the password of before", func() error { return account.SetPassword(ctx, store, jid, "secret", nil) }, false},
		{"removed and added", func() error {
			return errors.Join(account.Remove(ctx, store, jid, nil), account.Add(ctx, store, jid, "secret"))
		}, false},
	} {
		if err := change.do(); err != nil {
			t.Fatalf("%s: %v", change.name, err)
		}
		before, known := seen[since()]
		if known != change.same {
			t.Errorf("%s: since %q, known %v (%s)", change.name, since(), known, before)
		}
		seen[since()] = change.name
	}
}

// Who adds keys of a password to an account that was removed, or has another password
// meanwhile, changes nothing.
func TestAddKeys(t *testing.T) {
	ctx, s := context.Background(), store(t)
	const jid = "ann@example.org"
	keys, err := sasl.NewKeys(sasl.SHA512, "secret", sasl.NewSalt(), sasl.MinIterations)
	if err != nil {
		t.Fatal(err)
	}
	if err := account.AddKeys(ctx, s, jid, keys); err != nil {
		t.Error(err)
	}
	if there, err := account.Exists(ctx, s, jid); there || err != nil {
		t.Errorf("an account comes to be of keys: %v, %v", there, err)
	}
	if err := account.Add(ctx, s, jid, "other"); err != nil {
		t.Fatal(err)
	}
	if err := account.AddKeys(ctx, s, jid, keys); err != nil {
		t.Error(err)
	}
	if k, err := account.Keys(ctx, s, jid, sasl.SHA512); err != nil || !k.Verify("other") {
		t.Errorf("the keys are replaced: %v", err)
	}
}
