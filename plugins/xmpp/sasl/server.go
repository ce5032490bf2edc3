package sasl

import (
	"context"
	"crypto/x509"
	"slices"
)

// An Authenticator decides who may log in as whom. It is set up once, and used by
// any number of exchanges at a time as long as its functions allow that. They may
// block, on a look-up elsewhere for example, and end when their context does.
//
// An error that they return is told to the peer if it is a Failure or a Condition;
// any other becomes temporary-auth-failure, and is the Cause of the Failure that
// Step returns.
type Authenticator struct {
	// Mechanisms are what may be offered, in this order. Nil means all but SCRAM with
	// SHA-512 and those of hashed tokens. Those that the channel or the missing of a function rules out are not
	// offered. An account that has no keys for the hash of a mechanism that is on offer
	// cannot log in with clients that choose it, so offer what all accounts have.
	Mechanisms []string

	// Keys looks up an account's keys for a hash, or, if the hash is empty, those of
	// whichever it likes best: PLAIN takes any. Without an account, or keys of this
	// hash, the error is ErrNoAccount. An error that comes with keys, AccountDisabled for
	// instance, is told to who has proved the password, and to nobody else. Needed for
	// SCRAM, and for PLAIN without Verify.
	Keys func(ctx context.Context, username string, hash Hash) (Keys, error)

	// Verify checks a password in place of Keys, for accounts whose keys cannot be had:
	// nil if it is right, NotAuthorized or ErrNoAccount if not.
	Verify func(ctx context.Context, username, password string) error

	// External names the account of a TLS client certificate. Whether and by whom the
	// certificate is signed is for this function to check. Needed for EXTERNAL.
	External func(ctx context.Context, certificate *x509.Certificate, authzid string) (username string, err error)

	// Anonymous makes up an account. Trace is what the client says of itself and may be
	// empty. Needed for ANONYMOUS.
	Anonymous func(ctx context.Context, trace string) (username string, err error)

	// Bearer judges a token of OAUTHBEARER and names its account. A refusal is NotAuthorized
	// or CredentialsExpired. Needed for OAUTHBEARER.
	Bearer func(ctx context.Context, token string) (username string, err error)
	// Discovery is the URL where clients learn who issues such tokens, told with a
	// refusal. It may be empty.
	Discovery string

	// Token calls proves with each token that an account may use with a mechanism,
	// until it returns true. Without such a token the error is NotAuthorized or
	// ErrNoAccount. Needed for the mechanisms of hashed tokens.
	Token func(ctx context.Context, username, mechanism string, proves func(secret string) bool) error

	// Learned is told a password that has proved right and of which only keys are
	// kept, so that missing ones can be made. It may be nil.
	Learned func(ctx context.Context, username, password string)

	// Prepare brings a username into the form in which accounts are looked up; what it
	// refuses is not-authorized. Nil means the preparation of RFC 5802.
	Prepare func(username string) (string, error)

	// Authorize tells whether an account may act as an authzid that is not empty. Nil
	// means that only its own name will do. The peer is told invalid-authzid.
	Authorize func(ctx context.Context, username, authzid string) error

	// Secret makes the decoys for accounts that do not exist. It should outlive the
	// process and be the same on all nodes. At least 16 bytes; needed with Keys.
	Secret []byte

	// Iterations are what decoys claim, and should be what accounts have.
	// 0 means MinIterations.
	Iterations int

	// PlainText allows PLAIN where the channel is not secure.
	PlainText bool
}

// A Channel is what a server knows of the connection that an exchange runs in.
type Channel struct {
	// Secure says that it is encrypted.
	Secure bool
	// Bindings are those that the server can check, see TLSBindings. Without any, no
	// mechanism with -PLUS is offered.
	Bindings []Binding
	// Announced are the types of channel binding that the client was told of
	// (XEP-0440); nil is that it was not told.
	Announced []string
	// Certificate is the client's, nil if there is none.
	Certificate *x509.Certificate
}

// A Server is the receiving side of one exchange.
type Server struct {
	auth      *Authenticator
	channel   Channel
	mechanism string
	tried     string // username as the client has sent it
	username  string
	authzid   string
	refusal   error      // of who proves the password, nil is none
	next      serverStep // nil when the exchange is over
}

// A serverStep answers one message and names the step for the next one, nil if the
// client has proved itself.
type serverStep func(ctx context.Context, in []byte) (out []byte, next serverStep, err error)

// Offer lists the mechanisms for a channel.
func (a *Authenticator) Offer(c Channel) []string {
	all := a.Mechanisms
	if all == nil {
		all = []string{
			ScramSHA256Plus, ScramSHA1Plus, External, ScramSHA256, ScramSHA1, OAuthBearer, Plain, Anonymous,
		}
	}
	var offer []string
	for _, name := range all {
		if a.offers(name, c) {
			offer = append(offer, name)
		}
	}
	return offer
}

func (a *Authenticator) offers(name string, c Channel) bool {
	if _, plus, ok := scramMechanism(name); ok {
		return a.Keys != nil && len(a.Secret) >= 16 && (!plus || len(c.Bindings) > 0)
	}
	switch name {
	case Plain:
		keys := a.Keys != nil && len(a.Secret) >= 16
		return (keys || a.Verify != nil) && (c.Secure || a.PlainText)
	case External:
		return a.External != nil && c.Certificate != nil
	case Anonymous:
		return a.Anonymous != nil
	case OAuthBearer:
		return a.Bearer != nil && (c.Secure || a.PlainText)
	}
	_, binding, ok := tokenMechanism(name)
	if !ok || a.Token == nil || !c.Secure {
		return false
	}
	_, ok = tokenBinding(binding, c.Bindings)
	return ok
}

// Start begins an exchange with the mechanism that the client chose. A mechanism
// that is not on offer is a Failure: encryption-required for PLAIN where only the
// encryption is missing, else invalid-mechanism.
func (a *Authenticator) Start(mechanism string, c Channel) (*Server, error) {
	offer := a.Offer(c)
	if !slices.Contains(offer, mechanism) {
		secure := c
		secure.Secure = true
		if mechanism == Plain && slices.Contains(a.Offer(secure), Plain) {
			return nil, fail(EncryptionRequired, "PLAIN is for encrypted streams")
		}
		return nil, fail(InvalidMechanism, "")
	}
	s := &Server{auth: a, channel: c, mechanism: mechanism}
	switch {
	case mechanism == Plain:
		s.next = s.plain
	case mechanism == External:
		s.next = s.external
	case mechanism == Anonymous:
		s.next = s.anonymous
	case mechanism == OAuthBearer:
		s.next = s.bearer
	case IsToken(mechanism):
		s.next = s.hashedToken
	default:
		hash, plus, _ := scramMechanism(mechanism)
		x := &scramServer{Server: s, hash: hash, plus: plus, nonce: newNonce()}
		x.offered = slices.ContainsFunc(offer, isPlus)
		x.offer = offerHash(hash, offer, c.Announced)
		s.next = x.first
	}
	return s, nil
}

// Mechanism is the name of the mechanism in use.
func (s *Server) Mechanism() string { return s.mechanism }

// Username is the account that the client has proved to be, prepared. It is empty
// until the exchange is done.
func (s *Server) Username() string { return s.username }

// Tried is the account that the client wants to be, as it has sent it: for a log, since
// nothing of it is checked. It is empty if the client has not said.
func (s *Server) Tried() string { return s.tried }

// Authzid is the identity that the client asked for and may act as; empty if it
// asked for none.
func (s *Server) Authzid() string { return s.authzid }

// Step takes what the client sent and makes the challenge, or, when done, the data
// that goes with the success (nil if there is none). Nil is a client that sent
// no initial response, which is not the same as an empty one; it is given an empty
// challenge, except for ANONYMOUS, which needs nothing of it (XEP-0175 example 3). An error is always a *Failure and ends the exchange.
func (s *Server) Step(ctx context.Context, response []byte) (challenge []byte, done bool, err error) {
	if s.next == nil {
		return nil, true, &Failure{Condition: MalformedRequest, Cause: errOver}
	}
	if response == nil && s.mechanism != Anonymous {
		return []byte{}, false, nil
	}
	if err := checkLength(response); err != nil {
		s.next = nil
		return nil, true, err
	}
	challenge, s.next, err = s.next(ctx, response)
	if err != nil {
		s.next, s.username, s.authzid = nil, "", ""
		return nil, true, failureOf(err)
	}
	return challenge, s.next == nil, nil
}

func checkLength(in []byte) error {
	if len(in) > maxMessage {
		return fail(MalformedRequest, "message too long")
	}
	return nil
}

// prepare brings a username into the form in which it is looked up.
func (s *Server) prepare(name string) (string, error) {
	s.tried = name
	var err error
	if s.auth.Prepare != nil {
		name, err = s.auth.Prepare(name)
	} else {
		name, err = prepare(name, "username")
	}
	if err != nil {
		return "", &Failure{Condition: NotAuthorized, Cause: err}
	}
	return name, nil
}

// accept ends an exchange whose client has proved to be username.
func (s *Server) accept(ctx context.Context, username, authzid string) error {
	if s.refusal != nil {
		return s.refusal
	}
	if err := s.authorize(ctx, username, authzid); err != nil {
		return err
	}
	s.username, s.authzid = username, authzid
	return nil
}

func (s *Server) authorize(ctx context.Context, username, authzid string) error {
	switch {
	case authzid == "":
		return nil
	case s.auth.Authorize != nil:
		return s.auth.Authorize(ctx, username, authzid)
	case authzid != username:
		return fail(InvalidAuthzid, "")
	}
	return nil
}

// keys looks an account up. Where there is none, the keys are decoys and known is
// false: the exchange has to go on, and to fail at its end.
func (s *Server) keys(ctx context.Context, username string, hash Hash) (k Keys, known bool, err error) {
	k, err = s.auth.Keys(ctx, username, hash)
	if err == nil {
		if err = k.check(); err == nil && hash != "" && k.Hash != hash {
			err = errWrongHash
		}
		return k, true, err
	}
	if !isNoAccount(err) {
		if k.check() != nil || hash != "" && k.Hash != hash {
			return Keys{}, false, err
		}
		s.refusal = err
		return k, true, nil
	}
	if hash == "" {
		hash = SHA256
	}
	iterations := s.auth.Iterations
	if iterations == 0 {
		iterations = MinIterations
	}
	return Decoy(s.auth.Secret, hash, username, iterations), false, nil
}
