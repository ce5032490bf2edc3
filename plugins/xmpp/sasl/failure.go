package sasl

import "errors"

// A Condition is one of the failure conditions of RFC 6120 part 6.5, named as
// on the wire. It is an error, so errors.Is(err, sasl.NotAuthorized) asks for it.
type Condition string

// The conditions of RFC 6120 part 6.5.
const (
	Aborted              Condition = "aborted"
	AccountDisabled      Condition = "account-disabled"
	CredentialsExpired   Condition = "credentials-expired"
	EncryptionRequired   Condition = "encryption-required"
	IncorrectEncoding    Condition = "incorrect-encoding"
	InvalidAuthzid       Condition = "invalid-authzid"
	InvalidMechanism     Condition = "invalid-mechanism"
	MalformedRequest     Condition = "malformed-request"
	MechanismTooWeak     Condition = "mechanism-too-weak"
	NotAuthorized        Condition = "not-authorized"
	TemporaryAuthFailure Condition = "temporary-auth-failure"
)

func (c Condition) Error() string { return string(c) }

// A Failure ends an exchange: the receiving side sends Condition and Text to the
// peer and keeps Cause for its log; the initiating side gets Condition and Text.
type Failure struct {
	Condition Condition
	Text      string // may be empty; for people, in English
	Cause     error  // may be nil; never sent
}

func (f *Failure) Error() string {
	s := string(f.Condition)
	if f.Text != "" {
		s += ": " + f.Text
	}
	if f.Cause != nil {
		s += " (" + f.Cause.Error() + ")"
	}
	return s
}

// Unwrap lets errors.Is and errors.As see the condition and the cause.
func (f *Failure) Unwrap() []error {
	if f.Cause == nil {
		return []error{f.Condition}
	}
	return []error{f.Condition, f.Cause}
}

func fail(c Condition, text string) *Failure { return &Failure{Condition: c, Text: text} }

// failureOf makes the failure that the peer is told of an error from a function
// of the caller: a Failure as it is, a Condition by its name, any other as a
// fault of ours whose text stays here.
func failureOf(err error) *Failure {
	var f *Failure
	if errors.As(err, &f) {
		return f
	}
	var c Condition
	if errors.As(err, &c) {
		return &Failure{Condition: c, Cause: err}
	}
	return &Failure{Condition: TemporaryAuthFailure, Cause: err}
}

// ErrNoAccount is the answer of a look-up that found no such account, or no keys
// of the hash that was asked for. The peer is told not-authorized, and only at the
// end of the exchange.
var ErrNoAccount = errors.New("no such account")

// ErrNoMechanism says that a server offers nothing that a client can use, or may.
var ErrNoMechanism = errors.New("no mechanism in common")

// ErrServer says that the server did not prove that it knows the account: it is
// not the server that it claims to be, and nothing may be sent to it.
var ErrServer = errors.New("server did not prove its identity")

// ErrDowngrade says that the server's offer of mechanisms was changed on its way
// (XEP-0474): somebody sits in between.
var ErrDowngrade = errors.New("the offer of mechanisms was changed on its way")

var errOver = errors.New("exchange is over")
