package exec

import "bytes"

const (
	cdataStart = "<![CDATA["
	cdataEnd   = "]]>"
)

// appendOneLine appends an element without ends of lines in it, so that a
// program may read it as a line: in text they are references, in tags spaces.
// The element is well-formed, without comments and the like.
func appendOneLine(dst, element []byte) []byte {
	for len(element) > 0 {
		i := bytes.IndexByte(element, '<')
		if i < 0 {
			i = len(element)
		}
		dst = appendReplaced(dst, element[:i], "&#10;")
		element = element[i:]
		switch {
		case bytes.HasPrefix(element, []byte(cdataStart)):
			n := cdataLength(element)
			dst = appendReplaced(dst, element[:n], cdataEnd+"&#10;"+cdataStart)
			element = element[n:]
		case len(element) > 0:
			n := tagLength(element)
			dst = appendReplaced(dst, element[:n], " ")
			element = element[n:]
		}
	}
	return dst
}

// appendReplaced appends text with something else for each end of a line.
func appendReplaced(dst, text []byte, end string) []byte {
	for {
		i := bytes.IndexByte(text, '\n')
		if i < 0 {
			return append(dst, text...)
		}
		dst = append(append(dst, text[:i]...), end...)
		text = text[i+1:]
	}
}

// cdataLength returns the length of the CDATA section at the start of b.
func cdataLength(b []byte) int {
	if i := bytes.Index(b, []byte(cdataEnd)); i >= 0 {
		return i + len(cdataEnd)
	}
	return len(b)
}

// tagLength returns the length of the tag at the start of b.
func tagLength(b []byte) int {
	quote := byte(0)
	for i, c := range b {
		switch {
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '"' || c == '\'':
			quote = c
		case c == '>':
			return i + 1
		}
	}
	return len(b)
}
