// Package vcard knows the two forms in which XMPP has business cards: vcard-temp
// (XEP-0054), which clients have spoken for twenty years, and vCard 4 (RFC 6351),
// which XEP-0292 carries. It turns one into the other, and finds what avatars in
// presence need (XEP-0153).
//
// What one form cannot say is lost on the way to it: who keeps a card keeps it
// as it was given.
package vcard

import (
	"crypto/sha1" // as XEP-0153 has it
	"encoding/base64"
	"encoding/hex"
	"slices"
	"strings"

	"github.com/jabberii/server/plugins/xmpp/ns"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

// NS4 is the namespace of vCard 4.
const NS4 = "urn:ietf:params:xml:ns:vcard-4.0"

// IsTemp reports whether an element is a card in the form of XEP-0054.
func IsTemp(el *xml.Element) bool { return el.Is("vCard", ns.VCard) }

// Is4 reports whether an element is a card in the form of RFC 6351, alone or
// in the list that the RFC has around it.
func Is4(el *xml.Element) bool { return el.Is("vcard", NS4) || el.Is("vcards", NS4) }

// A simple property is a text in both forms.
type simple struct{ temp, four, kind string }

var simples = []simple{
	{"FN", "fn", "text"},
	{"NICKNAME", "nickname", "text"},
	{"BDAY", "bday", "date"},
	{"URL", "url", "uri"},
	{"TITLE", "title", "text"},
	{"ROLE", "role", "text"},
	{"NOTE", "note", "text"},
	{"DESC", "note", "text"},
	{"TZ", "tz", "text"},
	{"UID", "uid", "text"},
	{"REV", "rev", "timestamp"},
}

// A part is an element of a property that has several.
type part struct{ temp, four string }

var nameParts = []part{{"FAMILY", "surname"}, {"GIVEN", "given"}, {"MIDDLE", "additional"}, {"PREFIX", "prefix"}, {"SUFFIX", "suffix"}}

var addressParts = []part{
	{"POBOX", "pobox"}, {"EXTADD", "ext"}, {"STREET", "street"}, {"LOCALITY", "locality"},
	{"REGION", "region"}, {"PCODE", "code"}, {"CTRY", "country"},
}

// kinds are what a number or an address may be for.
var kinds = []part{
	{"HOME", "home"}, {"WORK", "work"}, {"VOICE", "voice"}, {"FAX", "fax"}, {"PAGER", "pager"},
	{"CELL", "cell"}, {"VIDEO", "video"},
}

// text returns the text of a child, trimmed.
func text(el *xml.Element, name, space string) string {
	child, ok := el.Find(name, space)
	if !ok {
		return ""
	}
	return strings.TrimSpace(child.Text())
}

// PhotoHash returns the SHA-1 of the picture in a vcard-temp, in hex, as
// XEP-0153 has it; "" if there is none.
func PhotoHash(card *xml.Element) string {
	photo, ok := card.Find("PHOTO", ns.VCard)
	if !ok {
		return ""
	}
	picture, err := base64.StdEncoding.DecodeString(strip(text(&photo, "BINVAL", ns.VCard)))
	if err != nil || len(picture) == 0 {
		return ""
	}
	sum := sha1.Sum(picture)
	return hex.EncodeToString(sum[:])
}

// strip takes the white space out of base64.
func strip(s string) string { return strings.Join(strings.Fields(s), "") }

// To4 writes a vcard-temp as a vCard 4.
func To4(dst []byte, card *xml.Element) []byte {
	dst = xml.AppendStart(dst, "vcard", NS4)
	for el := range card.Elements() {
		if el.NS() != ns.VCard {
			continue
		}
		switch name := el.Name(); name {
		case "N":
			dst = to4Parts(dst, "n", nameParts, &el)
		case "ADR":
			dst = to4Parts(dst, "adr", addressParts, &el)
		case "ORG":
			dst = to4Org(dst, &el)
		case "EMAIL":
			dst = to4Typed(dst, "email", "text", text(&el, "USERID", ns.VCard), &el)
		case "TEL":
			dst = to4Typed(dst, "tel", "text", text(&el, "NUMBER", ns.VCard), &el)
		case "JABBERID":
			dst = to4Typed(dst, "impp", "uri", addScheme("xmpp:", strings.TrimSpace(el.Text())), &el)
		case "GEO":
			if lat, lon := text(&el, "LAT", ns.VCard), text(&el, "LON", ns.VCard); lat != "" && lon != "" {
				dst = to4Typed(dst, "geo", "uri", "geo:"+lat+","+lon, &el)
			}
		case "PHOTO", "LOGO":
			dst = to4Typed(dst, strings.ToLower(name), "uri", pictureURI(&el), &el)
		case "CATEGORIES":
			dst = to4List(dst, "categories", "KEYWORD", &el)
		default:
			if i := slices.IndexFunc(simples, func(s simple) bool { return s.temp == name }); i >= 0 {
				dst = to4Typed(dst, simples[i].four, simples[i].kind, strings.TrimSpace(el.Text()), &el)
			}
		}
	}
	return xml.AppendEnd(dst, "vcard")
}

func addScheme(scheme, address string) string {
	if address == "" || strings.HasPrefix(address, scheme) {
		return address
	}
	return scheme + address
}

// pictureURI is a picture as a URI: data: if the card has it, else where it is.
func pictureURI(el *xml.Element) string {
	data := strip(text(el, "BINVAL", ns.VCard))
	if data == "" {
		return text(el, "EXTVAL", ns.VCard)
	}
	return "data:" + text(el, "TYPE", ns.VCard) + ";base64," + data
}

// to4Typed writes a property with one value, and what it is for.
func to4Typed(dst []byte, name, kind, value string, el *xml.Element) []byte {
	if value == "" {
		return dst
	}
	dst = xml.AppendStart(dst, name, "")
	dst = to4Parameters(dst, el)
	dst = xml.AppendElement(dst, kind, "", value)
	return xml.AppendEnd(dst, name)
}

func to4Parameters(dst []byte, el *xml.Element) []byte {
	var list []string
	for _, k := range kinds {
		if _, ok := el.Find(k.temp, ns.VCard); ok {
			list = append(list, k.four)
		}
	}
	_, preferred := el.Find("PREF", ns.VCard)
	if len(list) == 0 && !preferred {
		return dst
	}
	dst = xml.AppendStart(dst, "parameters", "")
	if len(list) > 0 {
		dst = xml.AppendStart(dst, "type", "")
		for _, k := range list {
			dst = xml.AppendElement(dst, "text", "", k)
		}
		dst = xml.AppendEnd(dst, "type")
	}
	if preferred {
		dst = append(dst, "<pref><integer>1</integer></pref>"...)
	}
	return xml.AppendEnd(dst, "parameters")
}

func to4Parts(dst []byte, name string, parts []part, el *xml.Element) []byte {
	dst = xml.AppendStart(dst, name, "")
	dst = to4Parameters(dst, el)
	for _, p := range parts {
		dst = xml.AppendElement(dst, p.four, "", text(el, p.temp, ns.VCard))
	}
	return xml.AppendEnd(dst, name)
}

// to4Org writes an organisation and its units.
func to4Org(dst []byte, el *xml.Element) []byte {
	dst = xml.AppendStart(dst, "org", "")
	dst = xml.AppendElement(dst, "text", "", text(el, "ORGNAME", ns.VCard))
	dst = to4Texts(dst, "ORGUNIT", el)
	return xml.AppendEnd(dst, "org")
}

func to4List(dst []byte, name, temp string, el *xml.Element) []byte {
	dst = xml.AppendStart(dst, name, "")
	dst = to4Texts(dst, temp, el)
	return xml.AppendEnd(dst, name)
}

func to4Texts(dst []byte, temp string, el *xml.Element) []byte {
	for child := range el.Elements() {
		if child.Is(temp, ns.VCard) {
			dst = xml.AppendElement(dst, "text", "", strings.TrimSpace(child.Text()))
		}
	}
	return dst
}
