// Package stream implements the frame of an XMPP stream: its header, its
// features, its errors and its end, RFC 6120, 4, and the same in the framing of
// WebSocket, RFC 7395.
//
// A stream is a pair of XML documents, one a direction, that grow as long as the
// connection lasts. Each begins with a [Header]. The receiving side then names
// its [Features]; when the last one that has to be negotiated is, stanzas flow.
// An [Error] ends the stream, as does [Close]. After STARTTLS and SASL both
// sides begin again with a header, on the same connection.
//
// The package reads tokens of an [xml.Scanner] and appends to bytes; it does no
// I/O. What is said between header and stanzas, and in which order, is the
// negotiator's matter.
package stream

import (
	"crypto/rand"
	"slices"
	"strconv"
	"strings"

	"github.com/jabberii/server/plugins/xmpp/jid"
	"github.com/jabberii/server/plugins/xmpp/ns"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

// Version is the version of XMPP that RFC 6120 describes. A header without one,
// as components send it, is of the time before.
const Version = "1.0"

// Lang is the language of our own texts: it is what the receiving side answers with in
// its header (RFC 6120 section 4.7.4), whatever the initiating side speaks.
const Lang = "en"

// Close ends a stream, on TCP.
const Close = "</stream:stream>"

// CloseFrame ends a stream on WebSocket.
const CloseFrame = "<close xmlns='" + ns.Framing + "'/>"

// Header is the start tag of a stream.
type Header struct {
	NS       string // of the stanzas: ns.Client, ns.Server, ns.ComponentAccept; "" on WebSocket
	To, From jid.JID
	ID       string // chosen by the receiving side; see [NewID]
	Version  string // normally [Version]
	Lang     string // of texts that name no language of their own
	Dialback bool   // the prefix db is declared for ns.Dialback, XEP-0220
}

// Append writes the header as it begins a stream on TCP, with the XML declaration.
// Stanzas then need no namespace, and elements of the stream have the prefix
// stream.
func (h Header) Append(dst []byte) []byte {
	dst = append(dst, "<?xml version='1.0'?><stream:stream"...)
	dst = xml.AppendAttr(dst, "xmlns", h.NS)
	dst = xml.AppendAttr(dst, "xmlns:stream", ns.Stream)
	if h.Dialback {
		dst = xml.AppendAttr(dst, "xmlns:db", ns.Dialback)
	}
	return append(h.appendAttrs(dst), '>')
}

// AppendFrame writes the header as the element open of WebSocket, where each
// message spells out its namespaces.
func (h Header) AppendFrame(dst []byte) []byte {
	dst = append(dst, "<open"...)
	dst = xml.AppendAttr(dst, "xmlns", ns.Framing)
	return append(h.appendAttrs(dst), "/>"...)
}

func (h Header) appendAttrs(dst []byte) []byte {
	for _, attr := range [...]struct{ name, value string }{
		{"to", h.To.String()},
		{"from", h.From.String()},
		{"id", h.ID},
		{"version", h.Version},
		{"xml:lang", h.Lang},
	} {
		if attr.value != "" {
			dst = xml.AppendAttr(dst, attr.name, attr.value)
		}
	}
	return dst
}

// Reply is the header of the way back: to and from are exchanged, the namespace
// stays, the version is the lower one of theirs and ours, the language is [Lang],
// and there is a new id.
func (h Header) Reply() Header {
	h.To, h.From = h.From, h.To
	h.ID, h.Lang = NewID(), Lang
	if n, _ := major(h.Version); n >= 1 {
		h.Version = Version
	}
	return h
}

// ParseHeader reads the start tag of a stream, an [xml.Open] token, or the
// element open of WebSocket. The error is an
// [*Error] to be sent to the other side: invalid-namespace,
// improper-addressing, unsupported-version. The header has, even then, whatever
// could be read. Whether the addresses and the namespace are the right ones is
// for the caller to judge.
func ParseHeader(t *xml.Token) (Header, error) {
	h := Header{NS: t.Default, ID: string(t.ID), Version: string(t.Attr("version")), Lang: t.Lang}
	switch {
	case t.Kind == xml.Open && t.Name == "stream" && t.NS == ns.Stream:
		h.Dialback = slices.Contains(t.Declared, ns.Dialback)
	case t.Name == "open" && t.NS == ns.Framing:
		h.NS = ""
	case t.Name == "stream" && t.Kind == xml.Open:
		return h, &Error{Condition: InvalidNamespace}
	default:
		return h, &Error{Condition: BadFormat, Text: "no stream header"}
	}
	var err error
	if h.To, err = address(t.To); err != nil {
		return h, err
	}
	if h.From, err = address(t.From); err != nil {
		return h, err
	}
	if _, ok := major(h.Version); !ok {
		return h, &Error{Condition: UnsupportedVersion}
	}
	return h, nil
}

func address(b []byte) (jid.JID, error) {
	if len(b) == 0 {
		return jid.JID{}, nil
	}
	j, err := jid.Parse(string(b))
	if err != nil {
		return j, &Error{Condition: ImproperAddressing, Text: err.Error()}
	}
	return j, nil
}

// major is the major number of a version, 0 if there is no version. Leading
// zeros don't count (RFC 6120, 4.7.5).
func major(version string) (n uint64, ok bool) {
	if version == "" {
		return 0, true
	}
	first, second, ok := strings.Cut(version, ".")
	n, err := strconv.ParseUint(first, 10, 32)
	if err != nil || !ok {
		return 0, false
	}
	_, err = strconv.ParseUint(second, 10, 32)
	return n, err == nil
}

// NewID is a stream id that nobody can guess: 128 bits, as text of 26 letters and
// digits.
func NewID() string { return rand.Text() }
