package c2s

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/plugins/sdk/xdb"
	"github.com/jabberii/server/plugins/xmpp/jid"
	"github.com/jabberii/server/plugins/xmpp/sasl"
)

type oauthArgs struct {
	Issuer    string          `json:"issuer" required:"true" doc:"Who issues the tokens: their claim iss."`
	Audience  string          `json:"audience" required:"true" doc:"Whom the tokens have to be for: one of their claim aud."`
	Keys      string          `json:"keys" required:"true" doc:"The issuer's public keys, a JWK set (RFC 7517): an https URL, or a file below data_dir if relative. Http is for addresses of this machine only."`
	Claim     string          `json:"claim" default:"sub" doc:"The claim that names the account: its name on the host, or its whole address. The account has to exist."`
	Leeway    module.Duration `json:"leeway" default:"1m" doc:"How far the clocks may be apart."`
	Refresh   module.Duration `json:"refresh" default:"1h" doc:"How often the keys are read again. They are also read when a token comes with a key that is not known."`
	Pause     module.Duration `json:"pause" default:"5s" doc:"How long the keys are not read again in any case, whatever tokens come."`
	Discovery string          `json:"discovery" doc:"The URL of the issuer's OpenID configuration, which clients are told whose token is refused."`
}

// An issuer judges tokens by the keys of who issues them.
type issuer struct {
	s     *Service
	args  oauthArgs
	http  *http.Client
	turn  chan struct{} // taken by who uses what follows
	keys  jose.JSONWebKeySet
	read  time.Time // when the keys were read
	tried time.Time // when that was tried last
}

const (
	keysTime = 10 * time.Second // to read the keys
	keysSize = 1 << 20
)

// algorithms are those with public keys.
var algorithms = []jose.SignatureAlgorithm{
	jose.EdDSA, jose.ES256, jose.ES384, jose.ES512, jose.PS256, jose.PS384, jose.PS512, jose.RS256, jose.RS384, jose.RS512,
}

func newIssuer(s *Service, a *oauthArgs) *issuer {
	if a == nil {
		return nil
	}
	i := &issuer{s: s, args: *a, turn: make(chan struct{}, 1)}
	i.http = &http.Client{Timeout: keysTime, CheckRedirect: func(*http.Request, []*http.Request) error {
		return errors.New("keys are somewhere else")
	}}
	return i
}

func (a *oauthArgs) check() error {
	if a == nil || !strings.Contains(a.Keys, "://") {
		return nil
	}
	u, err := url.Parse(a.Keys)
	if err != nil {
		return module.BadArg("oauth.keys", "%v", err)
	}
	ip := net.ParseIP(u.Hostname())
	here := u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
	if u.Scheme == "https" || u.Scheme == "http" && here {
		return nil
	}
	return module.BadArg("oauth.keys", "%s is neither https nor of this machine", a.Keys)
}

// bearer names the account of a host that a token is for.
func (i *issuer) bearer(domain string) func(context.Context, string) (string, error) {
	store := xdb.New(i.s.env, i.s.env.Section())
	return func(ctx context.Context, token string) (string, error) {
		if err := attemptOf(ctx).allowed(""); err != nil {
			return "", err
		}
		name, err := i.judge(ctx, token)
		if err != nil {
			return "", err
		}
		if !strings.Contains(name, "@") {
			name += "@" + domain
		}
		j, err := jid.Parse(name)
		if err != nil || j.Domain() != domain || j.Resource() != "" {
			return "", refused(fmt.Errorf("the token is for %q", name))
		}
		return j.Local(), attemptOf(ctx).admit(ctx, store, j.String())
	}
}

func refused(why error) error { return &sasl.Failure{Condition: sasl.NotAuthorized, Cause: why} }

// judge returns the claim that names the account.
func (i *issuer) judge(ctx context.Context, token string) (string, error) {
	parsed, err := jwt.ParseSigned(token, algorithms)
	if err != nil || len(parsed.Headers) != 1 {
		return "", refused(errors.Join(err, errors.New("no token with one signature")))
	}
	key, err := i.key(ctx, parsed.Headers[0])
	if err != nil {
		return "", err
	}
	var claims jwt.Claims
	var all map[string]any
	if err := parsed.Claims(key, &claims, &all); err != nil {
		return "", refused(err)
	}
	if claims.Expiry == nil {
		return "", refused(errors.New("a token that is good for ever"))
	}
	expected := jwt.Expected{Issuer: i.args.Issuer, AnyAudience: jwt.Audience{i.args.Audience}, Time: time.Now()}
	switch err := claims.ValidateWithLeeway(expected, i.args.Leeway.Std()); {
	case errors.Is(err, jwt.ErrExpired):
		return "", &sasl.Failure{Condition: sasl.CredentialsExpired, Cause: err}
	case err != nil:
		return "", refused(err)
	}
	name, ok := all[i.args.Claim].(string)
	if !ok || name == "" {
		return "", refused(fmt.Errorf("no claim %s", i.args.Claim))
	}
	return name, nil
}

// key finds the public key of a signature. Keys that are old, or that lack the one
// that is asked for, are read again.
func (i *issuer) key(ctx context.Context, h jose.Header) (any, error) {
	select {
	case i.turn <- struct{}{}:
		defer func() { <-i.turn }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	now := time.Now()
	key, found := i.find(h)
	if (!found || now.Sub(i.read) > i.args.Refresh.Std()) && now.Sub(i.tried) > i.args.Pause.Std() {
		i.tried = now
		if err := i.readKeys(ctx); err != nil {
			i.s.env.Log().Warn("the keys of who issues tokens: " + err.Error())
			if !found {
				return nil, err
			}
		} else {
			i.read = now
			key, found = i.find(h)
		}
	}
	if !found {
		return nil, refused(fmt.Errorf("no key %q for %s", h.KeyID, h.Algorithm))
	}
	return key, nil
}

func (i *issuer) find(h jose.Header) (any, bool) {
	for _, k := range i.keys.Keys {
		if (k.KeyID == h.KeyID || h.KeyID == "" && len(i.keys.Keys) == 1) && (k.Use == "" || k.Use == "sig") &&
			(k.Algorithm == "" || k.Algorithm == h.Algorithm) && k.Valid() && k.IsPublic() {
			return k.Key, true
		}
	}
	return nil, false
}

func (i *issuer) readKeys(ctx context.Context) error {
	in, err := i.open(ctx)
	if err != nil {
		return err
	}
	defer in.Close()
	b, err := io.ReadAll(io.LimitReader(in, keysSize))
	if err != nil {
		return err
	}
	set, err := parseKeys(b)
	if err == nil {
		i.keys = set
	}
	return err
}

// parseKeys reads a set of keys. Those that it does not understand, for other purposes or
// of types to come, it leaves out (RFC 7517 section 5).
func parseKeys(text []byte) (set jose.JSONWebKeySet, err error) {
	var all struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(text, &all); err != nil {
		return set, err
	}
	if all.Keys == nil {
		return set, errors.New("not a set of keys")
	}
	for _, one := range all.Keys {
		var key jose.JSONWebKey
		if key.UnmarshalJSON(one) == nil {
			set.Keys = append(set.Keys, key)
		}
	}
	return set, nil
}

func (i *issuer) open(ctx context.Context) (io.ReadCloser, error) {
	if !strings.Contains(i.args.Keys, "://") {
		return os.Open(i.s.env.Path(i.args.Keys))
	}
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, i.args.Keys, nil)
	if err != nil {
		return nil, err
	}
	answer, err := i.http.Do(q)
	if err != nil {
		return nil, err
	}
	if answer.StatusCode != http.StatusOK {
		answer.Body.Close()
		return nil, fmt.Errorf("%s: %s", i.args.Keys, answer.Status)
	}
	return answer.Body, nil
}
