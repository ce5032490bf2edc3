// Package stanza implements what messages, presences and IQs have in common:
// their start tag, their types, and errors, RFC 6120, 8.
//
// A [Stanza] is the start tag in fields and the content as bytes, its body.
// [FromToken] makes one of what an [xml.Scanner] has found, [Stanza.Append]
// writes it:
//
//	ping := stanza.Stanza{Name: stanza.IQ, Type: stanza.TypeGet, ID: "1", To: server}
//	ping.Body = xml.AppendEmpty(nil, "ping", ns.Ping)
//	conn.Write(ping.Append(nil, ""))
//
// A body is self-contained and immutable: stanzas share it, and who changes it
// puts a new one in place. A child without xmlns is in the namespace of the
// stanza, which is jabber:client to whoever looks into it; a server's or a
// component's stream has another name for the same.
package stanza

import (
	"bytes"
	"iter"

	"github.com/jabberii/server/plugins/xmpp/jid"
	"github.com/jabberii/server/plugins/xmpp/ns"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

// The names of stanzas.
const (
	Message  = "message"
	Presence = "presence"
	IQ       = "iq"
)

// The types of stanzas (RFC 6120, 8.2.3, RFC 6121, 4.7.1 and 5.2.2). A message
// without type is normal, a presence without type says that somebody is there.
const (
	TypeError = "error" // of all three

	TypeChat      = "chat"
	TypeGroupchat = "groupchat"
	TypeHeadline  = "headline"
	TypeNormal    = "normal"

	TypeUnavailable  = "unavailable"
	TypeSubscribe    = "subscribe"
	TypeSubscribed   = "subscribed"
	TypeUnsubscribe  = "unsubscribe"
	TypeUnsubscribed = "unsubscribed"
	TypeProbe        = "probe"

	TypeGet    = "get"
	TypeSet    = "set"
	TypeResult = "result"
)

// IsName reports whether an element with this name is a stanza, provided that
// it is in the namespace of stanzas; see [IsNS].
func IsName(name string) bool {
	return name == Message || name == Presence || name == IQ
}

// IsNS reports whether stanzas are in this namespace on some stream.
func IsNS(space string) bool {
	switch space {
	case ns.Client, ns.Server, ns.ComponentAccept, ns.ComponentConnect:
		return true
	}
	return false
}

// IsType reports whether a stanza of this name may have this type.
func IsType(name, kind string) bool {
	switch name {
	case Message:
		switch kind {
		case "", TypeChat, TypeGroupchat, TypeHeadline, TypeNormal, TypeError:
			return true
		}
	case Presence:
		switch kind {
		case "", TypeUnavailable, TypeSubscribe, TypeSubscribed, TypeUnsubscribe, TypeUnsubscribed, TypeProbe, TypeError:
			return true
		}
	case IQ:
		switch kind {
		case TypeGet, TypeSet, TypeResult, TypeError:
			return true
		}
	}
	return false
}

// Stanza is a message, a presence or an IQ. It is a value; copies share the
// bytes, which don't change.
type Stanza struct {
	Name     string // Message, Presence or IQ
	Type     string // "" is none
	ID       string
	Lang     string // of its text, xml:lang
	To, From jid.JID
	Rest     []byte // other attributes, as in [xml.Token]
	Body     []byte // what is between the tags, as in [xml.Token]
}

// FromToken makes a stanza of a token, of which it copies what it needs. Whether
// the element is a stanza at all is the caller's to know; see [IsName]. If an
// address is malformed the error is an [*Error] with the condition
// jid-malformed, and the stanza lacks that address.
func FromToken(t *xml.Token) (Stanza, error) {
	s := Stanza{Name: t.Name, Type: t.Type, ID: string(t.ID), Lang: t.Lang}
	s.Rest, s.Body = bytes.Clone(t.Rest), bytes.Clone(t.Body)
	var errTo, errFrom error
	if t.To != nil {
		s.To, errTo = jid.Parse(string(t.To))
	}
	if t.From != nil {
		s.From, errFrom = jid.Parse(string(t.From))
	}
	if errTo != nil {
		return s, &Error{Condition: JIDMalformed, Text: errTo.Error()}
	}
	if errFrom != nil {
		return s, &Error{Condition: JIDMalformed, Text: errFrom.Error()}
	}
	return s, nil
}

// Append writes the stanza. The namespace is spelled out unless it is empty,
// which is right on a stream that has it as its default.
func (s Stanza) Append(dst []byte, space string) []byte {
	dst = append(append(dst, '<'), s.Name...)
	if space != "" {
		dst = xml.AppendAttr(dst, "xmlns", space)
	}
	dst = appendJID(dst, "to", s.To)
	dst = appendJID(dst, "from", s.From)
	dst = appendAttr(dst, "type", s.Type)
	dst = appendAttr(dst, "id", s.ID)
	dst = appendAttr(dst, "xml:lang", s.Lang)
	dst = append(dst, s.Rest...)
	if len(s.Body) == 0 {
		return append(dst, "/>"...)
	}
	dst = append(dst, '>')
	dst = append(dst, s.Body...)
	return xml.AppendEnd(dst, s.Name)
}

func appendJID(dst []byte, name string, j jid.JID) []byte {
	return appendAttr(dst, name, j.String())
}

func appendAttr(dst []byte, name, value string) []byte {
	if value == "" {
		return dst
	}
	return xml.AppendAttr(dst, name, value)
}

// Payload is the first element in the stanza: what an IQ is about.
func (s Stanza) Payload() (xml.Element, bool) { return xml.First(s.Body, ns.Client) }

// Elements iterates over the elements in the stanza, those of the stanza's own
// namespace being in jabber:client.
func (s Stanza) Elements() iter.Seq[xml.Element] {
	return xml.Elements(s.Body, ns.Client)
}

// Find returns the first element in the stanza with this name and namespace.
func (s Stanza) Find(name, space string) (xml.Element, bool) {
	return xml.Find(s.Body, ns.Client, name, space)
}

// Reply is the way back: a stanza of the same name and id, with to and from
// exchanged, without type, language, other attributes and body.
func (s Stanza) Reply() Stanza {
	return Stanza{Name: s.Name, ID: s.ID, To: s.From, From: s.To}
}

// Result answers an IQ with a payload, which may be nil.
func (s Stanza) Result(body []byte) Stanza {
	r := s.Reply()
	r.Type, r.Body = TypeResult, body
	return r
}

// ErrorReply answers with an error; see also [Stanza.Answerable].
func (s Stanza) ErrorReply(e *Error) Stanza {
	r := s.Reply()
	r.Type, r.Body = TypeError, e.Append(nil)
	return r
}

// Answerable reports whether an error may be sent in reply: never to an error,
// an IQ result, or a presence that says that somebody is gone or answers a
// subscription.
func (s Stanza) Answerable() bool {
	switch s.Type {
	case TypeError:
		return false
	case TypeResult:
		return s.Name != IQ
	case TypeUnavailable, TypeUnsubscribe, TypeUnsubscribed, TypeSubscribed, TypeProbe:
		return s.Name != Presence
	}
	return true
}

// IsRequest reports whether the stanza is an IQ that has to be answered.
func (s Stanza) IsRequest() bool {
	return s.Name == IQ && (s.Type == TypeGet || s.Type == TypeSet)
}
