package sasl

import (
	"errors"
	"unicode/utf8"

	"github.com/xdg-go/stringprep"
	"golang.org/x/text/secure/precis"
)

// PreparePassword brings a password into the one form that both ends derive keys
// from. That is SASLprep (RFC 4013), which RFC 5802 asks for and clients do. Where
// SASLprep refuses, as it does for all characters younger than Unicode 3.2, it is
// the OpaqueString profile of its successor (RFC 8265). A password that neither
// takes (empty, not UTF-8, with control characters) is an error.
func PreparePassword(password string) (string, error) {
	return prepare(password, "password")
}

func prepare(s, what string) (string, error) {
	if !utf8.ValidString(s) {
		return "", errors.New(what + " is not UTF-8")
	}
	if plainASCII(s) {
		return s, nil
	}
	if out, err := stringprep.SASLprep.Prepare(s); err == nil && out != "" {
		return out, nil
	}
	out, err := precis.OpaqueString.String(s)
	if err != nil {
		return "", errors.New(what + " is empty or has characters that are not allowed")
	}
	return out, nil
}

// plainASCII tells whether s is what SASLprep and OpaqueString leave alone.
func plainASCII(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return s != ""
}
