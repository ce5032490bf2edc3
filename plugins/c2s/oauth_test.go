package c2s_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/jabberii/server/plugins/sdk/sdktest"
	"github.com/jabberii/server/plugins/xmpp/jid"
	"github.com/jabberii/server/plugins/xmpp/sasl"
	"github.com/jabberii/server/plugins/xmpp/session"
)

// An identityProvider issues tokens, and publishes its keys over HTTP.
type identityProvider struct {
	*httptest.Server
	mu    sync.Mutex
	keys  map[string]*ecdsa.PrivateKey
	shown []string
	asked int

	failing bool
}

func newIdentityProvider(t *testing.T) *identityProvider {
	t.Helper()
	p := &identityProvider{keys: map[string]*ecdsa.PrivateKey{}}
	for _, id := range []string{"one", "two", "secret"} {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		p.keys[id] = key
	}
	p.shown = []string{"one"}
	p.Server = httptest.NewServer(p)
	t.Cleanup(p.Close)
	return p
}

func (p *identityProvider) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked++
	if p.failing {
		http.Error(w, "later", http.StatusServiceUnavailable)
		return
	}
	var set jose.JSONWebKeySet
	for _, id := range p.shown {
		set.Keys = append(set.Keys, jose.JSONWebKey{Key: p.keys[id].Public(), KeyID: id, Algorithm: "ES256", Use: "sig"})
	}
	text, err := json.Marshal(set)
	if err != nil {
		panic(err)
	}
	// Behind a key of a type that nobody knows.
	w.Write(bytes.Replace(text, []byte(`{"keys":[`), []byte(`{"keys":[{"kty":"OKP","crv":"X25519","kid":"enc","use":"enc","x":"AA"},{"kty":"new"},`), 1))
}

func (p *identityProvider) show(ids ...string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.shown = ids
}

func (p *identityProvider) token(t *testing.T, key string, claims map[string]any) string {
	t.Helper()
	all := map[string]any{"iss": "https://issuer.example", "aud": []string{"xmpp", "mail"}, "exp": time.Now().Add(time.Hour).Unix(), "sub": "ann"}
	for name, value := range claims {
		if all[name] = value; value == nil {
			delete(all, name)
		}
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: p.keys[key]}, (&jose.SignerOptions{}).WithHeader("kid", key))
	if err != nil {
		t.Fatal(err)
	}
	text, err := jwt.Signed(signer).Claims(all).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func bearer(t *testing.T, address, token string) error {
	t.Helper()
	_, _, err := quick(t, address, session.Account{Address: jid.MustParse("ann@" + domain + "/x"), Bearer: token, Mechanisms: []string{sasl.OAuthBearer}})
	return err
}

func TestBearer(t *testing.T) {
	provider := newIdentityProvider(t)
	at := func(d time.Duration) int64 { return time.Now().Add(d).Unix() }
	p := whole(fmt.Sprintf(`{%s,"guesses":{"delay":"0s","per_address":0,"per_account":0},"oauth":{"issuer":"https://issuer.example","audience":"xmpp","keys":%q,"leeway":"1m"}}`, directTLS, provider.URL))
	sdktest.Both(t, p, func(t *testing.T, h *sdktest.Harness) {
		address := listening(h)
		withAccount(t, h)
		withDisabled(t, h)
		for _, test := range []struct {
			name, key string
			claims    map[string]any
			want      error
		}{
			{"good", "one", nil, nil},
			{"the whole address", "one", map[string]any{"sub": "Ann@EXAMPLE.org"}, nil},
			{"another audience", "one", map[string]any{"aud": "mail"}, sasl.NotAuthorized},
			{"another issuer", "one", map[string]any{"iss": "https://elsewhere.example"}, sasl.NotAuthorized},
			{"another host", "one", map[string]any{"sub": "ann@elsewhere.example"}, sasl.NotAuthorized},
			{"nobody", "one", map[string]any{"sub": "bob"}, sasl.NotAuthorized},
			{"disabled", "one", map[string]any{"sub": "carl"}, sasl.AccountDisabled},
			{"no name", "one", map[string]any{"sub": nil}, sasl.NotAuthorized},
			{"a name that is a number", "one", map[string]any{"name": 7, "sub": ""}, sasl.NotAuthorized},
			{"no end", "one", map[string]any{"exp": nil}, sasl.NotAuthorized},
			{"late", "one", map[string]any{"exp": at(-2 * time.Minute)}, sasl.CredentialsExpired},
			{"late by less than clocks are apart", "one", map[string]any{"exp": at(-30 * time.Second)}, nil},
			{"early", "one", map[string]any{"nbf": at(2 * time.Minute)}, sasl.NotAuthorized},
			{"early by less than clocks are apart", "one", map[string]any{"nbf": at(30 * time.Second)}, nil},
			{"a key that is not shown", "secret", nil, sasl.NotAuthorized},
		} {
			t.Run(test.name, func(t *testing.T) {
				if err := bearer(t, address, provider.token(t, test.key, test.claims)); !errors.Is(err, test.want) {
					t.Errorf("%v, want %v", err, test.want)
				}
			})
		}
		for name, token := range map[string]string{"no token": "x", "not signed": "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbm4ifQ."} {
			if err := bearer(t, address, token); !errors.Is(err, sasl.NotAuthorized) {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

// The issuer takes another key: its tokens are good as soon as they come, those with the
// key before are not when it is no longer shown, and bad tokens don't make the server ask
// again and again.
func TestBearerKeysChange(t *testing.T) {
	provider := newIdentityProvider(t)
	p := whole(fmt.Sprintf(`{%s,"guesses":{"delay":"0s","per_address":0},"oauth":{"issuer":"https://issuer.example","audience":"xmpp","keys":%q,"pause":"1ms"}}`, directTLS, provider.URL))
	sdktest.Both(t, p, func(t *testing.T, h *sdktest.Harness) {
		address := listening(h)
		withAccount(t, h)
		provider.show("one")
		if err := bearer(t, address, provider.token(t, "one", nil)); err != nil {
			t.Fatal(err)
		}
		provider.show("two")
		if err := bearer(t, address, provider.token(t, "two", nil)); err != nil {
			t.Errorf("the new key: %v", err)
		}
		if err := bearer(t, address, provider.token(t, "one", nil)); !errors.Is(err, sasl.NotAuthorized) {
			t.Errorf("the old key: %v", err)
		}
	})
	p = whole(fmt.Sprintf(`{%s,"guesses":{"delay":"0s","per_address":0},"oauth":{"issuer":"https://issuer.example","audience":"xmpp","keys":%q,"pause":"1h"}}`, directTLS, provider.URL))
	sdktest.Both(t, p, func(t *testing.T, h *sdktest.Harness) {
		address := listening(h)
		withAccount(t, h)
		before := provider.asked
		for range 5 {
			if err := bearer(t, address, provider.token(t, "secret", nil)); !errors.Is(err, sasl.NotAuthorized) {
				t.Error(err)
			}
		}
		if n := provider.asked - before; n != 1 {
			t.Errorf("the keys were read %d times", n)
		}
	})
}

// While the issuer cannot be reached, the keys that there are go on, and without any
// nobody is told that the token is bad.
func TestBearerWithoutIssuer(t *testing.T) {
	for _, known := range []bool{true, false} {
		provider := newIdentityProvider(t)
		p := whole(fmt.Sprintf(`{%s,"guesses":{"delay":"0s","per_address":0},"oauth":{"issuer":"https://issuer.example","audience":"xmpp","keys":%q,"refresh":"1ms","pause":"1ms"}}`, directTLS, provider.URL))
		name := map[bool]string{true: "keys known", false: "no keys"}[known]
		t.Run(name, func(t *testing.T) {
			sdktest.Both(t, p, func(t *testing.T, h *sdktest.Harness) {
				address := listening(h)
				withAccount(t, h)
				token := provider.token(t, "one", nil)
				provider.fail(false)
				if known {
					if err := bearer(t, address, token); err != nil {
						t.Fatal(err)
					}
				}
				provider.fail(true)
				want := sasl.TemporaryAuthFailure
				if err := bearer(t, address, token); known && err != nil || !known && !errors.Is(err, want) {
					t.Error(err)
				}
			})
		})
	}
}

func (p *identityProvider) fail(on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.failing = on
}
