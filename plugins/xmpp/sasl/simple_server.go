package sasl

import (
	"context"
	"errors"
	"strings"
	"unicode/utf8"
)

var errWrongHash = errors.New("look-up answered with keys of another hash")

func isNoAccount(err error) bool { return errors.Is(err, ErrNoAccount) }

// plain is RFC 4616: authzid NUL username NUL password.
func (s *Server) plain(ctx context.Context, in []byte) ([]byte, serverStep, error) {
	parts := strings.Split(string(in), "\x00")
	if len(parts) != 3 || parts[1] == "" || parts[2] == "" || !utf8.Valid(in) {
		return nil, nil, fail(MalformedRequest, "")
	}
	username, err := s.prepare(parts[1])
	if err != nil {
		return nil, nil, err
	}
	if err := s.password(ctx, username, parts[2]); err != nil {
		return nil, nil, err
	}
	if err := s.accept(ctx, username, parts[0]); err != nil {
		return nil, nil, err
	}
	if s.auth.Learned != nil && s.auth.Verify == nil {
		s.auth.Learned(ctx, username, parts[2])
	}
	return nil, nil, nil
}

func (s *Server) password(ctx context.Context, username, password string) error {
	if s.auth.Verify != nil {
		err := s.auth.Verify(ctx, username, password)
		if isNoAccount(err) {
			return &Failure{Condition: NotAuthorized, Cause: err}
		}
		return err
	}
	keys, known, err := s.keys(ctx, username, "")
	if err != nil {
		return err
	}
	// Decoys are derived for as well: a fast no would say that there is no account.
	if !keys.Verify(password) || !known {
		return fail(NotAuthorized, "")
	}
	return nil
}

// external is RFC 4422 appendix A: the authzid, or nothing.
func (s *Server) external(ctx context.Context, in []byte) ([]byte, serverStep, error) {
	authzid := string(in)
	if !utf8.ValidString(authzid) || strings.Contains(authzid, "\x00") {
		return nil, nil, fail(MalformedRequest, "")
	}
	s.tried = authzid
	username, err := s.auth.External(ctx, s.channel.Certificate, authzid)
	if isNoAccount(err) {
		return nil, nil, &Failure{Condition: NotAuthorized, Cause: err}
	}
	if err != nil {
		return nil, nil, err
	}
	return nil, nil, s.accept(ctx, username, authzid)
}

// anonymous is RFC 4505: a trace of at most 255 characters.
func (s *Server) anonymous(ctx context.Context, in []byte) ([]byte, serverStep, error) {
	if !utf8.Valid(in) || utf8.RuneCount(in) > 255 {
		return nil, nil, fail(MalformedRequest, "")
	}
	username, err := s.auth.Anonymous(ctx, string(in))
	if err != nil {
		return nil, nil, err
	}
	return nil, nil, s.accept(ctx, username, "")
}
