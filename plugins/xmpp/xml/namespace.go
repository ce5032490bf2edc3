package xml

import (
	"bytes"

	"github.com/jabberii/server/plugins/xmpp/ns"
)

// binding is the declaration of a prefix, or with an empty prefix of the default
// namespace, in the element that is scanned.
type binding struct {
	level         int // of the element that declares it, 1 is the stanza
	prefix, value span
	plain         bool
}

// outer is a declaration on the start tag of the stream.
type outer struct{ prefix, uri string }

// bind notes what the tag declares for an element of this level.
func (s *Scanner) bind(b []byte, level int) error {
	for i := range s.tag.attrs {
		a := &s.tag.attrs[i]
		if !a.declares(b) {
			continue
		}
		var prefix span
		if !a.isDefault(b) {
			prefix = a.name.local
		}
		if reason := checkDeclaration(prefix.in(b), s.value(b, a)); reason != "" {
			return malformed(int(a.name.local.start), reason)
		}
		if a.value.end-a.value.start > mostURI {
			return limit(int(a.name.local.start), "a namespace that is too long")
		}
		if level > 1 && a.isDefault(b) {
			continue // nothing within a body asks for it
		}
		if len(s.bindings) >= mostBindings {
			return limit(int(a.name.local.start), "too many prefixes")
		}
		s.bindings = append(s.bindings, binding{level, prefix, a.value, a.plain})
	}
	return nil
}

// These bound what an attacker gets for little: mostBindings how many prefixes are
// declared at once in an element, mostPairs how many pairs of prefixes one tag
// may ask to compare, because looking them up takes time, and mostURI the length of a
// namespace in bytes, because a body repeats what it borrows. Real stanzas have
// less than ten, none, and less than a hundred.
const (
	mostBindings = 128
	mostPairs    = 16
	mostURI      = 512
)

// checkDeclaration says what Namespaces in XML 1.0, 2.2 and 3 have against a
// declaration, "" if nothing.
func checkDeclaration(prefix, uri []byte) string {
	switch {
	case string(prefix) == "xmlns", string(uri) == ns.XMLNS:
		return "a declaration of xmlns"
	case (string(prefix) == "xml") != (string(uri) == ns.XML):
		return "a declaration of xml"
	case len(prefix) > 0 && len(uri) == 0:
		return "a prefix without namespace"
	}
	return ""
}

// unbind forgets what elements of this level and within declared.
func (s *Scanner) unbind(level int) {
	n := len(s.bindings)
	for n > 0 && s.bindings[n-1].level >= level {
		n--
	}
	s.bindings = s.bindings[:n]
}

// resolve checks that a prefix is declared and notes, for a body, that it
// borrows a declaration from outside.
func (s *Scanner) resolve(b []byte, prefix span, level int) error {
	name := prefix.in(b)
	if string(name) == "xml" {
		return nil
	}
	for i := len(s.bindings) - 1; i >= 0; i-- {
		if at := &s.bindings[i]; bytes.Equal(at.prefix.in(b), name) {
			if at.level == 1 && level > 1 {
				s.borrow(b, edit{prefix: prefix, value: at.value})
			}
			return nil
		}
	}
	for i := range s.outer {
		if s.outer[i].prefix == string(name) {
			if level > 1 {
				s.borrow(b, edit{prefix: prefix, uri: s.outer[i].uri})
			}
			return nil
		}
	}
	return malformed(int(prefix.start), "a prefix that is not declared")
}

// namespace returns what a prefix, or with an empty one the default, is bound to.
func (s *Scanner) namespace(b, prefix []byte) (uri string, known bool) {
	if string(prefix) == "xml" {
		return ns.XML, true
	}
	for i := len(s.bindings) - 1; i >= 0; i-- {
		if at := &s.bindings[i]; bytes.Equal(at.prefix.in(b), prefix) {
			return intern(s.text(b, at.value, at.plain)), true
		}
	}
	for i := range s.outer {
		if s.outer[i].prefix == string(prefix) {
			return s.outer[i].uri, true
		}
	}
	return "", len(prefix) == 0
}

// unique checks that no attribute of the tag is there twice, by name or by
// namespace.
func (s *Scanner) unique(b []byte) error {
	attrs, pairs := s.tag.attrs, 0
	for i := 1; i < len(attrs); i++ {
		name := attrs[i].name
		local := name.local.in(b)
		for j := range attrs[:i] {
			other := attrs[j].name
			if !bytes.Equal(other.local.in(b), local) {
				continue
			}
			if s.same(b, name.prefix, other.prefix) {
				return malformed(int(name.local.start), "an attribute twice")
			}
			if pairs++; pairs > mostPairs {
				return limit(int(name.local.start), "too many attributes of one name")
			}
		}
	}
	return nil
}

// same reports whether two prefixes of attributes mean one namespace.
func (s *Scanner) same(b []byte, p, q span) bool {
	one, two := p.in(b), q.in(b)
	if bytes.Equal(one, two) {
		return true
	}
	if len(one) == 0 || len(two) == 0 || string(one) == "xmlns" || string(two) == "xmlns" {
		return false // an attribute without prefix is in no namespace
	}
	first, _ := s.namespace(b, one)
	second, _ := s.namespace(b, two)
	return first == second
}

// value is what an attribute means. It is valid until the next token.
func (s *Scanner) value(b []byte, a *attribute) []byte {
	return s.text(b, a.value, a.plain)
}

func (s *Scanner) text(b []byte, value span, plain bool) []byte {
	if plain {
		return value.in(b)
	}
	start := len(s.scratch)
	s.scratch = appendValue(s.scratch, value.in(b))
	return s.scratch[start:len(s.scratch):len(s.scratch)]
}
