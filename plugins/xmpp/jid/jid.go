// Package jid implements the addresses of XMPP, RFC 7622.
//
// An address is localpart@domainpart/resourcepart, where the first and the last
// are optional:
//
//	example.org              a server, a component
//	ann@example.org          an account, a room: a bare JID
//	ann@example.org/phone    a connected client, an occupant: a full JID
//
// Two addresses are the same if they are equal byte for byte after preparation.
// [Parse] prepares: the localpart is mapped to lower case, to narrow width and to
// NFC and may hold letters, digits and most printable ASCII (the PRECIS profile
// UsernameCaseMapped); the domainpart is an IP address or a domain name in
// lower case, of which internationalized labels are in Unicode, not in
// Punycode; the resourcepart may hold nearly everything and keeps its case
// (the PRECIS profile OpaqueString). A [JID] is therefore always prepared, and
// comparing with == or using it as the key of a map does the right thing.
//
// An address in ASCII that is already prepared, as nearly all are, costs one
// pass over it and no memory beyond the string. A [Cache] keeps the others
// cheap, and avoids making strings when addresses come as bytes.
package jid

import (
	"cmp"
	"strings"
)

// MaxPart is the limit of each part, in bytes after preparation.
const MaxPart = 1023

// JID is a prepared address. It is a small value: pass it by value, compare it
// with ==, use it as a key. The zero JID is no address; see [JID.IsZero].
type JID struct {
	text   string
	domain uint16 // where the domainpart starts
	end    uint16 // where the domainpart ends
}

// IsZero reports whether j is the zero JID, which is no address.
func (j JID) IsZero() bool { return j == JID{} }

// String is the whole address, and "" of the zero JID. It doesn't allocate.
func (j JID) String() string { return j.text }

// Local is the localpart, "" if there is none.
func (j JID) Local() string {
	if j.domain == 0 {
		return ""
	}
	return j.text[:j.domain-1]
}

// Domain is the domainpart, in Unicode. An IPv6 address is in brackets.
func (j JID) Domain() string { return j.text[j.domain:j.end] }

// Resource is the resourcepart, "" if there is none.
func (j JID) Resource() string {
	if int(j.end) == len(j.text) {
		return ""
	}
	return j.text[j.end+1:]
}

// Bare is j without its resourcepart. It doesn't allocate.
func (j JID) Bare() JID {
	j.text = j.text[:j.end]
	return j
}

// Server is the domainpart of j as an address. It doesn't allocate.
func (j JID) Server() JID {
	return JID{text: j.text[j.domain:j.end], end: j.end - j.domain}
}

// IsBare reports whether j has no resourcepart.
func (j JID) IsBare() bool { return int(j.end) == len(j.text) }

// IsServer reports whether j is a domainpart alone.
func (j JID) IsServer() bool { return j.domain == 0 && j.IsBare() && !j.IsZero() }

// Equal reports whether both are the same address. It is j == k.
func (j JID) Equal(k JID) bool { return j == k }

// Compare orders addresses by domainpart, localpart and resourcepart, so that
// the addresses of one server, and those of one account, are neighbours.
func (j JID) Compare(k JID) int {
	return cmp.Or(
		strings.Compare(j.Domain(), k.Domain()),
		strings.Compare(j.Local(), k.Local()),
		strings.Compare(j.Resource(), k.Resource()),
	)
}

// WithResource is the bare address of j with this resourcepart, which is prepared.
// An empty resource makes it the bare address.
func (j JID) WithResource(resource string) (JID, error) {
	if j.IsZero() {
		return JID{}, &Error{Part: Domainpart, Reason: "is empty"}
	}
	bare := j.Bare()
	if resource == "" {
		return bare, nil
	}
	prepared, err := prepareResource(resource)
	if err != nil {
		return JID{}, err
	}
	bare.text += "/" + prepared
	return bare, nil
}

// MarshalText is the address as bytes, for encoders such as encoding/json.
func (j JID) MarshalText() ([]byte, error) { return []byte(j.text), nil }

// UnmarshalText parses an address. An empty text is the zero JID.
func (j *JID) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*j = JID{}
		return nil
	}
	parsed, err := Parse(string(text))
	if err != nil {
		return err
	}
	*j = parsed
	return nil
}
