package vcard

import (
	"slices"
	"strings"

	"github.com/jabberii/server/plugins/xmpp/ns"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

// ToTemp writes a vCard 4, the first one if el is a list, as a vcard-temp.
func ToTemp(dst []byte, el *xml.Element) []byte {
	card := *el
	if el.Is("vcards", NS4) {
		if first, ok := el.Find("vcard", NS4); ok {
			card = first
		}
	}
	dst = xml.AppendStart(dst, "vCard", ns.VCard)
	for child := range card.Elements() {
		switch {
		case child.NS() != NS4:
		case child.Name() == "group":
			for inner := range child.Elements() {
				if inner.NS() == NS4 {
					dst = toTempProperty(dst, &inner)
				}
			}
		default:
			dst = toTempProperty(dst, &child)
		}
	}
	return xml.AppendEnd(dst, "vCard")
}

func toTempProperty(dst []byte, el *xml.Element) []byte {
	switch name := el.Name(); name {
	case "n":
		return toTempParts(dst, "N", nameParts, el)
	case "adr":
		return toTempParts(dst, "ADR", addressParts, el)
	case "org":
		return toTempOrg(dst, el)
	case "email":
		return toTempTyped(dst, "EMAIL", "USERID", value(el), el)
	case "tel":
		return toTempTyped(dst, "TEL", "NUMBER", strings.TrimPrefix(value(el), "tel:"), el)
	case "impp":
		if address, ok := strings.CutPrefix(value(el), "xmpp:"); ok {
			return xml.AppendElement(dst, "JABBERID", "", address)
		}
	case "geo":
		where, _, _ := strings.Cut(strings.TrimPrefix(value(el), "geo:"), ";")
		if lat, lon, ok := strings.Cut(where, ","); ok {
			dst = xml.AppendStart(dst, "GEO", "")
			dst = xml.AppendElement(dst, "LAT", "", lat)
			dst = xml.AppendElement(dst, "LON", "", lon)
			return xml.AppendEnd(dst, "GEO")
		}
	case "photo", "logo":
		return toTempPicture(dst, strings.ToUpper(name), value(el))
	case "categories":
		dst = xml.AppendStart(dst, "CATEGORIES", "")
		for _, v := range values(el) {
			dst = xml.AppendElement(dst, "KEYWORD", "", v)
		}
		return xml.AppendEnd(dst, "CATEGORIES")
	case "note":
		return xml.AppendElement(dst, "DESC", "", value(el)) // clients show DESC, not NOTE
	default:
		if i := slices.IndexFunc(simples, func(s simple) bool { return s.four == name }); i >= 0 && value(el) != "" {
			return xml.AppendElement(dst, simples[i].temp, "", value(el))
		}
	}
	return dst
}

// values returns what a property says: its text, uri, date ...
func values(el *xml.Element) []string {
	var list []string
	for child := range el.Elements() {
		if child.NS() == NS4 && child.Name() != "parameters" {
			list = append(list, strings.TrimSpace(child.Text()))
		}
	}
	return list
}

// value is the first of them, "" if there is none.
func value(el *xml.Element) string {
	for child := range el.Elements() {
		if child.NS() == NS4 && child.Name() != "parameters" {
			return strings.TrimSpace(child.Text())
		}
	}
	return ""
}

func toTempTyped(dst []byte, name, inner, v string, el *xml.Element) []byte {
	if v == "" {
		return dst
	}
	dst = xml.AppendStart(dst, name, "")
	dst = toTempKinds(dst, el)
	dst = xml.AppendElement(dst, inner, "", v)
	return xml.AppendEnd(dst, name)
}

// toTempKinds writes what a property is for.
func toTempKinds(dst []byte, el *xml.Element) []byte {
	parameters, ok := el.Find("parameters", NS4)
	if !ok {
		return dst
	}
	if list, ok := parameters.Find("type", NS4); ok {
		for _, v := range values(&list) {
			if i := slices.IndexFunc(kinds, func(k part) bool { return k.four == v }); i >= 0 {
				dst = xml.AppendEmpty(dst, kinds[i].temp, "")
			}
		}
	}
	if _, ok := parameters.Find("pref", NS4); ok {
		dst = xml.AppendEmpty(dst, "PREF", "")
	}
	return dst
}

func toTempParts(dst []byte, name string, parts []part, el *xml.Element) []byte {
	dst = xml.AppendStart(dst, name, "")
	dst = toTempKinds(dst, el)
	for _, p := range parts {
		if v := text(el, p.four, NS4); v != "" {
			dst = xml.AppendElement(dst, p.temp, "", v)
		}
	}
	return xml.AppendEnd(dst, name)
}

func toTempOrg(dst []byte, el *xml.Element) []byte {
	dst = xml.AppendStart(dst, "ORG", "")
	for i, v := range values(el) {
		name := "ORGUNIT"
		if i == 0 {
			name = "ORGNAME"
		}
		dst = xml.AppendElement(dst, name, "", v)
	}
	return xml.AppendEnd(dst, "ORG")
}

// toTempPicture writes a picture that a data URI holds, or where it is.
func toTempPicture(dst []byte, name, uri string) []byte {
	if uri == "" {
		return dst
	}
	dst = xml.AppendStart(dst, name, "")
	if data, ok := strings.CutPrefix(uri, "data:"); ok {
		kind, content, _ := strings.Cut(data, ";base64,")
		dst = xml.AppendElement(dst, "TYPE", "", kind)
		dst = xml.AppendElement(dst, "BINVAL", "", content)
	} else {
		dst = xml.AppendElement(dst, "EXTVAL", "", uri)
	}
	return xml.AppendEnd(dst, name)
}
