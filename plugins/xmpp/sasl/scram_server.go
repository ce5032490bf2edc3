package sasl

import (
	"context"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
)

// scramServer is the receiving side of RFC 5802.
type scramServer struct {
	*Server
	hash      Hash
	plus      bool   // the mechanism is one with -PLUS
	offered   bool   // one with -PLUS was offered
	offer     string // hash of all that was
	client    clientFirst
	account   string
	keys      Keys
	known     bool   // the account exists
	input     []byte // what the client has to repeat as c=
	nonce     string // ours, then the client's and ours
	challenge string
}

func (x *scramServer) first(ctx context.Context, in []byte) ([]byte, serverStep, error) {
	m, err := parseClientFirst(in)
	if err != nil {
		return nil, nil, &Failure{Condition: MalformedRequest, Text: err.Error()}
	}
	if err := x.bind(m); err != nil {
		return nil, nil, err
	}
	x.client = m
	if x.account, err = x.prepare(m.username); err != nil {
		return nil, nil, err
	}
	if x.keys, x.known, err = x.Server.keys(ctx, x.account, x.hash); err != nil {
		return nil, nil, err
	}
	x.nonce = m.nonce + x.nonce
	x.challenge = fmt.Sprintf("r=%s,s=%s,i=%d", x.nonce,
		base64.StdEncoding.EncodeToString(x.keys.Salt), x.keys.Iterations)
	if x.offer != "" {
		x.challenge += ",h=" + x.offer
	}
	return []byte(x.challenge), x.final, nil
}

// bind checks the client's channel binding flag (RFC 5802 part 6) and makes what
// it has to repeat in its final message.
func (x *scramServer) bind(m clientFirst) error {
	x.input = []byte(m.header)
	switch {
	case x.plus != (m.flag == 'p'):
		return fail(MalformedRequest, "channel binding flag does not fit the mechanism")
	case m.flag == 'y' && x.offered:
		return fail(NotAuthorized, "the offer of channel binding did not arrive")
	case m.flag == 'p':
		b, ok := findBinding(x.channel.Bindings, m.binding)
		if !ok {
			return fail(MalformedRequest, "unsupported channel binding type")
		}
		x.input = append(x.input, b.Data...)
	}
	return nil
}

func (x *scramServer) final(ctx context.Context, in []byte) ([]byte, serverStep, error) {
	m, err := parseClientFinal(in)
	if err != nil {
		return nil, nil, &Failure{Condition: MalformedRequest, Text: err.Error()}
	}
	if m.nonce != x.nonce {
		return nil, nil, fail(NotAuthorized, "wrong nonce")
	}
	if subtle.ConstantTimeCompare(m.input, x.input) != 1 {
		return nil, nil, fail(NotAuthorized, "channel bindings do not match")
	}
	message := []byte(x.client.bare + "," + x.challenge + "," + m.bare)
	if !x.proved(m.proof, message) {
		return nil, nil, fail(NotAuthorized, "")
	}
	if err := x.accept(ctx, x.account, x.client.authzid); err != nil {
		return nil, nil, err
	}
	signature := x.hash.hmac(x.keys.ServerKey, message)
	return []byte("v=" + base64.StdEncoding.EncodeToString(signature)), nil, nil
}

// proved recovers the client's key from its proof and compares it with the stored.
func (x *scramServer) proved(proof, message []byte) bool {
	if len(proof) != x.hash.Size() {
		return false
	}
	key := x.hash.hmac(x.keys.StoredKey, message)
	subtle.XORBytes(key, key, proof)
	return subtle.ConstantTimeCompare(x.hash.sum(key), x.keys.StoredKey) == 1 && x.known
}
