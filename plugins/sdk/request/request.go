// Package request is for modules that answer what is asked of a host or of an
// account: an IQ of type get or set to an address without resource (RFC 6121
// section 8.5). They stand in the chain of a service section before the session
// manager, which answers what nobody else has claimed.
//
//	func (v *version) Handle(ctx context.Context, p *packet.Packet) (packet.Verdict, error) {
//		el, ok := request.ToHost(p)
//		if !ok || el.NS() != "jabber:iq:version" {
//			return packet.Pass, nil
//		}
//		return packet.Claim, v.env.Deliver(ctx, request.Result(p, body))
//	}
package request

import (
	"errors"

	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/xmpp/ns"
	"github.com/jabberii/server/plugins/xmpp/stanza"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

// ToHost returns the payload of a request to a host itself, and whether p is one.
// For anything but an IQ it costs a comparison.
func ToHost(p *packet.Packet) (payload xml.Element, ok bool) {
	if !Is(p) || packet.Local(p.To) != "" {
		return payload, false
	}
	return xml.First(p.Body, ns.Client)
}

// ToAccount returns the payload of a request to an account, and whether p is
// one.
func ToAccount(p *packet.Packet) (payload xml.Element, ok bool) {
	if !Is(p) || packet.Local(p.To) == "" {
		return payload, false
	}
	return xml.First(p.Body, ns.Client)
}

// Is reports whether p asks a host or an account, not one of its sessions.
func Is(p *packet.Packet) bool {
	return p.Name == "iq" && p.Kind == packet.Normal && (p.Type == "get" || p.Type == "set") && packet.Resource(p.To) == ""
}

// IsOwn reports whether a request comes from the account that it is to.
func IsOwn(p *packet.Packet) bool { return packet.Bare(p.From) == p.To }

// Result is the answer to a request, with a body that may be nil.
func Result(p *packet.Packet, body []byte) *packet.Packet {
	return &packet.Packet{Kind: packet.Normal, To: p.From, From: p.To, Name: "iq", Type: "result", ID: p.ID, Body: body}
}

// Reject returns an error as senders are told it: that of a package of XMPP,
// *stanza.Error, as a *packet.Reject, any other as it is.
func Reject(err error) error {
	var e *stanza.Error
	if !errors.As(err, &e) {
		return err
	}
	return &packet.Reject{Condition: string(e.Condition), Type: string(e.Type), Text: e.Text}
}
