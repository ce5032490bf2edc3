package disco

import (
	"bytes"
	"context"
	"crypto/sha1" // as XEP-0115 has it
	"encoding/base64"
	"slices"

	"github.com/jabberii/server/plugins/sdk/xdb"
	"github.com/jabberii/server/plugins/xmpp/ns"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

// Entity capabilities (XEP-0115) of a host: the element with which it announces
// what it offers, so that clients need not ask each time. The session manager
// knows it, since it answers, and writes it into storage; who has streams to
// clients reads it there. It is the item "c" of the host's namespace "caps".
const (
	capsNS  = "caps"
	capsKey = "c"
)

// AppendCapabilities appends the element.
func (a *Answer) AppendCapabilities(dst []byte) []byte {
	return xml.AppendEmpty(dst, "c", ns.Caps, "hash", "sha-1", "node", Node, "ver", a.verification())
}

// verification is the hash of section 5.1.
func (a *Answer) verification() string {
	a.sort()
	var b []byte
	for _, i := range a.identities {
		for _, part := range []string{i.category, "/", i.kind, "/", i.lang, "/", i.name, "<"} {
			b = append(b, part...)
		}
	}
	for _, f := range a.features {
		b = append(append(b, f...), '<')
	}
	var forms [][]byte
	for _, raw := range a.forms {
		if el, ok := xml.First(raw, ns.DataForm); ok {
			if form := verifiedForm(&el); form != nil {
				forms = append(forms, form)
			}
		}
	}
	slices.SortFunc(forms, bytes.Compare)
	sum := sha1.Sum(append(b, bytes.Join(forms, nil)...))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// verifiedForm is the part of a form in what is hashed, nil if it has none: a
// form without a type has not.
func verifiedForm(form *xml.Element) []byte {
	var kind []byte
	var fields [][]byte
	for field := range form.Elements() {
		if !field.Is("field", ns.DataForm) {
			continue
		}
		var values []string
		for v := range field.Elements() {
			if v.Is("value", ns.DataForm) {
				values = append(values, v.Text())
			}
		}
		name := field.Attr("var")
		if name == "FORM_TYPE" && len(values) == 1 {
			kind = append([]byte(values[0]), '<')
			continue
		}
		slices.Sort(values)
		text := append([]byte(name), '<')
		for _, v := range values {
			text = append(append(text, v...), '<')
		}
		fields = append(fields, text)
	}
	if kind == nil {
		return nil
	}
	slices.SortFunc(fields, bytes.Compare)
	return append(kind, bytes.Join(fields, nil)...)
}

// WriteCapabilities keeps the element of a host.
func WriteCapabilities(ctx context.Context, store *xdb.Store, host string, element []byte) error {
	_, err := store.Put(ctx, host, capsNS, capsKey, element)
	return err
}

// ReadCapabilities returns the element of a host, nil if nobody has written one.
func ReadCapabilities(ctx context.Context, store *xdb.Store, host string) ([]byte, error) {
	it, found, err := store.Get(ctx, host, capsNS, capsKey)
	if err != nil || !found {
		return nil, err
	}
	if el, ok := xml.First(it.Value, ""); !ok || !el.Is("c", ns.Caps) || len(el.Outer()) != len(it.Value) {
		return nil, nil
	}
	return it.Value, nil
}
