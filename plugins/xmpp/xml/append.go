package xml

import "unicode/utf8"

// AppendText appends s as character data. A character that XML excludes, and
// what is not UTF-8, becomes U+FFFD.
func AppendText[T ~string | ~[]byte](dst []byte, s T) []byte {
	return appendEscaped(dst, s, false)
}

// AppendAttr appends a space and name='value'. The name is appended as it is.
func AppendAttr[T ~string | ~[]byte](dst []byte, name string, value T) []byte {
	dst = append(dst, ' ')
	dst = append(dst, name...)
	return appendQuoted(dst, value)
}

// AppendStart appends a start tag: its name, the default namespace unless ns is
// empty, and attributes given as pairs of name and value, of which those with
// an empty value are left out.
//
//	dst = xml.AppendStart(dst, "iq", "", "type", "result", "id", id)
func AppendStart(dst []byte, name, ns string, attrs ...string) []byte {
	return append(appendTag(dst, name, ns, attrs), '>')
}

// AppendEmpty appends an element without content; otherwise it is [AppendStart].
func AppendEmpty(dst []byte, name, ns string, attrs ...string) []byte {
	return append(appendTag(dst, name, ns, attrs), "/>"...)
}

// AppendEnd appends an end tag.
func AppendEnd(dst []byte, name string) []byte {
	dst = append(dst, "</"...)
	dst = append(dst, name...)
	return append(dst, '>')
}

// AppendElement appends an element that contains text only.
func AppendElement[T ~string | ~[]byte](dst []byte, name, ns string, text T, attrs ...string) []byte {
	if len(text) == 0 {
		return AppendEmpty(dst, name, ns, attrs...)
	}
	dst = AppendStart(dst, name, ns, attrs...)
	dst = AppendText(dst, text)
	return AppendEnd(dst, name)
}

func appendTag(dst []byte, name, ns string, attrs []string) []byte {
	dst = append(dst, '<')
	dst = append(dst, name...)
	if ns != "" {
		dst = AppendAttr(dst, "xmlns", ns)
	}
	for i := 0; i+1 < len(attrs); i += 2 {
		if attrs[i+1] != "" {
			dst = AppendAttr(dst, attrs[i], attrs[i+1])
		}
	}
	return dst
}

// appendQuoted appends ='value'.
func appendQuoted[T ~string | ~[]byte](dst []byte, value T) []byte {
	dst = append(dst, "='"...)
	dst = appendEscaped(dst, value, true)
	return append(dst, '\'')
}

func appendEscaped[T ~string | ~[]byte](dst []byte, s T, quoted bool) []byte {
	done := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf && class[c]&(textChar|valueChar) == textChar|valueChar {
			i++
			continue
		}
		escape, n := "", 1
		switch {
		case c == '<':
			escape = "&lt;"
		case c == '>':
			escape = "&gt;"
		case c == '&':
			escape = "&amp;"
		case c == '\'' && quoted:
			escape = "&apos;"
		case c == '"' && quoted:
			escape = "&quot;"
		case c == '\r': // would be read as the end of a line
			escape = "&#xD;"
		case c == '\n' && quoted: // would be read as a space
			escape = "&#xA;"
		case c == '\t' && quoted:
			escape = "&#x9;"
		default:
			var room [utf8.UTFMax]byte
			if _, size, err := decode(room[:copy(room[:], s[i:])], 0); err != nil {
				escape = "\ufffd"
				n = badLength(room[:copy(room[:], s[i:])])
			} else {
				n = size
			}
		}
		if escape != "" {
			dst = append(dst, s[done:i]...)
			dst = append(dst, escape...)
			done = i + n
		}
		i += n
	}
	return append(dst, s[done:]...)
}

// badLength is how much of b, which does not start with a character of XML, one
// U+FFFD stands for.
func badLength(b []byte) int {
	_, n := utf8.DecodeRune(b)
	return max(n, 1)
}
