package xml

import "unicode/utf8"

// The classes of an ASCII character, as bits.
const (
	nameStart uint8 = 1 << iota // begins a name
	nameChar                    // continues one
	space
	textChar  // means itself in text; of '>' that depends on what precedes it
	valueChar // means itself in an attribute's value
)

// class is a table that never changes.
var class = func() (t [256]uint8) {
	for c := byte(' '); c < utf8.RuneSelf; c++ {
		t[c] = textChar | valueChar
	}
	for _, c := range []byte(" \t\r\n") {
		t[c] = textChar | space
	}
	t[' '] |= valueChar
	for c := byte('a'); c <= 'z'; c++ {
		t[c] |= nameStart | nameChar
		t[c-'a'+'A'] |= nameStart | nameChar
	}
	for c := byte('0'); c <= '9'; c++ {
		t[c] |= nameChar
	}
	t['_'] |= nameStart | nameChar
	t['-'] |= nameChar
	t['.'] |= nameChar
	t['<'], t['&'] = 0, 0
	t['>'] = valueChar
	t['"'] &^= valueChar
	t['\''] &^= valueChar
	return t
}()

func isSpace(c byte) bool { return class[c]&space != 0 }

// decode returns the character that b starts with and its length. It returns
// errShort if b ends within it; at is for the error.
func decode(b []byte, at int) (r rune, n int, err error) {
	r, n = utf8.DecodeRune(b)
	if r == utf8.RuneError && n <= 1 {
		if !utf8.FullRune(b) {
			return 0, 0, errShort
		}
		return 0, 0, encoding(at, "bytes that are not UTF-8")
	}
	if !isChar(r) {
		return 0, 0, malformed(at, "a character that XML excludes")
	}
	return r, n, nil
}

// isChar is the production Char of XML 1.0.
func isChar(r rune) bool {
	switch {
	case r < ' ':
		return r == '\t' || r == '\n' || r == '\r'
	case r < 0xd800:
		return true
	}
	return r >= 0xe000 && r <= utf8.MaxRune && r != 0xfffe && r != 0xffff
}

// isNameStart and isNameChar are the productions NameStartChar and NameChar of
// XML 1.0, fifth edition, beyond ASCII.
func isNameStart(r rune) bool {
	switch {
	case r < 0xc0, r == 0xd7, r == 0xf7:
		return false
	case r < 0x300:
		return true
	case r < 0x2000:
		return r >= 0x370 && r != 0x37e
	case r < 0x3001:
		return r == 0x200c || r == 0x200d || r >= 0x2070 && r <= 0x218f || r >= 0x2c00 && r <= 0x2fef
	case r < 0x10000:
		return r <= 0xd7ff || r >= 0xf900 && r <= 0xfdcf || r >= 0xfdf0 && r <= 0xfffd
	}
	return r <= 0xeffff
}

func isNameChar(r rune) bool {
	return isNameStart(r) || r == 0xb7 || r >= 0x300 && r <= 0x36f || r == 0x203f || r == 0x2040
}
