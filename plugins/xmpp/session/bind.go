package session

import (
	"context"
	"errors"
	"fmt"

	"github.com/jabberii/server/plugins/xmpp/jid"
	"github.com/jabberii/server/plugins/xmpp/ns"
	"github.com/jabberii/server/plugins/xmpp/stanza"
	"github.com/jabberii/server/plugins/xmpp/stream"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

// Bind is resource binding, RFC 6120 part 7, on the initiating side. An empty resource
// lets the server choose. Servers that still want a session to be established behind it
// (RFC 3921) are given what they want.
func Bind(resource string) Feature {
	return func(_ context.Context, n *Negotiator) (Progress, error) {
		if !n.authenticated || n.bound {
			return Skip, nil
		}
		if !n.Offered().Bind {
			return Skip, errors.New("bind: not offered")
		}
		bind := xml.AppendEmpty(nil, "bind", ns.Bind)
		if resource != "" {
			bind = xml.AppendStart(nil, "bind", ns.Bind)
			bind = xml.AppendElement(bind, "resource", "", resource)
			bind = xml.AppendEnd(bind, "bind")
		}
		reply, err := n.request(stanza.Stanza{Name: stanza.IQ, Type: stanza.TypeSet, ID: "bind", Body: bind})
		if err != nil {
			return Skip, fmt.Errorf("bind: %w", err)
		}
		payload, _ := reply.Find("bind", ns.Bind)
		address, _ := payload.Find("jid", ns.Bind)
		if n.local, err = jid.Parse(address.Text()); err != nil {
			return Skip, fmt.Errorf("bind: server's answer: %w", err)
		}
		n.bound = true
		return Done, n.establish()
	}
}

// establish does what RFC 3921 asked for, unless the server says that it need not be.
func (n *Negotiator) establish() error {
	el, ok := n.Offered().Find("session", ns.Session)
	if !ok {
		return nil
	}
	if _, optional := el.Find("optional", ns.Session); optional {
		return nil
	}
	_, err := n.request(stanza.Stanza{
		Name: stanza.IQ, Type: stanza.TypeSet, ID: "session", Body: xml.AppendEmpty(nil, "session", ns.Session),
	})
	if err != nil {
		return fmt.Errorf("session: %w", err)
	}
	return nil
}

// OfferBind is resource binding on the receiving side. The function makes the full JID
// of an account's new session; the resource is what the client asks for, prepared, or
// empty. If its error is a *stanza.Error the client is told, else it is told of an
// internal-server-error; it may try again.
func OfferBind(bind func(ctx context.Context, account jid.JID, resource string) (jid.JID, error)) Offer {
	return offerBind(bind)
}

type offerBind func(ctx context.Context, account jid.JID, resource string) (jid.JID, error)

func (o offerBind) Append(dst []byte, r *Receiver) []byte {
	if !o.Pending(r) {
		return dst
	}
	return stream.AppendBind(dst)
}

func (o offerBind) Pending(r *Receiver) bool { return r.address.IsZero() }

func (o offerBind) Feed(ctx context.Context, r *Receiver, t *xml.Token) (Reply, bool) {
	payload, ok := xml.Find(t.Body, ns.Client, "bind", ns.Bind)
	if !ok || t.Name != stanza.IQ || t.NS != r.acceptor.NS || t.Type != stanza.TypeSet || !o.Pending(r) {
		return Reply{}, false
	}
	iq, err := stanza.FromToken(t)
	if err == nil {
		r.address, err = o.bind(ctx, r.account, payload)
	}
	if err != nil {
		var e *stanza.Error
		if !errors.As(err, &e) {
			e = &stanza.Error{Condition: stanza.InternalServerError}
		}
		return Reply{Out: iq.ErrorReply(e).Append(nil, r.space())}, true
	}
	body := xml.AppendStart(nil, "bind", ns.Bind)
	body = xml.AppendElement(body, "jid", "", r.address.String())
	result := iq.Result(xml.AppendEnd(body, "bind"))
	result.To, result.From = jid.JID{}, jid.JID{}
	return Reply{Out: result.Append(nil, r.space())}, true
}

func (o offerBind) bind(ctx context.Context, account jid.JID, payload xml.Element) (jid.JID, error) {
	wanted := ""
	if el, ok := payload.Find("resource", ns.Bind); ok {
		full, err := account.WithResource(el.Text())
		if err != nil {
			return jid.JID{}, &stanza.Error{Condition: stanza.BadRequest, Text: err.Error()}
		}
		wanted = full.Resource()
	}
	return o(ctx, account, wanted)
}

// space is the namespace that a stanza has to spell out where it stands alone.
func (r *Receiver) space() string {
	if r.acceptor.Framing != Document {
		return r.acceptor.NS
	}
	return ""
}

// Advertise offers features that the owner of the connection handles itself, behind
// the authentication: raw elements with their namespaces. Where the session is bound
// within the authentication, resource binding is left out. It holds nothing up, and so
// has to stand in front of OfferBind.
func Advertise(features []byte) Offer {
	o := advertise{unbound: features}
	for el := range xml.Elements(features, ns.Stream) {
		if el.Is("bind", ns.Bind) {
			continue
		}
		o.bound = el.Append(o.bound)
		if !el.Is("sm", ns.StreamManagement) {
			o.managed = el.Append(o.managed)
		}
	}
	return o
}

type advertise struct{ unbound, bound, managed []byte }

func (o advertise) Append(dst []byte, r *Receiver) []byte {
	switch {
	case r.account.IsZero():
		return dst
	case r.address.IsZero():
		return append(dst, o.unbound...)
	case r.managed:
		return append(dst, o.managed...)
	}
	return append(dst, o.bound...)
}

func (o advertise) Pending(*Receiver) bool { return false }

func (o advertise) Feed(context.Context, *Receiver, *xml.Token) (Reply, bool) { return Reply{}, false }
