package sasl

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"unicode/utf8"
)

// bearer is RFC 7628: a token that somebody else has issued and Bearer judges. If it is
// refused the client is told why in a challenge, and answers with a lone 0x01 before it
// is told that it failed.
func (s *Server) bearer(ctx context.Context, in []byte) ([]byte, serverStep, error) {
	authzid, token, err := parseBearer(in)
	if err != nil {
		return nil, nil, &Failure{Condition: MalformedRequest, Text: err.Error()}
	}
	s.tried = authzid
	username, err := s.auth.Bearer(ctx, token)
	if err == nil {
		username, err = s.prepare(username)
	}
	if err == nil {
		return nil, nil, s.accept(ctx, username, authzid)
	}
	if isNoAccount(err) {
		err = &Failure{Condition: NotAuthorized, Cause: err}
	}
	refusal := failureOf(err)
	if refusal.Condition != NotAuthorized && refusal.Condition != CredentialsExpired {
		return nil, nil, refusal
	}
	why, err := json.Marshal(bearerRefusal{"invalid_token", s.auth.Discovery})
	if err != nil {
		return nil, nil, err
	}
	return why, func(context.Context, []byte) ([]byte, serverStep, error) { return nil, nil, refusal }, nil
}

type bearerRefusal struct {
	Status    string `json:"status"`
	Discovery string `json:"openid-configuration,omitempty"`
}

// parseBearer reads a gs2-header without channel binding, then pairs of key and value
// that end with 0x01, and another 0x01. Of the pairs only auth matters here.
func parseBearer(in []byte) (authzid, token string, err error) {
	malformed := errors.New("not a message of OAUTHBEARER")
	if !utf8.Valid(in) {
		return "", "", malformed
	}
	var header clientFirst
	rest, err := header.parseHeader(string(in))
	if err != nil {
		return "", "", err
	}
	if header.flag == 'p' {
		return "", "", errors.New("no channel binding with OAUTHBEARER")
	}
	pairs, ok := strings.CutSuffix(rest, "\x01\x01")
	if !ok || !strings.HasPrefix(pairs, "\x01") {
		return "", "", malformed
	}
	for pair := range strings.SplitSeq(pairs[1:], "\x01") {
		key, value, ok := strings.Cut(pair, "=")
		if !ok {
			return "", "", malformed
		}
		if key == "auth" {
			scheme, given, _ := strings.Cut(value, " ")
			if !strings.EqualFold(scheme, "Bearer") {
				return "", "", errors.New("want a token of type Bearer")
			}
			token = strings.TrimSpace(given)
		}
	}
	if token == "" {
		return "", "", errors.New("no token")
	}
	return header.authzid, token, nil
}

func bearerClient(c *Credentials) (*Client, error) {
	if c.Token == "" {
		return nil, errors.New("oauthbearer: want a token")
	}
	header := "n,"
	if c.Authzid != "" {
		header += "a=" + escapeName(c.Authzid)
	}
	first := []byte(header + ",\x01auth=Bearer " + c.Token + "\x01\x01")
	refused := func(in []byte) ([]byte, clientStep, error) {
		return nil, nil, errors.New("unexpected challenge")
	}
	return &Client{mechanism: OAuthBearer, optional: true, next: func(in []byte) ([]byte, clientStep, error) {
		if len(in) > 0 {
			return nil, nil, errors.New("unexpected challenge")
		}
		// A challenge is why the token is refused. The exchange has to go on to its end.
		return first, func(in []byte) ([]byte, clientStep, error) { return []byte{1}, refused, nil }, nil
	}}, nil
}
