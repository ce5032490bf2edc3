package sasl

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// scramClient is the initiating side of RFC 5802.
type scramClient struct {
	hash          Hash
	password      string // prepared
	minIterations int
	offer         string // hash of what was offered, as it arrived
	header        string // gs2-header
	binding       []byte // data, if the flag is p
	bare          string // client-first-message-bare
	nonce         string
	signature     []byte // what the server has to send
}

func newScramClient(c *Credentials, hash Hash, plus bool, offered []string) (*scramClient, error) {
	if c.Username == "" {
		return nil, errors.New("scram: want a username")
	}
	password, err := PreparePassword(c.Password)
	if err != nil {
		return nil, err
	}
	s := &scramClient{hash: hash, password: password, minIterations: c.MinIterations}
	s.offer = offerHash(hash, offered, c.Announced)
	if s.minIterations == 0 {
		s.minIterations = MinIterations
	}
	s.header = "n,"
	switch {
	case plus:
		s.header = "p=" + c.Bindings[0].Type + ","
		s.binding = c.Bindings[0].Data
	case len(c.Bindings) > 0 && !slices.ContainsFunc(offered, isPlus):
		// If the server did offer it, somebody took it out on the way; it can tell.
		s.header = "y,"
	}
	if c.Authzid != "" {
		s.header += "a=" + escapeName(c.Authzid)
	}
	s.header += ","
	s.nonce = newNonce()
	s.bare = "n=" + escapeName(c.Username) + ",r=" + s.nonce
	return s, nil
}

func isPlus(name string) bool {
	_, plus, ok := scramMechanism(name)
	return ok && plus
}

// newNonce makes 144 random bits, as text.
func newNonce() string {
	b := make([]byte, 18)
	rand.Read(b) // never fails, see its documentation
	return base64.StdEncoding.EncodeToString(b)
}

func (s *scramClient) first(in []byte) ([]byte, clientStep, error) {
	if len(in) > 0 {
		return nil, nil, errors.New("unexpected challenge")
	}
	return []byte(s.header + s.bare), s.final, nil
}

func (s *scramClient) final(in []byte) ([]byte, clientStep, error) {
	m, err := parseServerFirst(in)
	if err != nil {
		return nil, nil, fmt.Errorf("server's first message: %w", err)
	}
	if len(m.nonce) <= len(s.nonce) || !strings.HasPrefix(m.nonce, s.nonce) {
		return nil, nil, errors.New("server's nonce does not extend ours")
	}
	if m.offer != "" && subtle.ConstantTimeCompare([]byte(m.offer), []byte(s.offer)) != 1 {
		return nil, nil, ErrDowngrade
	}
	if m.iterations < s.minIterations || m.iterations > MaxIterations {
		return nil, nil, fmt.Errorf("server asks for %d iterations: want %d to %d",
			m.iterations, s.minIterations, MaxIterations)
	}
	root, err := s.hash.salted(s.password, m.salt, m.iterations)
	if err != nil {
		return nil, nil, fmt.Errorf("derive keys: %w", err)
	}
	b64 := base64.StdEncoding.EncodeToString
	input := append([]byte(s.header), s.binding...)
	bare := "c=" + b64(input) + ",r=" + m.nonce
	message := []byte(s.bare + "," + string(in) + "," + bare)

	proof := s.hash.hmac(root, []byte("Client Key"))
	signature := s.hash.hmac(s.hash.sum(proof), message)
	subtle.XORBytes(proof, proof, signature)
	s.signature = s.hash.hmac(s.hash.hmac(root, []byte("Server Key")), message)
	return []byte(bare + ",p=" + b64(proof)), s.verify, nil
}

func (s *scramClient) verify(in []byte) ([]byte, clientStep, error) {
	if err := checkText(in); err != nil {
		return nil, nil, fmt.Errorf("server's final message: %w", err)
	}
	if reason, ok := strings.CutPrefix(string(in), "e="); ok {
		return nil, nil, &Failure{Condition: NotAuthorized, Text: reason}
	}
	value, _, err := attribute(string(in), 'v')
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrServer, err)
	}
	got, err := decode64(value)
	if err != nil || subtle.ConstantTimeCompare(got, s.signature) != 1 {
		return nil, nil, ErrServer
	}
	return nil, nil, nil
}
