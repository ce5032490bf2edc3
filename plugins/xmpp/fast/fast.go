// Package fast is what a server keeps of the tokens with which clients log in again
// (XEP-0484): at most two for a client, the one that it uses and the one that is to
// follow, so that a client which lost its connection before it was given the new one
// still has the old.
//
// A token is derived from a secret of the server, and only what names it is kept: who
// reads the storage of an account cannot log in with that. The mechanisms of hashed
// tokens need the token itself on the server's side, so a hash of it would not do.
//
// The package does no I/O. Whoever keeps a [Pair] reads it, calls one of its methods,
// and writes it if it has changed, so that nothing else has changed it meanwhile.
package fast

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"strconv"
	"time"

	"github.com/jabberii/server/plugins/xmpp/sasl"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

// A Grant is one token, without its secret.
type Grant struct {
	ID        string // of the token, unique
	Mechanism string // that it is good for
	Issued    time.Time
	Expiry    time.Time
	Count     uint64 // the client's count when it was last used, 0 if it does not count
}

// A Pair has the tokens of one client. The zero Pair has none.
type Pair struct{ Current, Next *Grant }

// A Use is an attempt to log in with a token.
type Use struct {
	Mechanism  string
	Count      uint64 // 0 is none; else it must be greater than before
	Invalidate bool   // no further use
}

// A Key makes the tokens of one client: a secret of the server, at least 16 bytes, and
// whose client it is.
type Key struct {
	Secret  []byte
	Account string
	Since   string // another for each password that the account has had; may be empty
	Agent   string
}

// Token is the secret of a grant.
func (k *Key) Token(g *Grant) string {
	m := hmac.New(sha256.New, k.Secret)
	for _, part := range [...]string{"fast token", k.Account, k.Since, k.Agent, g.Mechanism, g.ID} {
		m.Write([]byte(part))
		m.Write([]byte{0})
	}
	return "secret-token:fast-" + base64.RawURLEncoding.EncodeToString(m.Sum(nil)) // RFC 8959
}

// Issue makes a token, which is good until it expires. The token that the client uses
// now stays, one that it was given and has not used does not.
func (p *Pair) Issue(now time.Time, mechanism string, lifetime time.Duration) *Grant {
	now = now.Truncate(time.Second)
	p.Next = &Grant{ID: rand.Text(), Mechanism: mechanism, Issued: now, Expiry: now.Add(lifetime)}
	return p.Next
}

// Use finds the token that the client proves to have, and the grant of it: the next one
// then is the current one. Changed says that the pair has to be written before the
// client is let in. The error is sasl.NotAuthorized, or sasl.CredentialsExpired.
func (p *Pair) Use(now time.Time, u Use, k *Key, proves func(secret string) bool) (g *Grant, changed bool, err error) {
	switch {
	case p.Next != nil && p.Next.Mechanism == u.Mechanism && proves(k.Token(p.Next)):
		p.Current, p.Next, changed = p.Next, nil, true
	case p.Current != nil && p.Current.Mechanism == u.Mechanism && proves(k.Token(p.Current)):
	default:
		return nil, false, sasl.NotAuthorized
	}
	g = p.Current
	switch {
	case !now.Before(g.Expiry):
		return nil, false, sasl.CredentialsExpired
	case u.Count != 0 && u.Count <= g.Count:
		return nil, false, &sasl.Failure{Condition: sasl.NotAuthorized, Cause: errRepeated}
	case u.Count != 0:
		g.Count, changed = u.Count, true
	}
	if u.Invalidate {
		p.Current, changed = nil, true
	}
	return g, changed, nil
}

var errRepeated = errors.New("a token's count that was used before")

// Empty tells whether there is no token, or none that is good at a time.
func (p *Pair) Empty(now time.Time) bool {
	good := func(g *Grant) bool { return g != nil && now.Before(g.Expiry) }
	return !good(p.Current) && !good(p.Next)
}

// Issued is when the newer of the tokens was given, the zero time without any.
func (p *Pair) Issued() time.Time {
	switch {
	case p.Next != nil:
		return p.Next.Issued
	case p.Current != nil:
		return p.Current.Issued
	}
	return time.Time{}
}

// MarshalText writes the pair as an element.
func (p *Pair) MarshalText() ([]byte, error) {
	out := xml.AppendStart(nil, "tokens", "")
	out = p.Current.append(out, "current")
	out = p.Next.append(out, "next")
	return xml.AppendEnd(out, "tokens"), nil
}

func (g *Grant) append(dst []byte, name string) []byte {
	if g == nil {
		return dst
	}
	return xml.AppendEmpty(dst, name, "", "id", g.ID, "mechanism", g.Mechanism,
		"issued", strconv.FormatInt(g.Issued.Unix(), 10), "expiry", strconv.FormatInt(g.Expiry.Unix(), 10),
		"count", strconv.FormatUint(g.Count, 10))
}

// UnmarshalText reads what MarshalText writes.
func (p *Pair) UnmarshalText(text []byte) error {
	root, ok := xml.First(text, "")
	if !ok || !root.Is("tokens", "") {
		return errors.New("tokens: not an element of that name")
	}
	var read Pair
	for el := range root.Elements() {
		g, err := parseGrant(&el)
		if err != nil {
			return err
		}
		switch el.Name() {
		case "current":
			read.Current = g
		case "next":
			read.Next = g
		}
	}
	*p = read
	return nil
}

func parseGrant(el *xml.Element) (*Grant, error) {
	g := &Grant{ID: el.Attr("id"), Mechanism: el.Attr("mechanism")}
	issued, err := strconv.ParseInt(el.Attr("issued"), 10, 64)
	expiry, err2 := strconv.ParseInt(el.Attr("expiry"), 10, 64)
	var err3 error
	g.Count, err3 = strconv.ParseUint(el.Attr("count"), 10, 64)
	if err := errors.Join(err, err2, err3); err != nil || g.ID == "" {
		return nil, errors.New("tokens: a token that cannot be read")
	}
	g.Issued, g.Expiry = time.Unix(issued, 0), time.Unix(expiry, 0)
	return g, nil
}
