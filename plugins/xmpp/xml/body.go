package xml

// edit is a correction that makes a body self-contained.
type edit struct {
	at, until int32  // the bytes that it replaces
	prefix    span   // to be declared; with start == end, the default namespace
	value     span   // where its declaration is in the bytes, or
	uri       string // what it is, if it is not there
	cut       bool   // nothing is to be declared, the bytes just go
}

// borrow notes that the current child uses a prefix that is declared outside
// of the body.
func (s *Scanner) borrow(b []byte, e edit) {
	e.at, e.until = s.child, s.child
	prefix := e.prefix.in(b)
	for i := len(s.edits) - 1; i >= 0 && s.edits[i].at >= e.at; i-- {
		if string(s.edits[i].prefix.in(b)) == string(prefix) {
			return
		}
	}
	s.edits = append(s.edits, e)
}

// startChild puts the default namespace of a child of the top-level element in
// order: without xmlns it has to be in the namespace of its parent, and only then.
func (s *Scanner) startChild(b []byte) {
	for i := range s.tag.attrs {
		a := &s.tag.attrs[i]
		if !a.isDefault(b) {
			continue
		}
		if string(s.value(b, a)) == s.top.ns {
			s.edits = append(s.edits, edit{at: a.after, until: a.value.end + 1, cut: true})
		}
		return
	}
	if s.top.content != s.top.ns {
		s.edits = append(s.edits, edit{at: s.child, until: s.child, uri: s.top.content})
	}
}

// rewrite makes the corrected body.
func (s *Scanner) rewrite(b []byte) ([]byte, error) {
	dst, from := s.scratch, s.top.body.start
	start := len(dst)
	for _, e := range s.sorted() {
		dst = append(dst, b[from:e.at]...)
		from = e.until
		if e.cut {
			continue
		}
		dst = append(dst, " xmlns"...)
		if e.prefix.start != e.prefix.end {
			dst = append(dst, ':')
			dst = append(dst, e.prefix.in(b)...)
		}
		if e.value.start > 0 {
			dst = append(dst, '=')
			dst = append(dst, b[e.value.start-1:e.value.end+1]...)
		} else {
			dst = appendQuoted(dst, e.uri)
		}
		if len(dst)-start > s.limits.Bytes {
			return nil, limit(int(e.at), "a body that is too long")
		}
	}
	dst = append(dst, b[from:s.top.body.end]...)
	s.scratch = dst
	if len(dst)-start > s.limits.Bytes {
		return nil, limit(int(from), "a body that is too long")
	}
	return dst[start:len(dst):len(dst)], nil
}

// sorted returns the edits in the order of their places, what is put in before
// what is cut. They are in order, but for a child whose content borrows after its
// start tag was cut.
func (s *Scanner) sorted() []edit {
	for i := 1; i < len(s.edits); i++ {
		for j := i; j > 0 && s.edits[j].before(s.edits[j-1]); j-- {
			s.edits[j], s.edits[j-1] = s.edits[j-1], s.edits[j]
		}
	}
	return s.edits
}

func (e edit) before(other edit) bool {
	return e.at < other.at || e.at == other.at && e.until < other.until
}
