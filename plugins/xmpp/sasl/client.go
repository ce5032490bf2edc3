package sasl

import (
	"errors"
	"fmt"
	"slices"
)

// Credentials are what the initiating side logs in with, and what it knows of the
// channel.
type Credentials struct {
	// Username is the authentication identity, in XMPP the localpart.
	Username string
	Password string
	// Token takes the password's place in OAUTHBEARER and the mechanisms of hashed tokens.
	Token string
	// Authzid is the identity to act as, in XMPP a bare JID; empty for one's own.
	Authzid string
	// Mechanisms may be used, the best first. Nil means SCRAM in all its forms, and
	// PLAIN where the channel is Secure. Others have to be named.
	Mechanisms []string
	// Secure says that the channel is encrypted and its server verified.
	Secure bool
	// Bindings are the channel's, see TLSBindings, less those that the server is known
	// not to take; the first is used.
	Bindings []Binding
	// Announced are the types of channel binding that the server has told of (XEP-0440),
	// nil if it has not.
	Announced []string
	// MinIterations is the least work of a SCRAM key that is accepted, against servers
	// that make a password cheap to guess. 0 means MinIterations of this package.
	MinIterations int
}

// A Client is the initiating side of one exchange.
type Client struct {
	mechanism string
	next      clientStep // nil when the exchange is over
	optional  bool       // what is left is what a server says that refuses
}

// A clientStep answers one message and names the step for the next one, nil if
// there is nothing left to check.
type clientStep func(in []byte) (out []byte, next clientStep, err error)

// NewClient chooses, of the mechanisms that a server offers, the first that the
// credentials allow, and begins an exchange. The error is ErrNoMechanism if there
// is none.
func NewClient(c Credentials, offered []string) (*Client, error) {
	allowed := c.Mechanisms
	if allowed == nil {
		allowed = c.defaults()
	}
	for _, name := range allowed {
		if slices.Contains(offered, name) && c.usable(name) {
			return c.begin(name, offered)
		}
	}
	return nil, fmt.Errorf("%w: server offers %v", ErrNoMechanism, offered)
}

func (c *Credentials) defaults() []string {
	all := []string{
		ScramSHA512Plus, ScramSHA256Plus, ScramSHA1Plus, ScramSHA512, ScramSHA256, ScramSHA1,
	}
	if c.Secure {
		all = append(all, Plain)
	}
	return all
}

func (c *Credentials) usable(name string) bool {
	if _, binding, ok := tokenMechanism(name); ok {
		_, ok = tokenBinding(binding, c.Bindings)
		return ok
	}
	_, plus, _ := scramMechanism(name)
	return !plus || len(c.Bindings) > 0
}

func (c *Credentials) begin(name string, offered []string) (*Client, error) {
	if hash, plus, ok := scramMechanism(name); ok {
		s, err := newScramClient(c, hash, plus, offered)
		if err != nil {
			return nil, err
		}
		return &Client{mechanism: name, next: s.first}, nil
	}
	switch name {
	case Plain:
		return plainClient(c)
	case External:
		return &Client{mechanism: name, next: oneMessage(c.Authzid)}, nil
	case Anonymous:
		return &Client{mechanism: name, next: oneMessage("")}, nil
	case OAuthBearer:
		return bearerClient(c)
	}
	if IsToken(name) {
		return tokenClient(c, name)
	}
	return nil, fmt.Errorf("%w: %s is not known here", ErrNoMechanism, name)
}

func plainClient(c *Credentials) (*Client, error) {
	if c.Username == "" || c.Password == "" {
		return nil, errors.New("plain: want a username and a password")
	}
	password, err := PreparePassword(c.Password)
	if err != nil {
		return nil, err
	}
	return &Client{mechanism: Plain, next: oneMessage(c.Authzid + "\x00" + c.Username + "\x00" + password)}, nil
}

// oneMessage is the whole of a mechanism that says one thing and checks nothing.
func oneMessage(text string) clientStep {
	return func(in []byte) ([]byte, clientStep, error) {
		if len(in) > 0 {
			return nil, nil, errors.New("unexpected challenge")
		}
		return []byte(text), nil, nil
	}
}

// Mechanism is the name of the mechanism in use.
func (c *Client) Mechanism() string { return c.mechanism }

// Done tells that nothing is left to check.
func (c *Client) Done() bool { return c.next == nil || c.optional }

// Step takes a challenge and makes the response. The first call, with nil, makes
// the initial response; data that comes with the server's success is a challenge
// too, whose response is not sent. Done means that nothing is left to check: only
// then may a success be believed. After an error the exchange is over, and the
// server should be told that it is aborted.
func (c *Client) Step(challenge []byte) (response []byte, done bool, err error) {
	if c.next == nil {
		return nil, true, errOver
	}
	response, c.next, err = c.next(challenge)
	if err != nil {
		c.next = nil
		return nil, true, fmt.Errorf("%s: %w", c.mechanism, err)
	}
	return response, c.Done(), nil
}
