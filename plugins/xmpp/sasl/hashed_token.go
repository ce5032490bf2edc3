package sasl

import (
	"bytes"
	"context"
	"crypto/subtle"
	"errors"
	"strings"
	"unicode/utf8"
)

// tokenMechanism takes the name of a mechanism of draft-ietf-kitten-sasl-ht apart.
// The binding is "" where the exchange is not bound to the channel.
func tokenMechanism(name string) (hash Hash, binding string, ok bool) {
	rest, ok := strings.CutPrefix(name, "HT-")
	if !ok {
		return "", "", false
	}
	at := strings.LastIndexByte(rest, '-')
	if at < 0 {
		return "", "", false
	}
	switch rest[at+1:] {
	case "NONE":
	case "EXPR":
		binding = TLSExporter
	case "ENDP":
		binding = TLSServerEndPoint
	default:
		return "", "", false
	}
	hash = Hash(rest[:at])
	return hash, binding, hash.known()
}

// IsToken tells whether a mechanism proves a token instead of a password.
func IsToken(mechanism string) bool {
	_, _, ok := tokenMechanism(mechanism)
	return ok
}

// CanBind tells whether a channel with these bindings has what a mechanism of hashed
// tokens binds to.
func CanBind(mechanism string, all []Binding) bool {
	_, binding, ok := tokenMechanism(mechanism)
	if ok {
		_, ok = tokenBinding(binding, all)
	}
	return ok
}

// tokenBinding is what the mechanism binds to, empty for NONE. ok is false if the
// channel does not have it.
func tokenBinding(binding string, all []Binding) (data []byte, ok bool) {
	if binding == "" {
		return nil, true
	}
	b, ok := findBinding(all, binding)
	return b.Data, ok
}

func tokenProof(h Hash, secret, role string, binding []byte) []byte {
	return h.hmac([]byte(secret), append([]byte(role), binding...))
}

const (
	initiator = "Initiator"
	responder = "Responder"
)

// hashedToken is the one message of a client that has a token: the username, NUL, and
// a hash that proves the token. The answer proves that the server knows it too.
func (s *Server) hashedToken(ctx context.Context, in []byte) ([]byte, serverStep, error) {
	name, proof, ok := bytes.Cut(in, []byte{0})
	hash, binding, _ := tokenMechanism(s.mechanism)
	if !ok || len(name) == 0 || !utf8.Valid(name) || len(proof) != hash.Size() {
		return nil, nil, fail(MalformedRequest, "")
	}
	username, err := s.prepare(string(name))
	if err != nil {
		return nil, nil, err
	}
	data, _ := tokenBinding(binding, s.channel.Bindings)
	var answer []byte
	err = s.auth.Token(ctx, username, s.mechanism, func(secret string) bool {
		if subtle.ConstantTimeCompare(tokenProof(hash, secret, initiator, data), proof) != 1 {
			return false
		}
		answer = tokenProof(hash, secret, responder, data)
		return true
	})
	switch {
	case isNoAccount(err):
		return nil, nil, &Failure{Condition: NotAuthorized, Cause: err}
	case err != nil:
		return nil, nil, err
	case answer == nil:
		return nil, nil, fail(NotAuthorized, "")
	}
	return answer, nil, s.accept(ctx, username, "")
}

func tokenClient(c *Credentials, name string) (*Client, error) {
	if c.Username == "" || c.Token == "" {
		return nil, errors.New("hashed token: want a username and a token")
	}
	hash, binding, _ := tokenMechanism(name)
	data, _ := tokenBinding(binding, c.Bindings)
	first := append([]byte(c.Username+"\x00"), tokenProof(hash, c.Token, initiator, data)...)
	want := tokenProof(hash, c.Token, responder, data)
	return &Client{mechanism: name, next: func(in []byte) ([]byte, clientStep, error) {
		if len(in) > 0 {
			return nil, nil, errors.New("unexpected challenge")
		}
		return first, func(in []byte) ([]byte, clientStep, error) {
			if subtle.ConstantTimeCompare(in, want) != 1 {
				return nil, nil, ErrServer
			}
			return nil, nil, nil
		}, nil
	}}, nil
}
