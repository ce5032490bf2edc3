package xml

import "unicode/utf8"

// scanText goes from i over the character data of b that started at start, and
// returns where the next '<' is. With errShort it returns where to go on.
func scanText(b []byte, start, i int) (int, error) {
	for i < len(b) {
		c := b[i]
		if class[c]&textChar != 0 {
			i++
			continue
		}
		switch {
		case c == '<':
			return i, nil
		case c == '>':
			if i-start >= 2 && b[i-1] == ']' && b[i-2] == ']' {
				return i, malformed(i, "]]> in text")
			}
			i++
		case c == '&':
			_, n, err := reference(b[i:], i)
			if err != nil {
				return i, err
			}
			i += n
		default:
			_, n, err := decode(b[i:], i)
			if err != nil {
				return i, err
			}
			i += n
		}
	}
	return i, errShort
}

// scanCDATA goes from i over a CDATA section that started at start and returns
// where the text after it starts. With errShort it returns where to go on.
func scanCDATA(b []byte, start, i int) (int, error) {
	for i < len(b) {
		c := b[i]
		switch {
		case c == '>' && i-start >= 2 && b[i-1] == ']' && b[i-2] == ']':
			return i + 1, nil
		case c >= ' ' && c < utf8.RuneSelf:
			i++
		default:
			_, n, err := decode(b[i:], i)
			if err != nil {
				return i, err
			}
			i += n
		}
	}
	return i, errShort
}

const longestReference = len("&#x0010FFFF;")

// reference returns the character that the reference at the start of b stands
// for, and the length of the reference.
func reference(b []byte, at int) (r rune, n int, err error) {
	end := 1
	for end < len(b) && (class[b[end]]&nameChar != 0 || end == 1 && b[end] == '#') {
		end++
	}
	switch {
	case end >= longestReference, end < len(b) && b[end] != ';':
		return 0, 0, malformed(at, "a & that starts no reference")
	case end == len(b):
		return 0, 0, errShort
	}
	switch name := b[1:end]; string(name) {
	case "amp":
		r = '&'
	case "lt":
		r = '<'
	case "gt":
		r = '>'
	case "quot":
		r = '"'
	case "apos":
		r = '\''
	default:
		if r, err = numeric(name, at); err != nil {
			return 0, 0, err
		}
	}
	return r, end + 1, nil
}

// numeric decodes what is between & and ; of a character reference.
func numeric(name []byte, at int) (rune, error) {
	if len(name) == 0 || name[0] != '#' {
		if len(name) > 0 && class[name[0]]&nameStart != 0 {
			return 0, restricted(at, "an entity that is not predefined")
		}
		return 0, malformed(at, "a & that starts no reference")
	}
	digits, base := name[1:], rune(10)
	if len(digits) > 0 && digits[0] == 'x' {
		digits, base = digits[1:], 16
	}
	if len(digits) == 0 {
		return 0, malformed(at, "a character reference without number")
	}
	var r rune
	for _, c := range digits {
		d := digit(c)
		if d >= base {
			return 0, malformed(at, "a character reference that is no number")
		}
		if r = r*base + d; r > utf8.MaxRune {
			return 0, malformed(at, "a reference to a character that XML excludes")
		}
	}
	if !isChar(r) {
		return 0, malformed(at, "a reference to a character that XML excludes")
	}
	return r, nil
}

func digit(c byte) rune {
	switch {
	case c >= '0' && c <= '9':
		return rune(c - '0')
	case c >= 'a' && c <= 'f':
		return rune(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return rune(c-'A') + 10
	}
	return 99
}

// span is a part of the bytes that are scanned.
type span struct{ start, end int32 }

func (s span) in(b []byte) []byte { return b[s.start:s.end] }

// qname is a name with or without prefix; without, prefix is empty.
type qname struct{ prefix, local span }

// whole is the name as it is written.
func (q qname) whole() span {
	if q.prefix.start == q.prefix.end {
		return q.local
	}
	return span{q.prefix.start, q.local.end}
}

type attribute struct {
	after int32 // the end of what precedes it in the tag
	name  qname
	value span
	plain bool // the value means itself, nothing is to be unescaped
}

// declares reports whether the attribute declares a namespace.
func (a attribute) declares(b []byte) bool {
	return string(a.name.prefix.in(b)) == "xmlns" || a.isDefault(b)
}

func (a attribute) isDefault(b []byte) bool {
	return a.name.prefix.start == a.name.prefix.end && string(a.name.local.in(b)) == "xmlns"
}

// tag is a start tag.
type tag struct {
	name  qname
	attrs []attribute
	end   int  // after '>'
	empty bool // <name/>
}

// scanName reads a name at i.
func scanName(b []byte, i int) (q qname, next int, err error) {
	first, i, err := scanNCName(b, i)
	if err != nil {
		return q, i, err
	}
	if b[i] != ':' {
		q.local = first
		return q, i, nil
	}
	second, i, err := scanNCName(b, i+1)
	if err != nil {
		return q, i, err
	}
	if b[i] == ':' {
		return q, i, malformed(i, "a second colon in a name")
	}
	return qname{prefix: first, local: second}, i, nil
}

// scanNCName reads a name without colon. Unless it fails there is a byte at next.
func scanNCName(b []byte, i int) (s span, next int, err error) {
	start := i
	if start < len(b) && b[start] < utf8.RuneSelf && class[b[start]]&nameStart == 0 {
		return s, start, malformed(start, "a name is missing")
	}
	for i < len(b) {
		c := b[i]
		if class[c]&nameChar != 0 {
			i++
			continue
		}
		if c < utf8.RuneSelf {
			break
		}
		r, n, err := decode(b[i:], i)
		if err != nil {
			return s, i, err
		}
		if !isNameChar(r) || i == start && !isNameStart(r) {
			return s, i, malformed(i, "a name with a character that names have not")
		}
		i += n
	}
	if i == len(b) {
		return s, i, errShort
	}
	return span{int32(start), int32(i)}, i, nil
}

// scanTag reads the start tag at i, where there is a '<', into t.
func scanTag(b []byte, i int, t *tag, most int) (err error) {
	t.attrs = t.attrs[:0]
	t.empty = false
	if t.name, i, err = scanName(b, i+1); err != nil {
		return err
	}
	for {
		after := i
		for i < len(b) && isSpace(b[i]) {
			i++
		}
		if i == len(b) {
			return errShort
		}
		switch b[i] {
		case '>':
			t.end = i + 1
			return nil
		case '/':
			if i+1 == len(b) {
				return errShort
			}
			if b[i+1] != '>' {
				return malformed(i+1, "a / within a tag")
			}
			t.end, t.empty = i+2, true
			return nil
		}
		if i == after {
			return malformed(i, "attributes without white space between them")
		}
		if len(t.attrs) >= most {
			return limit(i, "too many attributes")
		}
		a := attribute{after: int32(after)}
		if i, err = scanAttribute(b, i, &a); err != nil {
			return err
		}
		t.attrs = append(t.attrs, a)
	}
}

// scanAttribute reads name='value' at i into a.
func scanAttribute(b []byte, i int, a *attribute) (next int, err error) {
	if a.name, i, err = scanName(b, i); err != nil {
		return i, err
	}
	for i < len(b) && isSpace(b[i]) {
		i++
	}
	if i < len(b) && b[i] != '=' {
		return i, malformed(i, "an attribute without value")
	}
	i++
	for i < len(b) && isSpace(b[i]) {
		i++
	}
	if i >= len(b) {
		return i, errShort
	}
	quote := b[i]
	if quote != '"' && quote != '\'' {
		return i, malformed(i, "an attribute's value without quotes")
	}
	i++
	start := i
	a.plain = true
	for i < len(b) {
		c := b[i]
		if class[c]&valueChar != 0 {
			i++
			continue
		}
		switch {
		case c == quote:
			a.value = span{int32(start), int32(i)}
			return i + 1, nil
		case c == '"' || c == '\'':
			i++
		case c == '<':
			return i, malformed(i, "a < in an attribute's value")
		case c == '&':
			_, n, err := reference(b[i:], i)
			if err != nil {
				return i, err
			}
			a.plain = false
			i += n
		default:
			_, n, err := decode(b[i:], i)
			if err != nil {
				return i, err
			}
			a.plain = a.plain && c >= ' '
			i += n
		}
	}
	return i, errShort
}
