package session

import (
	"context"
	"errors"
	"fmt"

	"github.com/jabberii/server/plugins/xmpp/jid"
	"github.com/jabberii/server/plugins/xmpp/registration"
	"github.com/jabberii/server/plugins/xmpp/stanza"
	"github.com/jabberii/server/plugins/xmpp/stream"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

// Register asks for an account before the login, on the initiating side (XEP-0077,
// XEP-0445): it stands behind StartTLS and in front of SASL. Token is that of an
// invitation, "" without one. The username is that of the stream's own address. If the
// server refuses, the error is its *stanza.Error.
func Register(password, token string) Feature {
	return func(_ context.Context, n *Negotiator) (Progress, error) {
		if n.authenticated || n.registered {
			return Skip, nil
		}
		if _, offered := n.Offered().Find("register", registration.Feature); !offered {
			return Skip, errors.New("register: not offered")
		}
		if token != "" {
			if err := n.ask(registration.AppendPreauth(nil, token)); err != nil {
				return Skip, fmt.Errorf("preauth: %w", err)
			}
		}
		r := registration.Request{Username: n.Local().Local(), Password: password}
		if err := n.ask(r.Append(nil)); err != nil {
			return Skip, fmt.Errorf("register: %w", err)
		}
		n.registered = true
		return Done, nil
	}
}

// ask sends the host a request of type set before the login, and waits for its answer.
func (n *Negotiator) ask(payload []byte) error {
	_, err := n.request(stanza.Stanza{Name: stanza.IQ, Type: stanza.TypeSet, ID: stream.NewID(), To: n.Remote(), Body: payload})
	return err
}

// maxAsked bounds what one stream may ask before its login.
const maxAsked = 20

// OfferRegistration is the feature of XEP-0077 and XEP-0445 on the receiving side: what
// clients ask before they log in goes to the acceptor's Register. It stands in front of
// SASL.
func OfferRegistration(host jid.JID) Offer { return offerRegistration{host} }

type offerRegistration struct{ host jid.JID }

func (o offerRegistration) Append(dst []byte, r *Receiver) []byte {
	if !r.account.IsZero() {
		return dst
	}
	dst = xml.AppendEmpty(dst, "register", registration.Feature)
	return xml.AppendEmpty(dst, "register", registration.InviteFeature)
}

func (offerRegistration) Pending(*Receiver) bool { return false }

func (o offerRegistration) Feed(ctx context.Context, r *Receiver, t *xml.Token) (Reply, bool) {
	if t.Name != stanza.IQ || t.NS != r.acceptor.NS || !r.account.IsZero() {
		return Reply{}, false
	}
	iq, err := stanza.FromToken(t)
	payload, ok := iq.Payload()
	if err != nil || !ok || !iq.IsRequest() || iq.ID == "" || !iq.To.IsZero() && iq.To != o.host ||
		payload.NS() != registration.NS && payload.NS() != registration.PreauthNS {
		return Reply{}, false
	}
	if r.asked++; r.asked > maxAsked {
		return r.Fail(&stream.Error{Condition: stream.PolicyViolation, Text: "too many attempts"}), true
	}
	iq.From, iq.To = jid.JID{}, o.host
	answer := stanza.Stanza{Name: stanza.IQ, Type: stanza.TypeResult, ID: iq.ID, From: o.host}
	answer.Body, err = r.acceptor.Register(ctx, iq)
	var ends *stream.Error
	var refused *stanza.Error
	switch {
	case errors.As(err, &ends), ctx.Err() != nil:
		return r.Fail(err), true
	case errors.As(err, &refused):
		answer.Type, answer.Body = stanza.TypeError, refused.Append(nil)
	case err != nil:
		answer.Type, answer.Body = stanza.TypeError, (&stanza.Error{Condition: stanza.InternalServerError}).Append(nil)
	}
	return Reply{Out: answer.Append(nil, r.space()), Err: err}, true
}
