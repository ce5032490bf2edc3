package stream

import (
	"cmp"
	"errors"

	"github.com/jabberii/server/plugins/xmpp/ns"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

// Condition says why a stream ends, RFC 6120, 4.9.3.
type Condition string

// All conditions.
const (
	BadFormat              Condition = "bad-format"
	BadNamespacePrefix     Condition = "bad-namespace-prefix"
	Conflict               Condition = "conflict"
	ConnectionTimeout      Condition = "connection-timeout"
	HostGone               Condition = "host-gone"
	HostUnknown            Condition = "host-unknown"
	ImproperAddressing     Condition = "improper-addressing"
	InternalServerError    Condition = "internal-server-error"
	InvalidFrom            Condition = "invalid-from"
	InvalidNamespace       Condition = "invalid-namespace"
	InvalidXML             Condition = "invalid-xml"
	NotAuthorized          Condition = "not-authorized"
	NotWellFormed          Condition = "not-well-formed"
	PolicyViolation        Condition = "policy-violation"
	RemoteConnectionFailed Condition = "remote-connection-failed"
	Reset                  Condition = "reset"
	ResourceConstraint     Condition = "resource-constraint"
	RestrictedXML          Condition = "restricted-xml"
	SeeOtherHost           Condition = "see-other-host" // with a host
	SystemShutdown         Condition = "system-shutdown"
	UndefinedCondition     Condition = "undefined-condition" // explained by App
	UnsupportedEncoding    Condition = "unsupported-encoding"
	UnsupportedFeature     Condition = "unsupported-feature"
	UnsupportedStanzaType  Condition = "unsupported-stanza-type"
	UnsupportedVersion     Condition = "unsupported-version"
)

// Defined reports whether RFC 6120 has the condition.
func (c Condition) Defined() bool {
	switch c {
	case BadFormat, BadNamespacePrefix, Conflict, ConnectionTimeout, HostGone, HostUnknown,
		ImproperAddressing, InternalServerError, InvalidFrom, InvalidNamespace, InvalidXML,
		NotAuthorized, NotWellFormed, PolicyViolation, RemoteConnectionFailed, Reset,
		ResourceConstraint, RestrictedXML, SeeOtherHost, SystemShutdown, UndefinedCondition,
		UnsupportedEncoding, UnsupportedFeature, UnsupportedStanzaType, UnsupportedVersion:
		return true
	}
	return false
}

// Error is a stream error; the side that sends it closes the stream then. As a
// Go error it reads "stream error condition: text".
type Error struct {
	Condition Condition
	Text      string // for people, may be empty
	Lang      string // of the text; "" is [Lang]
	Host      string // with SeeOtherHost: where to connect instead, host or host:port
	App       []byte // an element that says more, self-contained; nil is none
}

func (e *Error) Error() string {
	if e.Text == "" {
		return "stream error " + string(e.Condition)
	}
	return "stream error " + string(e.Condition) + ": " + e.Text
}

// Append writes the element error. It may stand in either framing; [Close] or
// [CloseFrame] has to follow it.
func (e *Error) Append(dst []byte) []byte {
	condition, host := e.Condition, e.Host
	if !condition.Defined() {
		condition = UndefinedCondition
	}
	if condition != SeeOtherHost {
		host = ""
	}
	dst = append(dst, "<stream:error xmlns:stream='"+ns.Stream+"'>"...)
	dst = xml.AppendElement(dst, string(condition), ns.StreamErrors, host)
	if e.Text != "" {
		dst = xml.AppendElement(dst, "text", ns.StreamErrors, e.Text, "xml:lang", cmp.Or(e.Lang, Lang))
	}
	dst = append(dst, e.App...)
	return append(dst, "</stream:error>"...)
}

// ParseError reads the element error. ok is false if the token is something
// else. An unknown condition is undefined-condition.
func ParseError(t *xml.Token) (e *Error, ok bool) {
	if t.Kind != xml.Child || t.Name != "error" || t.NS != ns.Stream {
		return nil, false
	}
	e = &Error{Condition: UndefinedCondition}
	found := false
	for el := range xml.Elements(t.Body, ns.Stream) {
		name := el.Name()
		switch {
		case el.NS() != ns.StreamErrors:
			if e.App == nil {
				e.App = el.Append(nil)
			}
		case name == "text":
			if e.Text == "" {
				e.Text, e.Lang = el.Text(), el.Lang()
			}
		case found:
		case name == "xml-not-well-formed": // of RFC 3920
			e.Condition, found = NotWellFormed, true
		case Condition(name).Defined():
			e.Condition, found = Condition(name), true
			if e.Condition == SeeOtherHost {
				e.Host = el.Text()
			}
		}
	}
	return e, true
}

// ErrorOf is the stream error to answer err with: err itself if it is one, the
// condition that fits if it comes from the scanner, and otherwise
// internal-server-error without a text, because the other side must not learn it.
func ErrorOf(err error) *Error {
	var own *Error
	if errors.As(err, &own) {
		return own
	}
	var syntax *xml.SyntaxError
	if !errors.As(err, &syntax) {
		return &Error{Condition: InternalServerError}
	}
	return &Error{Condition: conditionOf(syntax), Text: syntax.Reason}
}

func conditionOf(err error) Condition {
	switch {
	case errors.Is(err, xml.ErrRestricted):
		return RestrictedXML
	case errors.Is(err, xml.ErrEncoding):
		return UnsupportedEncoding
	case errors.Is(err, xml.ErrFormat):
		return BadFormat
	case errors.Is(err, xml.ErrLimit):
		return PolicyViolation
	}
	return NotWellFormed
}
