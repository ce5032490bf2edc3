package xml

// Document scans b as one complete element with nothing around it, as in a
// message of WebSocket (RFC 7395, 3.3). It declares all of its prefixes. The
// token is valid until the next call. An error is a [*SyntaxError], and not
// final: the next document has nothing to do with it.
func (s *Scanner) Document(b []byte) (*Token, error) {
	s.startElement()
	s.phase, s.err, s.outer = inStream, nil, nil
	defer s.startElement()
	if len(b) > s.limits.Bytes {
		return nil, limit(s.limits.Bytes, "an element that is too long")
	}
	if len(b) == 0 || b[0] != '<' {
		return nil, malformed(0, "no element")
	}
	if len(b) > 1 && b[1] == '/' {
		return nil, malformed(0, "the end of nothing")
	}
	end, err := s.scan(b)
	if err == errShort {
		return nil, malformed(len(b), "an element without end")
	}
	if err != nil {
		return nil, err
	}
	if end += spaces(b[end:]); end < len(b) {
		return nil, malformed(end, "more than one element")
	}
	return &s.token, nil
}

// Check reports whether body can stand in any element: whether it is
// well-formed, declares all of its prefixes and keeps to the limits, of which
// the depth counts the element around it. For bodies that come from elsewhere than a
// Scanner. An error is a [*SyntaxError].
func Check(body []byte, limits Limits) error {
	s := NewScanner(limits)
	if len(body) > s.limits.Bytes {
		return limit(s.limits.Bytes, "a body that is too long")
	}
	s.phase, s.state = inStream, inText
	s.open = append(s.open, span{})
	err := s.content(body)
	switch {
	case err != errShort:
		return err
	case s.state != inText || s.pos != len(body) || len(s.open) != 1:
		return malformed(len(body), "an element without end")
	}
	return nil
}
