package session

import (
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/jabberii/server/plugins/xmpp/jid"
	"github.com/jabberii/server/plugins/xmpp/ns"
	"github.com/jabberii/server/plugins/xmpp/sasl"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

// A Token is what a client logs in with instead of its password (XEP-0484).
type Token struct {
	Mechanism string
	Secret    string
	Expiry    time.Time
}

// Tokens keep the tokens of accounts, one or two for each client and mechanism. They
// are called for many connections at a time.
type Tokens interface {
	// Use calls proves with each token that the client may use, until it returns true,
	// and does what using it brings with it. Without such a token the error is
	// sasl.NotAuthorized, or sasl.CredentialsExpired. Due says that the token should be
	// replaced.
	Use(ctx context.Context, account jid.JID, use TokenUse, proves func(secret string) bool) (due bool, err error)
	// Issue makes another token for a client. The one before is good until this one is used.
	Issue(ctx context.Context, account jid.JID, agent, mechanism string) (Token, error)
}

// A TokenUse is how a client wants to use a token.
type TokenUse struct {
	Agent      string // id of the client's installation
	Mechanism  string
	Count      uint64 // of the client's uses of the token, each greater than the last; 0 if it doesn't count
	Invalidate bool   // it is to be good for this time only
}

// fastUse is the element fast of a request.
type fastUse struct {
	count      uint64
	invalidate bool
}

func parseFast(el *xml.Element) (*fastUse, error) {
	use := &fastUse{}
	if text, ok := el.LookupAttr("count"); ok {
		n, err := strconv.ParseUint(text, 10, 63)
		if err != nil || n == 0 {
			return nil, &sasl.Failure{Condition: sasl.MalformedRequest, Text: "count is a positive number"}
		}
		use.count = n
	}
	switch el.Attr("invalidate") {
	case "1", "true":
		use.invalidate = true
	}
	return use, nil
}

// fastMechanisms are those that tokens are given for, the best first.
var fastMechanisms = []string{sasl.HTSHA256Expr, sasl.HTSHA256Endp, sasl.HTSHA256None}

// tokenOffer lists the mechanisms with which tokens can be proved on a channel.
func (o *offerSASL2) tokenOffer(r *Receiver) []string {
	if o.Tokens == nil {
		return nil
	}
	return o.withTokens(nil, nil, nil).Offer(r.channel)
}

func appendFast(dst []byte, mechanisms []string) []byte {
	if len(mechanisms) == 0 {
		return dst
	}
	dst = xml.AppendStart(dst, "fast", ns.FAST)
	for _, name := range mechanisms {
		dst = xml.AppendElement(dst, "mechanism", "", name)
	}
	return xml.AppendEnd(dst, "fast")
}

// withTokens is an authenticator for one request that proves a token.
func (o *offerSASL2) withTokens(q *loginRequest, account func(username string) (jid.JID, error), due *bool) *sasl.Authenticator {
	return &sasl.Authenticator{
		Mechanisms: fastMechanisms, Prepare: o.auth.Prepare, Authorize: o.auth.Authorize,
		Token: func(ctx context.Context, username, mechanism string, proves func(string) bool) error {
			address, err := account(username)
			if err != nil {
				return err
			}
			use := TokenUse{Agent: q.inline.Agent, Mechanism: mechanism, Count: q.fast.count, Invalidate: q.fast.invalidate}
			*due, err = o.Tokens.Use(ctx, address, use, proves)
			*due = *due && !use.Invalidate
			return err
		},
	}
}

// appendToken issues a token if the client is to have one. If that fails the client
// goes on without; the error is for the log.
func (o *offerSASL2) appendToken(ctx context.Context, dst []byte, r *Receiver) ([]byte, error) {
	l := r.login
	mechanism := l.request.token
	if mechanism == "" && l.due {
		mechanism = l.request.mechanism
	}
	if mechanism == "" || o.Tokens == nil || l.request.inline.Agent == "" || !slices.Contains(o.tokenOffer(r), mechanism) {
		return dst, nil
	}
	token, err := o.Tokens.Issue(ctx, l.account, l.request.inline.Agent, mechanism)
	if err != nil {
		return dst, err
	}
	return xml.AppendEmpty(dst, "token", ns.FAST,
		"expiry", token.Expiry.UTC().Format(time.RFC3339), "token", token.Secret), nil
}
