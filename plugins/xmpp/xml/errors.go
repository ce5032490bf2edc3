package xml

import (
	"errors"
	"strconv"
)

// What a [SyntaxError] is, to be asked with [errors.Is]. Each has its stream
// error condition in RFC 6120, 4.9.3.
var (
	// ErrNotWellFormed: not-well-formed. Tags that don't match, a prefix that is
	// not declared, an attribute twice, a character that XML has not.
	ErrNotWellFormed = errors.New("not well-formed")

	// ErrRestricted: restricted-xml. A comment, a processing instruction, a
	// document type or an entity other than the five predefined ones.
	ErrRestricted = errors.New("XML that XMPP excludes")

	// ErrEncoding: unsupported-encoding. Bytes that are not UTF-8, or a
	// declaration that says that they are not.
	ErrEncoding = errors.New("not UTF-8")

	// ErrFormat: bad-format. Well-formed, but no stream: text between stanzas.
	ErrFormat = errors.New("not a stream")

	// ErrLimit: policy-violation. One of the [Limits] is exceeded.
	ErrLimit = errors.New("over the limit")
)

// SyntaxError says what is wrong with the XML, and where.
type SyntaxError struct {
	Err    error // one of the errors above
	Offset int   // in bytes, from the start of the element
	Reason string
}

func (e *SyntaxError) Error() string {
	return "xml: " + e.Reason + " at byte " + strconv.Itoa(e.Offset)
}

func (e *SyntaxError) Unwrap() error { return e.Err }

func malformed(at int, reason string) error {
	return &SyntaxError{Err: ErrNotWellFormed, Offset: at, Reason: reason}
}

func restricted(at int, reason string) error {
	return &SyntaxError{Err: ErrRestricted, Offset: at, Reason: reason}
}

func encoding(at int, reason string) error {
	return &SyntaxError{Err: ErrEncoding, Offset: at, Reason: reason}
}

func limit(at int, reason string) error {
	return &SyntaxError{Err: ErrLimit, Offset: at, Reason: reason}
}

// errShort: what was given ends within a token.
var errShort = errors.New("xml: more bytes are needed")
