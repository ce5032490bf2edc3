package xml

import (
	"bytes"
	"iter"

	"github.com/jabberii/server/plugins/xmpp/ns"
)

// Element is a child in a body: a view of its bytes, which must not change. It
// is a value, made by [Elements], and doesn't look at anything but its start tag
// before it is asked.
type Element struct {
	raw   []byte // from < to >
	inner span   // in raw
	name  qname  // in raw
	attrs span   // in raw: from the end of the name to the end of the tag
	scope scope  // in which its start tag stands
	uri   []byte // its namespace as declared, if own is set
	own   bool
	names bool // it declares prefixes
}

// scope is what is declared around an element.
type scope struct {
	content string  // the default namespace, if raw is nil
	raw     []byte  // the default namespace as written
	outer   *within // prefixes
}

// within is an element that declares prefixes.
type within struct {
	attrs []byte
	outer *within
}

// Elements iterates over the elements in body, on its first level. A child
// without xmlns is in the namespace ns; of a stanza's body that is the one of
// the stanza. Text between the elements is skipped. It allocates nothing.
//
//	for el := range xml.Elements(body, ns.Client) {
//		switch {
//		case el.Is("body", ns.Client):
//			text = el.Text()
//		case el.Is("request", ns.Receipts):
//			receipt = true
//		}
//	}
//
// A body from a [Scanner] is well-formed. Of another one, which [Check] would
// refuse, the iteration may end early or yield what isn't there; it doesn't panic.
func Elements(body []byte, ns string) iter.Seq[Element] {
	return func(yield func(Element) bool) { iterate(body, scope{content: ns}, yield) }
}

// Find returns the first element in body with this name and namespace. A child
// without xmlns is in the namespace content.
func Find(body []byte, content, name, ns string) (Element, bool) {
	for el := range Elements(body, content) {
		if el.Is(name, ns) {
			return el, true
		}
	}
	return Element{}, false
}

// First returns the first element in body, be it which it may: the payload of
// an IQ.
func First(body []byte, ns string) (Element, bool) {
	for el := range Elements(body, ns) {
		return el, true
	}
	return Element{}, false
}

func iterate(body []byte, around scope, yield func(Element) bool) {
	for i := 0; ; {
		start, end := nextElement(body, i)
		if start < 0 {
			return
		}
		el, ok := parse(body[start:end], around)
		if !ok || !yield(el) {
			return
		}
		i = end
	}
}

// parse reads the start tag of an element.
func parse(raw []byte, around scope) (el Element, ok bool) {
	name, at, err := scanName(raw, 1)
	if err != nil {
		return el, false
	}
	el = Element{raw: raw, name: name, scope: around}
	prefix := name.prefix.in(raw)
	cursor := attrCursor{b: raw, at: at}
	for cursor.next() {
		a := &cursor.attr
		switch {
		case a.isDefault(raw) && len(prefix) == 0:
			el.uri, el.own = a.value.in(raw), true
		case a.isDefault(raw):
			el.names = true
		case string(a.name.prefix.in(raw)) == "xmlns":
			el.names = true
			if len(prefix) > 0 && bytes.Equal(a.name.local.in(raw), prefix) {
				el.uri, el.own = a.value.in(raw), true
			}
		}
	}
	if cursor.failed {
		return el, false
	}
	el.attrs = span{int32(at), int32(cursor.at)}
	if len(prefix) > 0 && !el.own {
		if el.uri, el.own = around.outer.find(prefix); !el.own {
			return el, false
		}
	}
	el.inner = inside(raw, cursor.at)
	return el, true
}

// inside returns where the content of an element is whose start tag ends, but
// for its last one or two characters, at this place.
func inside(raw []byte, at int) span {
	if at >= len(raw) || raw[at] == '/' {
		return span{int32(len(raw)), int32(len(raw))}
	}
	end := bytes.LastIndexByte(raw, '<')
	return span{int32(at + 1), int32(max(end, at+1))}
}

// find returns the namespace of a prefix, as written.
func (w *within) find(prefix []byte) (uri []byte, ok bool) {
	for ; w != nil; w = w.outer {
		cursor := attrCursor{b: w.attrs}
		for cursor.next() {
			name := cursor.attr.name
			if string(name.prefix.in(w.attrs)) == "xmlns" && bytes.Equal(name.local.in(w.attrs), prefix) {
				return cursor.attr.value.in(w.attrs), true
			}
		}
	}
	return nil, string(prefix) == "xml"
}

// Name is the name without prefix. To switch on it allocates nothing.
func (e *Element) Name() string { return string(e.name.local.in(e.raw)) }

// NS is the namespace of the name.
func (e *Element) NS() string {
	raw := e.declared()
	switch {
	case raw == nil && e.name.prefix != (span{}):
		return ns.XML
	case raw == nil:
		return e.scope.content
	}
	return unescapeValue(raw)
}

// declared is the namespace of the element as it is written where it is
// declared, nil if that isn't within the body.
func (e *Element) declared() []byte {
	if e.own {
		return e.uri
	}
	return e.scope.raw
}

// Is reports whether the element has this name and is in this namespace.
func (e *Element) Is(name, ns string) bool {
	if string(e.name.local.in(e.raw)) != name {
		return false
	}
	if raw := e.declared(); raw != nil && string(raw) == ns {
		return true
	}
	return e.NS() == ns
}

// Attr returns the value of the attribute with this name and no prefix, ""
// if there is none.
func (e *Element) Attr(name string) string {
	value, _ := e.LookupAttr(name)
	return value
}

// LookupAttr is [Element.Attr] and says whether there is one. The name may have
// the prefix xml.
func (e *Element) LookupAttr(name string) (value string, ok bool) {
	tag := e.attrs.in(e.raw)
	cursor := attrCursor{b: tag}
	for cursor.next() {
		if a := &cursor.attr; string(a.name.whole().in(tag)) == name {
			return unescapeValue(a.value.in(tag)), true
		}
	}
	return "", false
}

func unescapeValue(raw []byte) string {
	if !bytes.ContainsAny(raw, "&\r\n\t") {
		return intern(raw)
	}
	return string(appendValue(nil, raw))
}

// Lang is the attribute xml:lang, "" if there is none.
func (e *Element) Lang() string { return e.Attr("xml:lang") }

// Attrs iterates over the attributes, but not over declarations of namespaces.
// Each has memory of its own.
func (e *Element) Attrs() iter.Seq[Attr] {
	return func(yield func(Attr) bool) {
		tag := e.attrs.in(e.raw)
		cursor := attrCursor{b: tag}
		for cursor.next() {
			a := cursor.attr
			if a.declares(tag) {
				continue
			}
			attr := Attr{Name: bytes.Clone(a.name.local.in(tag)), Value: appendValue([]byte{}, a.value.in(tag))}
			if prefix := a.name.prefix.in(tag); len(prefix) > 0 {
				attr.NS = e.prefixNS(prefix)
			}
			if !yield(attr) {
				return
			}
		}
	}
}

// prefixNS is what a prefix is bound to in the start tag of the element.
func (e *Element) prefixNS(prefix []byte) string {
	if string(prefix) == "xml" {
		return ns.XML
	}
	uri, _ := e.inside().outer.find(prefix)
	return string(appendValue(nil, uri))
}

// Outer is the whole element as it is written, a part of the body. Out of it, it
// may lack declarations; see [Element.Append].
func (e *Element) Outer() []byte { return e.raw }

// Inner is what is between the tags as it is written, a part of the body.
func (e *Element) Inner() []byte { return e.inner.in(e.raw) }

// Text is the text that is directly in the element, not that of elements in it.
func (e *Element) Text() string {
	inner := e.Inner()
	if !bytes.ContainsAny(inner, "<&\r") {
		return string(inner)
	}
	return string(e.AppendText(nil))
}

// AppendText appends [Element.Text] to dst.
func (e *Element) AppendText(dst []byte) []byte {
	inner := e.Inner()
	for i := 0; ; {
		start, end := nextElement(inner, i)
		if start < 0 {
			return AppendUnescaped(dst, inner[i:])
		}
		dst = AppendUnescaped(dst, inner[i:start])
		i = end
	}
}

// Elements iterates over the elements directly in this one.
func (e *Element) Elements() iter.Seq[Element] {
	return func(yield func(Element) bool) { iterate(e.Inner(), e.inside(), yield) }
}

// Find returns the first element directly in this one with this name and
// namespace.
func (e *Element) Find(name, ns string) (Element, bool) {
	for el := range e.Elements() {
		if el.Is(name, ns) {
			return el, true
		}
	}
	return Element{}, false
}

// inside is the scope of the children.
func (e *Element) inside() scope {
	inner := e.scope
	tag := e.attrs.in(e.raw)
	cursor := attrCursor{b: tag}
	for cursor.next() {
		if cursor.attr.isDefault(tag) {
			inner.raw = cursor.attr.value.in(tag)
		}
	}
	if e.names {
		inner.outer = &within{attrs: tag, outer: e.scope.outer}
	}
	return inner
}
