package fast_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/jabberii/server/plugins/xmpp/fast"
	"github.com/jabberii/server/plugins/xmpp/sasl"
)

const (
	none = sasl.HTSHA256None
	expr = sasl.HTSHA256Expr
)

var (
	start = time.Unix(1_700_000_000, 0)
	key   = &fast.Key{Secret: []byte("a secret of the server"), Account: "juliet@example.org", Agent: "d4565fa7"}
)

func has(token string) func(string) bool { return func(s string) bool { return s == token } }

func use(p *fast.Pair, at time.Time, u fast.Use, token string) (changed bool, err error) {
	_, changed, err = p.Use(at, u, key, has(token))
	return changed, err
}

func TestTokensFollowOneAnother(t *testing.T) {
	var p fast.Pair
	if !p.Empty(start) {
		t.Error("the zero pair is not empty")
	}
	one := key.Token(p.Issue(start, none, time.Hour))
	if changed, err := use(&p, start, fast.Use{Mechanism: none}, one); !changed || err != nil {
		t.Fatal("first use:", changed, err)
	}
	if changed, err := use(&p, start, fast.Use{Mechanism: none}, one); changed || err != nil {
		t.Fatal("second use:", changed, err)
	}
	two := key.Token(p.Issue(start.Add(time.Minute), none, time.Hour))
	if _, err := use(&p, start, fast.Use{Mechanism: none}, one); err != nil {
		t.Error("the old one before the new one was used:", err)
	}
	three := key.Token(p.Issue(start.Add(time.Minute), none, time.Hour))
	if _, err := use(&p, start, fast.Use{Mechanism: none}, two); !errors.Is(err, sasl.NotAuthorized) {
		t.Error("one that was never used and followed by another:", err)
	}
	if _, err := use(&p, start, fast.Use{Mechanism: none}, three); err != nil {
		t.Error("the new one:", err)
	}
	if _, err := use(&p, start, fast.Use{Mechanism: none}, one); !errors.Is(err, sasl.NotAuthorized) {
		t.Error("the old one after the new one was used:", err)
	}
}

func TestUse(t *testing.T) {
	for _, test := range []struct {
		name string
		use  fast.Use
		at   time.Time
		want error
	}{
		{"good", fast.Use{Mechanism: expr}, start, nil},
		{"another mechanism", fast.Use{Mechanism: none}, start, sasl.NotAuthorized},
		{"at the end", fast.Use{Mechanism: expr}, start.Add(time.Hour), sasl.CredentialsExpired},
		{"before the end", fast.Use{Mechanism: expr}, start.Add(time.Hour - time.Second), nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			var p fast.Pair
			token := key.Token(p.Issue(start, expr, time.Hour))
			if _, err := use(&p, test.at, test.use, token); !errors.Is(err, test.want) {
				t.Errorf("%v", err)
			}
			if _, err := use(&p, test.at, test.use, "x"); !errors.Is(err, sasl.NotAuthorized) {
				t.Errorf("another token: %v", err)
			}
		})
	}
}

func TestCountsGrow(t *testing.T) {
	var p fast.Pair
	token := key.Token(p.Issue(start, none, time.Hour))
	for _, test := range []struct {
		count uint64
		good  bool
	}{{3, true}, {3, false}, {2, false}, {4, true}, {0, true}, {4, false}, {100, true}} {
		changed, err := use(&p, start, fast.Use{Mechanism: none, Count: test.count}, token)
		if (err == nil) != test.good || err == nil && changed != (test.count != 0) {
			t.Errorf("count %d: changed %v, %v", test.count, changed, err)
		}
	}
}

func TestInvalidate(t *testing.T) {
	var p fast.Pair
	token := key.Token(p.Issue(start, none, time.Hour))
	if changed, err := use(&p, start, fast.Use{Mechanism: none, Invalidate: true}, token); !changed || err != nil {
		t.Fatal(changed, err)
	}
	if _, err := use(&p, start, fast.Use{Mechanism: none}, token); !errors.Is(err, sasl.NotAuthorized) || !p.Empty(start) {
		t.Errorf("used again: %v", err)
	}
}

// A token is one client's, at one account, and not in what is kept.
func TestWhoseTokenItIs(t *testing.T) {
	var p fast.Pair
	g := p.Issue(start, none, time.Hour)
	token := key.Token(g)
	for _, k := range []fast.Key{
		{Secret: []byte("another secret of the server"), Account: key.Account, Agent: key.Agent},
		{Secret: key.Secret, Account: "romeo@example.org", Agent: key.Agent},
		{Secret: key.Secret, Account: key.Account, Agent: "another"},
		{Secret: key.Secret, Account: key.Account, Since: "another password", Agent: key.Agent},
		{Secret: key.Secret, Account: key.Account + "\x00" + key.Agent, Agent: ""},
	} {
		if k.Token(g) == token {
			t.Errorf("the same token for %+v", k)
		}
	}
	text, _ := p.MarshalText()
	if strings.Contains(string(text), token) || strings.Contains(string(text), strings.TrimPrefix(token, "secret-token:fast-")) {
		t.Errorf("kept: %s", text)
	}
}

func TestText(t *testing.T) {
	var p fast.Pair
	p.Issue(start, none, time.Hour)
	if _, err := use(&p, start, fast.Use{Mechanism: none, Count: 7}, key.Token(p.Next)); err != nil {
		t.Fatal(err)
	}
	p.Issue(start, expr, time.Hour)
	for _, p := range []fast.Pair{{}, {Current: p.Current}, p} {
		text, err := p.MarshalText()
		if err != nil {
			t.Fatal(err)
		}
		var got fast.Pair
		if err := got.UnmarshalText(text); err != nil || !reflect.DeepEqual(got, p) {
			t.Errorf("%s is %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "x", "<x/>", "<tokens><next/></tokens>", "<tokens><next id='a' issued='x' expiry='1' count='0'/></tokens>"} {
		if err := new(fast.Pair).UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q was read", text)
		}
	}
}
