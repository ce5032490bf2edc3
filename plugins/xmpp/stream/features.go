package stream

import (
	"bytes"
	"iter"
	"strings"

	"github.com/jabberii/server/plugins/xmpp/ns"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

// AppendFeatures writes the element features with what the receiving side offers,
// each an element that spells out its namespace. It may stand in either framing.
func AppendFeatures(dst []byte, features ...[]byte) []byte {
	dst = append(dst, "<stream:features xmlns:stream='"+ns.Stream+"'>"...)
	for _, f := range features {
		dst = append(dst, f...)
	}
	return append(dst, "</stream:features>"...)
}

// AppendStartTLS writes the feature STARTTLS (RFC 6120, 5.4.1).
func AppendStartTLS(dst []byte, required bool) []byte {
	if !required {
		return xml.AppendEmpty(dst, "starttls", ns.StartTLS)
	}
	return append(dst, "<starttls xmlns='"+ns.StartTLS+"'><required/></starttls>"...)
}

// AppendMechanisms writes the feature SASL with the names of the mechanisms, the
// preferred first (RFC 6120, 6.4.1).
func AppendMechanisms(dst []byte, names ...string) []byte {
	dst = xml.AppendStart(dst, "mechanisms", ns.SASL)
	for _, name := range names {
		dst = xml.AppendElement(dst, "mechanism", "", name)
	}
	return xml.AppendEnd(dst, "mechanisms")
}

// AppendBind writes the feature resource binding (RFC 6120, 7.4).
func AppendBind(dst []byte) []byte { return xml.AppendEmpty(dst, "bind", ns.Bind) }

// Features is what the receiving side offers. The fields are those of RFC 6120;
// others are found with [Features.Find].
type Features struct {
	StartTLS         bool
	StartTLSRequired bool
	Mechanisms       []string // of SASL
	Bind             bool
	Body             []byte // all features, as elements
}

// ParseFeatures reads the element features, of which it copies what it keeps. ok
// is false if the token is something else.
func ParseFeatures(t *xml.Token) (f Features, ok bool) {
	if t.Kind != xml.Child || t.Name != "features" || t.NS != ns.Stream {
		return f, false
	}
	f.Body = bytes.Clone(t.Body)
	for el := range f.Elements() {
		switch {
		case el.Is("starttls", ns.StartTLS):
			f.StartTLS = true
			_, f.StartTLSRequired = el.Find("required", ns.StartTLS)
		case el.Is("mechanisms", ns.SASL):
			for child := range el.Elements() {
				if child.Is("mechanism", ns.SASL) {
					f.Mechanisms = append(f.Mechanisms, strings.TrimSpace(child.Text()))
				}
			}
		case el.Is("bind", ns.Bind):
			f.Bind = true
		}
	}
	return f, true
}

// Elements iterates over the features.
func (f Features) Elements() iter.Seq[xml.Element] {
	return xml.Elements(f.Body, ns.Stream)
}

// Find returns the feature with this name and namespace.
func (f Features) Find(name, space string) (xml.Element, bool) {
	return xml.Find(f.Body, ns.Stream, name, space)
}
