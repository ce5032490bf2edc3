package invite_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sdk/account"
	"github.com/jabberii/server/plugins/sdk/invite"
	"github.com/jabberii/server/plugins/sdk/xdb"
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
	if _, err := t.store.Handle(ctx, &p); err != nil {
		return nil, err
	}
	return t.answer, nil
}

const host = "example.org"

func store() *xdb.Store {
	tr := &tree{}
	tr.store = xdb.Serve(tr, memory.Open(64<<20), "memory")
	return xdb.New(tr, "test")
}

func made(t *testing.T, s *xdb.Store, i invite.Invitation) *invite.Invitation {
	t.Helper()
	i.Host = host
	if i.Uses == 0 {
		i.Uses = 1
	}
	if err := invite.Create(t.Context(), s, &i); err != nil {
		t.Fatal(err)
	}
	return &i
}

func TestURI(t *testing.T) {
	for want, i := range map[string]invite.Invitation{
		"xmpp:example.org?register;preauth=T":                 {Register: true},
		"xmpp:b%3Fb@example.org?register;preauth=T":           {Register: true, Username: "b?b"},
		"xmpp:ann@example.org?roster;preauth=T;ibr=y":         {Register: true, Contact: true, By: "ann@example.org"},
		"xmpp:ann@example.org?roster;preauth=T":               {Contact: true, By: "ann@example.org"},
		"xmpp:bob@example.org?register;preauth=T":             {Register: true, Contact: true, New: true, By: "ann@example.org", Username: "bob"},
		"xmpp:example.org?register;preauth=T\x00for contacts": {Register: true, Contact: true, New: true, By: "ann@example.org"},
	} {
		i.Host, i.Token = host, "T"
		if got := i.URI(); got != want && got+"\x00for contacts" != want {
			t.Errorf("%+v: %s, want %s", i, got, want)
		}
	}
}

func TestKept(t *testing.T) {
	s := store()
	if err := account.Add(t.Context(), s, "ann@example.org", "secret"); err != nil {
		t.Fatal(err)
	}
	want := made(t, s, invite.Invitation{By: "ann@example.org", Username: "bob", Register: true, Contact: true, New: true, Uses: 3, Expires: time.Now().Add(time.Hour).Truncate(time.Second)})
	if err := invite.Take(t.Context(), s, host, want.Token, "bob@example.org"); err != nil {
		t.Fatal(err)
	}
	want.Used = []string{"bob@example.org"}
	got, err := invite.Get(t.Context(), s, host, want.Token)
	if err != nil || !got.Expires.Equal(want.Expires) {
		t.Fatalf("%+v, %v", got, err)
	}
	got.Expires = want.Expires
	if fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	for _, token := range []string{"", "x", "name bob", "ABCDEFGHIJKLMNOPQRSTUVWXYZ"} {
		if _, err := invite.Get(t.Context(), s, host, token); !errors.Is(err, invite.ErrNone) {
			t.Errorf("token %q: %v", token, err)
		}
		if err := invite.Take(t.Context(), s, host, token, "x@y"); !errors.Is(err, invite.ErrNone) {
			t.Errorf("taking %q: %v", token, err)
		}
	}
	if err := account.Disable(t.Context(), s, "ann@example.org"); err != nil {
		t.Fatal(err)
	}
	if _, err := invite.Get(t.Context(), s, host, want.Token); !errors.Is(err, invite.ErrNone) {
		t.Errorf("who has made it may not log in: %v", err)
	}
}

// Of many who use an invitation at once, as many do as it is good for; whoever has may
// do so again.
func TestTake(t *testing.T) {
	s := store()
	i := made(t, s, invite.Invitation{Register: true, Uses: 3})
	const many = 10
	errs := make([]error, many)
	var wg sync.WaitGroup
	for n := range many {
		wg.Go(func() { errs[n] = invite.Take(t.Context(), s, host, i.Token, fmt.Sprintf("u%d@x", n)) })
	}
	wg.Wait()
	taken := 0
	for n, err := range errs {
		again := invite.Take(t.Context(), s, host, i.Token, fmt.Sprintf("u%d@x", n))
		switch {
		case err == nil && again == nil:
			taken++
		case !errors.Is(err, invite.ErrNone) && !xdb.IsConflict(err) || again == nil:
			t.Errorf("u%d: %v, and then %v", n, err, again)
		}
	}
	got, err := invite.Get(t.Context(), s, host, i.Token)
	if err != nil || taken != 3 || len(got.Used) != 3 || got.Good(time.Now()) {
		t.Fatalf("%d have, %+v, %v", taken, got, err)
	}
	if err := invite.GiveBack(t.Context(), s, host, i.Token, got.Used[0]); err != nil {
		t.Fatal(err)
	}
	if err := invite.Take(t.Context(), s, host, i.Token, "late@x"); err != nil {
		t.Errorf("after one was given back: %v", err)
	}
}

func TestReserved(t *testing.T) {
	s := store()
	expect := func(what, name string, want error) {
		t.Helper()
		i := invite.Invitation{Host: host, Username: name, Register: true, Uses: 1}
		if err := invite.Create(t.Context(), s, &i); !errors.Is(err, want) {
			t.Errorf("%s: %v", what, err)
		}
	}
	old := made(t, s, invite.Invitation{Username: "bob", Register: true, Expires: time.Now().Add(-time.Minute)})
	if token, err := invite.Reserved(t.Context(), s, host, "bob"); token != "" || err != nil {
		t.Errorf("an invitation that is too old keeps the name: %q, %v", token, err)
	}
	i := made(t, s, invite.Invitation{Username: "bob", Register: true})
	if token, _ := invite.Reserved(t.Context(), s, host, "bob"); token != i.Token || token == old.Token {
		t.Errorf("the name is kept by %q", token)
	}
	expect("kept for another", "bob", invite.ErrReserved)
	if err := invite.Revoke(t.Context(), s, host, i.Token); err != nil {
		t.Fatal(err)
	}
	expect("taken back", "bob", nil)
	if err := account.Add(t.Context(), s, "ann@example.org", "secret"); err != nil {
		t.Fatal(err)
	}
	expect("an account", "ann", account.ErrExists)
}

// Those that are long past go, without the name that another invitation keeps by now.
func TestList(t *testing.T) {
	s := store()
	now := time.Now()
	old := made(t, s, invite.Invitation{Username: "bob", Register: true, Expires: now.Add(-2 * time.Hour)})
	late := made(t, s, invite.Invitation{Register: true, Expires: now.Add(-time.Minute)})
	kept := made(t, s, invite.Invitation{Username: "bob", Register: true, Expires: now.Add(time.Hour)})
	anns := made(t, s, invite.Invitation{By: "ann@example.org", Contact: true})
	list := func(by string) (tokens []string) {
		t.Helper()
		if err := invite.List(t.Context(), s, host, by, func(i *invite.Invitation) bool {
			tokens = append(tokens, i.Token)
			return true
		}); err != nil {
			t.Fatal(err)
		}
		slices.Sort(tokens)
		return tokens
	}
	all := []string{late.Token, kept.Token, anns.Token}
	slices.Sort(all)
	if got := list(""); !slices.Equal(got, all) {
		t.Errorf("all are %q, want %q", got, all)
	}
	if got := list("ann@example.org"); !slices.Equal(got, []string{anns.Token}) {
		t.Errorf("ann's are %q", got)
	}
	if token, err := invite.Reserved(t.Context(), s, host, "bob"); token != kept.Token {
		t.Errorf("the name is kept by %q, %v", token, err)
	}
	if err := invite.Revoke(t.Context(), s, host, old.Token); !errors.Is(err, invite.ErrNone) {
		t.Errorf("what is long past is there: %v", err)
	}
	if n, err := invite.Open(t.Context(), s, host, host); n != 1 || err != nil {
		t.Errorf("%d of the server are open, %v", n, err)
	}
}

// Who has the name of a removed account has not made its invitations.
func TestForget(t *testing.T) {
	s := store()
	if err := account.Add(t.Context(), s, "ann@example.org", "secret"); err != nil {
		t.Fatal(err)
	}
	anns := made(t, s, invite.Invitation{By: "ann@example.org", Contact: true})
	made(t, s, invite.Invitation{By: "ann@example.org", Register: true, Username: "carl"})
	anothers := made(t, s, invite.Invitation{By: "ann2@example.org", Contact: true})
	err := account.Remove(t.Context(), s, "ann@example.org", func(ctx context.Context) error { return invite.Forget(ctx, s, "ann@example.org") })
	if err != nil {
		t.Fatal(err)
	}
	if err := account.Add(t.Context(), s, "ann@example.org", "another's"); err != nil {
		t.Fatal(err)
	}
	if i, err := invite.Get(t.Context(), s, host, anns.Token); !errors.Is(err, invite.ErrNone) {
		t.Errorf("the next ann has made %+v, %v", i, err)
	}
	if token, err := invite.Reserved(t.Context(), s, host, "carl"); token != "" || err != nil {
		t.Errorf("the name that ann has kept is kept: %s, %v", token, err)
	}
	left := 0
	err = invite.List(t.Context(), s, host, "", func(i *invite.Invitation) bool {
		left++
		if i.Token != anothers.Token {
			t.Errorf("left is %+v", i)
		}
		return true
	})
	if err != nil || left != 1 {
		t.Errorf("%d are left, %v", left, err)
	}
}
