package sasl

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"hash"
	"strconv"
	"strings"
)

// A Hash is a hash function of SCRAM, named as in the mechanisms' names.
type Hash string

// The hashes that SCRAM is registered with, the last two by RFC 7677 and by draft.
const (
	SHA1   Hash = "SHA-1"
	SHA256 Hash = "SHA-256"
	SHA512 Hash = "SHA-512"
)

const (
	// SaltSize is the length of a salt that NewSalt and Decoy make, in bytes.
	SaltSize = 16
	// MinIterations is the least that RFC 7677 lets a server use, and the least that
	// a client accepts unless told otherwise.
	MinIterations = 4096
	// MaxIterations is the most that is derived: about a second of work, which
	// a hostile server could otherwise make a lifetime.
	MaxIterations = 4 << 20
)

func (h Hash) known() bool { return h == SHA1 || h == SHA256 || h == SHA512 }

// Size is the length of the hash, and of each key made with it, in bytes.
func (h Hash) Size() int { return h.new()().Size() }

func (h Hash) new() func() hash.Hash {
	switch h {
	case SHA1:
		return sha1.New
	case SHA512:
		return sha512.New
	}
	return sha256.New
}

func (h Hash) sum(b []byte) []byte {
	d := h.new()()
	d.Write(b)
	return d.Sum(nil)
}

func (h Hash) hmac(key, message []byte) []byte {
	m := hmac.New(h.new(), key)
	m.Write(message)
	return m.Sum(nil)
}

// salted is the SaltedPassword of RFC 5802 part 3, from a prepared password.
func (h Hash) salted(password string, salt []byte, iterations int) ([]byte, error) {
	return pbkdf2.Key(h.new(), password, salt, iterations, h.Size())
}

// Keys are what a server keeps of a password for one hash (RFC 5802 part 3).
// They prove a login and let the server prove itself, and are no use for logging
// in anywhere. The slices are not changed by this package.
type Keys struct {
	Hash       Hash
	Iterations int
	Salt       []byte
	StoredKey  []byte
	ServerKey  []byte
}

// NewSalt makes a random salt.
func NewSalt() []byte {
	salt := make([]byte, SaltSize)
	rand.Read(salt) // never fails, see its documentation
	return salt
}

// NewKeys derives keys from a password, which it prepares first (see
// PreparePassword). It takes a few milliseconds for each 10,000 iterations.
func NewKeys(h Hash, password string, salt []byte, iterations int) (Keys, error) {
	root, err := SaltedPassword(h, password, salt, iterations)
	if err != nil {
		return Keys{}, err
	}
	k := Keys{Hash: h, Iterations: iterations, Salt: salt}
	k.derive(root)
	return k, nil
}

// SaltedKeys makes keys of a SaltedPassword (RFC 5802 part 3), which who knows the
// password has derived: one that was sent instead of the password, for example
// (XEP-0480).
func SaltedKeys(h Hash, salted, salt []byte, iterations int) (Keys, error) {
	k := Keys{Hash: h, Iterations: iterations, Salt: salt}
	if err := k.checkFactors(); err != nil {
		return Keys{}, err
	}
	if len(salted) != h.Size() {
		return Keys{}, fmt.Errorf("salted password of %d bytes for %s", len(salted), h)
	}
	k.derive(salted)
	return k, nil
}

// SaltedPassword is what SaltedKeys wants. The password is prepared first.
func SaltedPassword(h Hash, password string, salt []byte, iterations int) ([]byte, error) {
	k := Keys{Hash: h, Iterations: iterations, Salt: salt}
	if err := k.checkFactors(); err != nil {
		return nil, err
	}
	prepared, err := PreparePassword(password)
	if err != nil {
		return nil, err
	}
	root, err := h.salted(prepared, salt, iterations)
	if err != nil {
		return nil, fmt.Errorf("derive keys: %w", err)
	}
	return root, nil
}

func (k *Keys) derive(salted []byte) {
	k.StoredKey = k.Hash.sum(k.Hash.hmac(salted, []byte("Client Key")))
	k.ServerKey = k.Hash.hmac(salted, []byte("Server Key"))
}

// Verify tells whether the password is the one that the keys were made from. It
// derives, so it costs what NewKeys costs; the comparison takes constant time.
func (k Keys) Verify(password string) bool {
	if k.check() != nil {
		return false
	}
	got, err := NewKeys(k.Hash, password, k.Salt, k.Iterations)
	return err == nil && subtle.ConstantTimeCompare(got.StoredKey, k.StoredKey) == 1
}

// Decoy makes keys for an account that does not exist: the same for the same
// secret, hash and name, and not to be told from real ones; no password fits.
// Iterations should be what real accounts have.
func Decoy(secret []byte, h Hash, username string, iterations int) Keys {
	derive := func(what string) []byte {
		return h.hmac(secret, []byte(what+"\x00"+string(h)+"\x00"+username))
	}
	return Keys{
		Hash:       h,
		Iterations: iterations,
		Salt:       derive("salt")[:SaltSize],
		StoredKey:  derive("stored key"),
		ServerKey:  derive("server key"),
	}
}

func (k Keys) checkFactors() error {
	switch {
	case !k.Hash.known():
		return fmt.Errorf("unknown hash %q", string(k.Hash))
	case len(k.Salt) == 0:
		return errors.New("keys without salt")
	case k.Iterations < 1 || k.Iterations > MaxIterations:
		return fmt.Errorf("%d iterations: must be 1 to %d", k.Iterations, MaxIterations)
	}
	return nil
}

func (k Keys) check() error {
	if err := k.checkFactors(); err != nil {
		return err
	}
	if n := k.Hash.Size(); len(k.StoredKey) != n || len(k.ServerKey) != n {
		return fmt.Errorf("keys of %d and %d bytes for %s", len(k.StoredKey), len(k.ServerKey), k.Hash)
	}
	return nil
}

// MarshalText writes the form of RFC 5803, which other servers read too:
//
//	SCRAM-SHA-256$4096:SALT$STOREDKEY:SERVERKEY
func (k Keys) MarshalText() ([]byte, error) {
	if err := k.check(); err != nil {
		return nil, err
	}
	b64 := base64.StdEncoding.EncodeToString
	return fmt.Appendf(nil, "SCRAM-%s$%d:%s$%s:%s", k.Hash, k.Iterations,
		b64(k.Salt), b64(k.StoredKey), b64(k.ServerKey)), nil
}

// UnmarshalText reads what MarshalText writes.
func (k *Keys) UnmarshalText(text []byte) error {
	bad := func(what string) error { return fmt.Errorf("scram keys: bad %s", what) }
	parts := strings.Split(string(text), "$")
	if len(parts) != 3 {
		return bad("form, want SCHEME$ITERATIONS:SALT$STOREDKEY:SERVERKEY")
	}
	h, plus, ok := scramMechanism(parts[0])
	if !ok || plus {
		return bad("scheme")
	}
	iterations, salt, _ := strings.Cut(parts[1], ":")
	stored, server, _ := strings.Cut(parts[2], ":")
	read := Keys{Hash: h}
	var err error
	if read.Iterations, err = strconv.Atoi(iterations); err != nil {
		return bad("iterations")
	}
	if read.Salt, err = decode64(salt); err != nil {
		return bad("salt")
	}
	if read.StoredKey, err = decode64(stored); err != nil {
		return bad("stored key")
	}
	if read.ServerKey, err = decode64(server); err != nil {
		return bad("server key")
	}
	if err := read.check(); err != nil {
		return fmt.Errorf("scram keys: %w", err)
	}
	*k = read
	return nil
}

// decode64 is strict where the standard decoder is not: it skips no line ends.
func decode64(s string) ([]byte, error) {
	if strings.ContainsAny(s, "\r\n") {
		return nil, errors.New("line end in base64")
	}
	return base64.StdEncoding.Strict().DecodeString(s)
}
