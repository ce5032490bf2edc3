package xml

import "bytes"

// Append appends the element so that it means the same wherever it is put: its
// start tag declares the default namespace and the prefixes that are declared
// around it. It is how a part of a body becomes a body.
func (e *Element) Append(dst []byte) []byte {
	tag := e.attrs.in(e.raw)
	dst = append(dst, e.raw[:e.attrs.start]...)
	if !hasDefault(tag) {
		if around := e.scope.raw; around != nil {
			dst = append(dst, " xmlns="...)
			dst = appendRaw(dst, around)
		} else {
			dst = AppendAttr(dst, "xmlns", e.scope.content)
		}
	}
	for w := e.scope.outer; w != nil; w = w.outer {
		cursor := attrCursor{b: w.attrs}
		for cursor.next() {
			a := &cursor.attr
			if string(a.name.prefix.in(w.attrs)) != "xmlns" {
				continue
			}
			prefix := a.name.local.in(w.attrs)
			if !mentions(e.raw, prefix) || declaresPrefix(tag, prefix) || e.scope.outer.hides(w, prefix) {
				continue
			}
			dst = append(dst, " xmlns:"...)
			dst = append(dst, prefix...)
			dst = append(dst, '=')
			dst = appendRaw(dst, a.value.in(w.attrs))
		}
	}
	return append(dst, e.raw[e.attrs.start:]...)
}

// appendRaw appends a value as written between quotes, which it doesn't hold
// itself.
func appendRaw(dst, raw []byte) []byte {
	quote := byte('\'')
	if bytes.IndexByte(raw, quote) >= 0 {
		quote = '"'
	}
	dst = append(dst, quote)
	dst = append(dst, raw...)
	return append(dst, quote)
}

func hasDefault(tag []byte) bool {
	for cursor := (attrCursor{b: tag}); cursor.next(); {
		if cursor.attr.isDefault(tag) {
			return true
		}
	}
	return false
}

func declaresPrefix(tag, prefix []byte) bool {
	for cursor := (attrCursor{b: tag}); cursor.next(); {
		name := cursor.attr.name
		if string(name.prefix.in(tag)) == "xmlns" && bytes.Equal(name.local.in(tag), prefix) {
			return true
		}
	}
	return false
}

// hides reports whether a declaration of the prefix in w is hidden by one
// further inside.
func (w *within) hides(outer *within, prefix []byte) bool {
	for ; w != outer; w = w.outer {
		if declaresPrefix(w.attrs, prefix) {
			return true
		}
	}
	return false
}

// mentions reports whether the prefix may be used in raw.
func mentions(raw, prefix []byte) bool {
	for {
		i := bytes.Index(raw, prefix)
		if i < 0 {
			return false
		}
		raw = raw[i+len(prefix):]
		if len(raw) > 0 && raw[0] == ':' {
			return true
		}
	}
}
