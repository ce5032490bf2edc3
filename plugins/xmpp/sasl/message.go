package sasl

import (
	"bytes"
	"errors"
	"strconv"
	"strings"
	"unicode/utf8"
)

// The messages of SCRAM, RFC 5802 part 7. Each parser takes a whole message and
// refuses what the grammar does not allow.

// clientFirst is gs2-header, then n=user,r=nonce and extensions.
type clientFirst struct {
	header   string // the gs2-header with both commas, which c= repeats
	flag     byte   // n, y or p
	binding  string // the type after p=
	authzid  string
	bare     string // the message without the header
	username string
	nonce    string
}

// clientFinal is c=binding,r=nonce, extensions, p=proof.
type clientFinal struct {
	bare  string // without ",p=proof"
	input []byte // gs2-header and channel binding data
	nonce string
	proof []byte
}

// serverFirst is r=nonce,s=salt,i=iterations and extensions, of which h= is known.
type serverFirst struct {
	offer      string // hash of what was offered, "" if it is not there
	nonce      string
	salt       []byte
	iterations int
}

var errMessage = errors.New("not a scram message")

// attribute cuts "name=value," off the front of s.
func attribute(s string, name byte) (value, rest string, err error) {
	if len(s) < 2 || s[0] != name || s[1] != '=' {
		return "", "", errors.New("want attribute " + string(rune(name)) + "=")
	}
	value, rest, _ = strings.Cut(s[2:], ",")
	return value, rest, nil
}

// checkText refuses what may be in no message.
func checkText(in []byte) error {
	if len(in) > maxMessage || bytes.IndexByte(in, 0) >= 0 || !utf8.Valid(in) {
		return errMessage
	}
	return nil
}

// checkExtensions wants "x=value,x=value", or nothing. We know none and may
// ignore each, but for m=, which stands for what may not be ignored.
func checkExtensions(s string) error {
	if s == "" {
		return nil
	}
	for part := range strings.SplitSeq(s, ",") {
		if len(part) < 3 || part[1] != '=' || !letter(part[0]) {
			return errors.New("bad extension")
		}
		if part[0] == 'm' {
			return errors.New("unknown mandatory extension")
		}
	}
	return nil
}

func letter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }

func checkNonce(s string) error {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' || s[i] == ',' {
			return errors.New("bad nonce")
		}
	}
	if s == "" {
		return errors.New("empty nonce")
	}
	return nil
}

func parseClientFirst(in []byte) (m clientFirst, err error) {
	if err = checkText(in); err != nil {
		return m, err
	}
	s := string(in)
	rest, err := m.parseHeader(s)
	if err != nil {
		return m, err
	}
	m.header, m.bare = s[:len(s)-len(rest)], rest
	if strings.HasPrefix(rest, "m=") {
		return m, errors.New("unknown mandatory extension")
	}
	name, rest, err := attribute(rest, 'n')
	if err != nil {
		return m, err
	}
	if m.username, err = unescapeName(name); err != nil {
		return m, err
	}
	if m.nonce, rest, err = attribute(rest, 'r'); err != nil {
		return m, err
	}
	if err = checkNonce(m.nonce); err != nil {
		return m, err
	}
	return m, checkExtensions(rest)
}

// parseHeader reads the gs2-header and returns what follows it.
func (m *clientFirst) parseHeader(s string) (rest string, err error) {
	flag, rest, ok := strings.Cut(s, ",")
	switch {
	case !ok:
		return "", errMessage
	case flag == "n" || flag == "y":
		m.flag = flag[0]
	case strings.HasPrefix(flag, "p=") && bindingName(flag[2:]):
		m.flag, m.binding = 'p', flag[2:]
	default:
		return "", errors.New("bad channel binding flag")
	}
	authzid, rest, ok := strings.Cut(rest, ",")
	if !ok {
		return "", errMessage
	}
	if authzid != "" {
		name, found := strings.CutPrefix(authzid, "a=")
		if !found {
			return "", errors.New("bad authzid")
		}
		if m.authzid, err = unescapeName(name); err != nil {
			return "", err
		}
	}
	return rest, nil
}

func bindingName(s string) bool {
	for i := range len(s) {
		if c := s[i]; !letter(c) && (c < '0' || c > '9') && c != '.' && c != '-' {
			return false
		}
	}
	return s != ""
}

func parseClientFinal(in []byte) (m clientFinal, err error) {
	if err = checkText(in); err != nil {
		return m, err
	}
	s := string(in)
	at := strings.LastIndex(s, ",p=")
	if at < 0 {
		return m, errors.New("no proof")
	}
	m.bare = s[:at]
	if m.proof, err = decode64(s[at+3:]); err != nil {
		return m, errors.New("bad proof")
	}
	input, rest, err := attribute(m.bare, 'c')
	if err != nil {
		return m, err
	}
	if m.input, err = decode64(input); err != nil {
		return m, errors.New("bad channel binding")
	}
	if m.nonce, rest, err = attribute(rest, 'r'); err != nil {
		return m, err
	}
	if err = checkNonce(m.nonce); err != nil {
		return m, err
	}
	return m, checkExtensions(rest)
}

func parseServerFirst(in []byte) (m serverFirst, err error) {
	if err = checkText(in); err != nil {
		return m, err
	}
	var rest, value string
	if m.nonce, rest, err = attribute(string(in), 'r'); err != nil {
		return m, err
	}
	if err = checkNonce(m.nonce); err != nil {
		return m, err
	}
	if value, rest, err = attribute(rest, 's'); err != nil {
		return m, err
	}
	if m.salt, err = decode64(value); err != nil || len(m.salt) == 0 {
		return m, errors.New("bad salt")
	}
	if value, rest, err = attribute(rest, 'i'); err != nil {
		return m, err
	}
	if m.iterations, err = strconv.Atoi(value); err != nil || m.iterations < 1 {
		return m, errors.New("bad iteration count")
	}
	m.offer = offerHashOf(rest)
	return m, checkExtensions(rest)
}

// escapeName writes a saslname, which may have neither comma nor equals sign.
func escapeName(s string) string {
	return strings.NewReplacer("=", "=3D", ",", "=2C").Replace(s)
}

func unescapeName(s string) (string, error) {
	if s == "" {
		return "", errors.New("empty name")
	}
	if strings.IndexByte(s, '=') < 0 {
		return s, nil
	}
	var b strings.Builder
	for {
		before, after, found := strings.Cut(s, "=")
		b.WriteString(before)
		switch {
		case !found:
			return b.String(), nil
		case strings.HasPrefix(after, "2C"):
			b.WriteByte(',')
		case strings.HasPrefix(after, "3D"):
			b.WriteByte('=')
		default:
			return "", errors.New("bad escape in name")
		}
		s = after[2:]
	}
}
