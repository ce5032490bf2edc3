package xml

import (
	"bytes"
	"unicode/utf8"
)

// appendValue appends an attribute's value as XML 1.0, 3.3.3 reads it: the
// references are replaced, white space is a space.
func appendValue(dst, raw []byte) []byte {
	for i := 0; i < len(raw); {
		switch c := raw[i]; c {
		case '&':
			r, n, err := reference(raw[i:], i)
			if err != nil {
				return append(dst, raw[i:]...)
			}
			dst = utf8.AppendRune(dst, r)
			i += n
		case '\r':
			if i+1 < len(raw) && raw[i+1] == '\n' {
				i++
			}
			dst = append(dst, ' ')
			i++
		case '\n', '\t':
			dst = append(dst, ' ')
			i++
		default:
			dst = append(dst, c)
			i++
		}
	}
	return dst
}

// AppendUnescaped appends the text that raw character data stands for: the
// references are replaced, CDATA sections unwrapped, and the ends of lines are
// \n (XML 1.0, 2.11). There must be no tag in it. Of what is not well-formed
// the rest is appended as it is.
func AppendUnescaped(dst, raw []byte) []byte {
	for len(raw) > 0 {
		i := bytes.IndexAny(raw, "&<\r")
		if i < 0 {
			return append(dst, raw...)
		}
		dst = append(dst, raw[:i]...)
		raw = raw[i:]
		switch raw[0] {
		case '&':
			r, n, err := reference(raw, 0)
			if err != nil {
				return append(dst, raw...)
			}
			dst = utf8.AppendRune(dst, r)
			raw = raw[n:]
		case '\r':
			raw = raw[1:]
			if len(raw) == 0 || raw[0] != '\n' {
				dst = append(dst, '\n')
			}
		default:
			inner, n := cdata(raw)
			if n == 0 {
				return append(dst, raw...)
			}
			dst = appendLines(dst, inner)
			raw = raw[n:]
		}
	}
	return dst
}

const (
	cdataStart = "<![CDATA["
	cdataEnd   = "]]>"
)

// cdata returns what is in the CDATA section at the start of b, and the length
// of the section; 0 if there is none.
func cdata(b []byte) (inner []byte, n int) {
	if !bytes.HasPrefix(b, []byte(cdataStart)) {
		return nil, 0
	}
	inner = b[len(cdataStart):]
	end := bytes.Index(inner, []byte(cdataEnd))
	if end < 0 {
		return nil, 0
	}
	return inner[:end], len(cdataStart) + end + len(cdataEnd)
}

// appendLines appends text in which only the ends of lines need attention.
func appendLines(dst, text []byte) []byte {
	for {
		i := bytes.IndexByte(text, '\r')
		if i < 0 {
			return append(dst, text...)
		}
		dst = append(dst, text[:i]...)
		text = text[i+1:]
		if len(text) == 0 || text[0] != '\n' {
			dst = append(dst, '\n')
		}
	}
}
