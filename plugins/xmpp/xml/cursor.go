package xml

import "bytes"

// attrCursor goes over the attributes in b from at on, up to the end of b or of
// the tag.
type attrCursor struct {
	b      []byte
	at     int
	attr   attribute
	failed bool
}

// next goes to the next attribute, if there is one.
func (c *attrCursor) next() bool {
	for c.at < len(c.b) && isSpace(c.b[c.at]) {
		c.at++
	}
	if c.at >= len(c.b) || c.b[c.at] == '>' || c.b[c.at] == '/' {
		return false
	}
	c.failed = true
	var i int
	var err error
	if c.attr.name, i, err = scanName(c.b, c.at); err != nil {
		return false
	}
	i += spaces(c.b[i:])
	if i >= len(c.b) || c.b[i] != '=' {
		return false
	}
	i++
	i += spaces(c.b[i:])
	if i >= len(c.b) || c.b[i] != '"' && c.b[i] != '\'' {
		return false
	}
	end := bytes.IndexByte(c.b[i+1:], c.b[i])
	if end < 0 {
		return false
	}
	c.attr.value = span{int32(i + 1), int32(i + 1 + end)}
	c.at = i + end + 2
	c.failed = false
	return true
}

// nextElement returns where the next element in b is from i on; start is
// negative if there is none, or none that ends.
func nextElement(b []byte, i int) (start, end int) {
	start = -1
	for depth := 0; ; {
		at, next, kind := nextTag(b, i)
		i = next
		switch kind {
		case noTag:
			return -1, 0
		case startOf:
			if start < 0 {
				start = at
			}
			depth++
		case emptyOf:
			if start < 0 {
				return at, next
			}
		case endOf:
			depth--
			if depth < 0 {
				return -1, 0
			}
			if depth == 0 {
				return start, next
			}
		}
	}
}

type tagKind uint8

const (
	noTag tagKind = iota
	startOf
	emptyOf
	endOf
)

// nextTag returns where the next tag in b is from i on.
func nextTag(b []byte, i int) (at, next int, kind tagKind) {
	for {
		n := bytes.IndexByte(b[i:], '<')
		if n < 0 || i+n+1 >= len(b) {
			return 0, 0, noTag
		}
		at = i + n
		switch b[at+1] {
		case '!':
			_, n := cdata(b[at:])
			if n == 0 {
				return 0, 0, noTag
			}
			i = at + n
			continue
		case '/':
			n := bytes.IndexByte(b[at:], '>')
			if n < 0 {
				return 0, 0, noTag
			}
			return at, at + n + 1, endOf
		}
		return startTagAt(b, at)
	}
}

// startTagAt finds the end of the start tag at this place.
func startTagAt(b []byte, at int) (_, next int, kind tagKind) {
	for i := at + 1; i < len(b); i++ {
		switch b[i] {
		case '"', '\'':
			n := bytes.IndexByte(b[i+1:], b[i])
			if n < 0 {
				return 0, 0, noTag
			}
			i += n + 1
		case '>':
			if b[i-1] == '/' {
				return at, i + 1, emptyOf
			}
			return at, i + 1, startOf
		}
	}
	return 0, 0, noTag
}
