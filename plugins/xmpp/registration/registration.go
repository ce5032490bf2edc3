// Package registration implements what in-band registration (XEP-0077) says: how an
// account is asked for, changed and given up within XMPP.
//
// A [Request] is the query of a client; [AppendFields] and [AppendRegistered] are
// what a host says of the fields. A [Preauth] is the token of an invitation, with
// which a client may register (XEP-0445) or subscribe to who has invited it
// (XEP-0379). The package keeps nothing and knows no accounts.
package registration

import (
	"github.com/jabberii/server/plugins/xmpp/stanza"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

// The namespaces.
const (
	NS            = "jabber:iq:register"
	Feature       = "http://jabber.org/features/iq-register" // of a stream
	InviteFeature = "urn:xmpp:ibr-token:0"                   // of a stream (XEP-0445)
	PreauthNS     = "urn:xmpp:pars:0"                        // XEP-0379
)

// A Request is what a client asks for: to register or, if it has an account, to
// change its password, and with Remove to give it up.
type Request struct {
	Username string // as it was written
	Password string
	Remove   bool
}

// Parse reads the query of an IQ of type set, with plain fields or with a data form
// (XEP-0077 section 4), which comes before them. The error is a *stanza.Error, that of
// the tables in XEP-0077 section 3.
func Parse(el *xml.Element) (r Request, err error) {
	if !el.Is("query", NS) {
		return r, &stanza.Error{Condition: stanza.BadRequest}
	}
	n, filled := 0, false
	for child := range el.Elements() {
		n++
		switch {
		case child.Is("remove", NS):
			r.Remove = true
		case filled: // plain fields beside it do not count
		case child.Is("username", NS):
			r.Username = child.Text()
		case child.Is("password", NS):
			r.Password = child.Text()
		case isForm(&child):
			if err := r.fill(&child); err != nil {
				return Request{}, err
			}
			filled = true
		}
	}
	switch {
	case r.Remove && n > 1:
		return r, &stanza.Error{Condition: stanza.BadRequest, Text: "remove stands alone"}
	case !r.Remove && (r.Username == "" || r.Password == ""):
		return r, &stanza.Error{Condition: stanza.NotAcceptable, Text: "a username and a password, please"}
	}
	return r, nil
}

// Append writes the request as an element.
func (r *Request) Append(dst []byte) []byte {
	dst = xml.AppendStart(dst, "query", NS)
	if r.Remove {
		dst = xml.AppendEmpty(dst, "remove", "")
	} else {
		dst = xml.AppendElement(dst, "username", "", r.Username)
		dst = xml.AppendElement(dst, "password", "", r.Password)
	}
	return xml.AppendEnd(dst, "query")
}

// AppendFields writes what a host asks of who registers: plain fields, and a form of the
// same.
func AppendFields(dst []byte, instructions string) []byte {
	dst = xml.AppendStart(dst, "query", NS)
	dst = xml.AppendElement(dst, "instructions", "", instructions)
	dst = xml.AppendEmpty(dst, "username", "")
	dst = xml.AppendEmpty(dst, "password", "")
	dst = fields(instructions).Append(dst)
	return xml.AppendEnd(dst, "query")
}

// AppendRegistered writes what a host has of who is registered: no password.
func AppendRegistered(dst []byte, username string) []byte {
	dst = xml.AppendStart(dst, "query", NS)
	dst = xml.AppendEmpty(dst, "registered", "")
	dst = xml.AppendElement(dst, "username", "", username)
	dst = xml.AppendEmpty(dst, "password", "")
	return xml.AppendEnd(dst, "query")
}

// Preauth returns the token of an element preauth (XEP-0379), and whether el is one.
func Preauth(el *xml.Element) (token string, ok bool) {
	if !el.Is("preauth", PreauthNS) {
		return "", false
	}
	return el.Attr("token"), true
}

// AppendPreauth writes an element preauth.
func AppendPreauth(dst []byte, token string) []byte {
	return xml.AppendEmpty(dst, "preauth", PreauthNS, "token", token)
}
