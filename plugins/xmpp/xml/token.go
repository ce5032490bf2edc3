package xml

import (
	"bytes"

	"github.com/jabberii/server/plugins/xmpp/ns"
)

// Kind says what a [Token] is.
type Kind uint8

const (
	Open  Kind = iota + 1 // the start tag of the stream
	Child                 // a complete element in the stream: a stanza, or something of the stream itself
	Close                 // the end tag of the stream
)

func (k Kind) String() string {
	switch k {
	case Open:
		return "open"
	case Child:
		return "child"
	case Close:
		return "close"
	}
	return "none"
}

// Token is what a [Scanner] has found: the start tag in fields and, for a Child,
// its content. Values are unescaped. A Close has nothing but its kind.
//
// Strings can be kept. Byte slices are gone with the next call of the scanner:
// who keeps them copies them. An attribute that isn't there is nil.
type Token struct {
	Kind Kind
	Name string // without prefix
	NS   string // the namespace of the name

	// Default is the default namespace that the start tag leaves: on a stream
	// that of its stanzas, on a stanza normally the same as NS. Declared are, on
	// the start of a stream, the namespaces that have a prefix.
	Default  string
	Declared []string

	To, From, ID []byte
	Type         string
	Lang         string // xml:lang; without, the language of the stream; "" is none, also if that is said

	Attrs []Attr // all attributes, those above too, but no declarations of namespaces

	// Rest has the attributes that aren't in the fields above as they were
	// written, each with a space before it and with the declaration of its
	// prefix, so that a writer puts it behind the others in a start tag. An empty
	// xml:lang is there too: of a field that is empty nobody would write it.
	Rest []byte

	// Body is what is between the start tag and the end tag. It is
	// self-contained: it declares all prefixes that it uses, and a child
	// without xmlns is in the namespace NS. Mostly it is a part of the scanned
	// bytes; if prefixes were declared outside of it, it is a corrected copy.
	Body []byte
}

// Attr is an attribute.
type Attr struct {
	NS    string // "" of a name without prefix
	Name  []byte // without prefix
	Value []byte // unescaped
}

// Attr returns the value of the attribute with this name and no prefix, nil if
// there is none.
func (t *Token) Attr(name string) []byte {
	for i := range t.Attrs {
		if a := &t.Attrs[i]; a.NS == "" && string(a.Name) == name {
			return a.Value
		}
	}
	return nil
}

// startTop keeps the start tag of the top-level element.
func (s *Scanner) startTop(b []byte) {
	s.top.name = s.tag.name
	s.top.attrs, s.tag.attrs = s.tag.attrs, s.top.attrs[:0]
	s.top.content, _ = s.namespace(b, nil)
	s.top.ns, _ = s.namespace(b, s.top.name.prefix.in(b))
	s.top.body = span{int32(s.tag.end), int32(s.tag.end)}
}

// header scans the start tag of the stream.
func (s *Scanner) header(b []byte) (int, error) {
	closed, err := s.markup(b)
	if err != nil {
		return 0, err
	}
	end := int(s.top.body.start)
	s.describe(b, Open)
	s.phase = inStream
	if closed {
		s.phase = emptyStream
	}
	s.root = intern(s.top.name.whole().in(b))
	s.lang = s.token.Lang
	s.outer = make([]outer, 0, len(s.bindings))
	for _, at := range s.bindings {
		uri := intern(s.text(b, at.value, at.plain))
		prefix := intern(at.prefix.in(b))
		s.outer = append(s.outer, outer{prefix, uri})
		if prefix != "" {
			s.token.Declared = append(s.token.Declared, uri)
		}
	}
	s.startElement()
	return end, nil
}

// close scans the end tag of the stream.
func (s *Scanner) close(b []byte) (int, error) {
	const mostSpace = 64 // it is scanned again with each piece
	end, err := scanEnd(b, 0, []byte(s.root))
	if err == errShort && len(b) > len("</>")+len(s.root)+mostSpace {
		return 0, malformed(0, "an end tag without end")
	}
	if err != nil {
		return 0, err
	}
	s.phase = afterStream
	s.token = Token{Kind: Close}
	return end, nil
}

// finish makes the token of an element that is complete.
func (s *Scanner) finish(b []byte, end int) error {
	s.describe(b, Child)
	s.token.Rest = s.rest(b)
	s.token.Body = s.top.body.in(b)
	if len(s.edits) == 0 {
		return nil
	}
	body, err := s.rewrite(b)
	s.token.Body = body
	return err
}

// describe puts the top-level start tag into the fields of the token.
func (s *Scanner) describe(b []byte, kind Kind) {
	t := &s.token
	lang := t.Lang
	*t = Token{Kind: kind, NS: s.top.ns, Default: s.top.content, Lang: s.lang, Attrs: t.Attrs[:0]}
	t.Name = intern(s.top.name.local.in(b))
	for i := range s.top.attrs {
		a := &s.top.attrs[i]
		if a.declares(b) {
			continue
		}
		attr := Attr{Name: a.name.local.in(b), Value: s.value(b, a)}
		if prefix := a.name.prefix.in(b); len(prefix) > 0 {
			attr.NS, _ = s.namespace(b, prefix)
		}
		t.Attrs = append(t.Attrs, attr)
		switch common(attr) {
		case "to":
			t.To = attr.Value
		case "from":
			t.From = attr.Value
		case "id":
			t.ID = attr.Value
		case "type":
			t.Type = intern(attr.Value)
		case "lang":
			switch string(attr.Value) {
			case s.lang:
			case lang: // of the token before, which saves a string
				t.Lang = lang
			default:
				t.Lang = intern(attr.Value)
			}
		}
	}
}

// common returns the name of an attribute that has a field of its own in a token.
func common(a Attr) string {
	switch a.NS {
	case "":
		switch string(a.Name) {
		case "to":
			return "to"
		case "from":
			return "from"
		case "id":
			return "id"
		case "type":
			return "type"
		}
	case ns.XML:
		if string(a.Name) == "lang" {
			return "lang"
		}
	}
	return ""
}

// rest collects the attributes without a field of their own.
func (s *Scanner) rest(b []byte) []byte {
	start, at := len(s.scratch), -1
	for i := range s.top.attrs {
		a := &s.top.attrs[i]
		if a.declares(b) {
			continue
		}
		at++
		if name := common(s.token.Attrs[at]); name != "" && (name != "lang" || len(s.token.Attrs[at].Value) > 0) {
			continue
		}
		prefix := a.name.prefix.in(b)
		if len(prefix) > 0 && string(prefix) != "xml" && !declaredIn(s.scratch[start:], prefix) {
			s.scratch = append(s.scratch, " xmlns:"...)
			s.scratch = append(s.scratch, prefix...)
			s.scratch = appendQuoted(s.scratch, s.token.Attrs[at].NS)
		}
		s.scratch = append(s.scratch, ' ')
		s.scratch = append(s.scratch, b[a.name.whole().start:a.value.end+1]...)
	}
	if len(s.scratch) == start {
		return nil
	}
	return s.scratch[start:len(s.scratch):len(s.scratch)]
}

// declaredIn reports whether attributes that rest has collected declare a prefix.
func declaredIn(attrs, prefix []byte) bool {
	const name = " xmlns:"
	for {
		i := bytes.Index(attrs, []byte(name))
		if i < 0 {
			return false
		}
		attrs = attrs[i+len(name):]
		if rest, ok := bytes.CutPrefix(attrs, prefix); ok && len(rest) > 0 && rest[0] == '=' {
			return true
		}
	}
}
