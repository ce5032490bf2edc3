package account_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sdk/account"
	"github.com/jabberii/server/plugins/sdk/xdb"
)

// A counter counts the questions that storage is asked.
type counter struct {
	xdb.Asker
	asked int
	fail  string // namespace of which nothing is known
}

func (c *counter) Ask(ctx context.Context, q *packet.Packet) (*packet.Packet, error) {
	c.asked++
	if q.NS == c.fail && c.fail != "" {
		return nil, errBroken
	}
	return c.Asker.Ask(ctx, q)
}

func listed(t *testing.T, s *xdb.Store) (all, disabled []string, err error) {
	t.Helper()
	for a, err := range account.All(context.Background(), s, "example.org") {
		if err != nil {
			return all, disabled, err
		}
		all = append(all, a.JID)
		if a.Disabled {
			disabled = append(disabled, a.JID)
		}
	}
	return all, disabled, nil
}

// Many accounts are listed with a question for a thousand, and those are marked that are
// disabled, also at the ends of pages.
func TestAll(t *testing.T) {
	ctx := context.Background()
	asker := &counter{Asker: memoryTree()}
	s := xdb.New(asker, "test")
	if all, _, err := listed(t, s); len(all) != 0 || err != nil {
		t.Errorf("of nobody: %v, %v", all, err)
	}
	var want, wantDisabled []string
	put := func(jid, ns, key string) {
		t.Helper()
		if _, err := s.Put(ctx, jid, ns, key, []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 2500 {
		jid := fmt.Sprintf("u%04d@example.org", i)
		if i%7 == 3 {
			put(jid, account.DisabledNS, "since") // it is not there any more
			continue
		}
		put(jid, account.NS, "scram-sha-256")
		if want = append(want, jid); i%1000 > 997 || i%1000 < 2 || i%5 == 0 {
			put(jid, account.DisabledNS, "since")
			wantDisabled = append(wantDisabled, jid)
		}
	}
	put("example.org", account.NS, "verify") // the host is no account
	asker.asked = 0
	all, disabled, err := listed(t, s)
	if err != nil || !slices.Equal(all, want) || !slices.Equal(disabled, wantDisabled) {
		t.Errorf("%d accounts, want %d; %d disabled, want %d; %v", len(all), len(want), len(disabled), len(wantDisabled), err)
	}
	if asker.asked > 5 {
		t.Errorf("storage was asked %d times", asker.asked)
	}
	for range account.All(ctx, s, "example.org") { // ends when nobody wants more
		break
	}
	for _, ns := range []string{account.NS, account.DisabledNS} {
		asker.fail = ns
		if _, _, err := listed(t, s); !errors.Is(err, errBroken) {
			t.Errorf("without %s: %v", ns, err)
		}
	}
}
