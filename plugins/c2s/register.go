package c2s

import (
	"context"
	"errors"
	"slices"
	"strconv"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/xmpp/registration"
	"github.com/jabberii/server/plugins/xmpp/stanza"
	"github.com/jabberii/server/plugins/xmpp/stream"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

// A client that has no account says nothing to anybody but this: what it asks for an
// account goes to the host as a packet of kind session, named register, from nobody. It
// has the token of the connection, to which the answer goes, and no session's; no answer
// makes it one of an account. Who has answered needs to remember nothing of the stream:
// an invitation that was found good (XEP-0445) is sent along with what comes after it.

func (a *Args) checkRegister() error {
	for i, host := range a.Register {
		if slices.Contains(a.Anonymous, host) {
			return module.BadArg("registration."+strconv.Itoa(i), "%s is anonymous, where nobody has an account", host)
		}
	}
	return nil
}

// register asks the host's section what a client without an account asks.
func (c *conn) register(ctx context.Context, iq stanza.Stanza) ([]byte, error) {
	payload, _ := iq.Payload()
	tried := attemptOf(ctx)
	attrs := xml.AppendAttr(nil, "address", tried.address)
	if tried.invited != "" {
		attrs = xml.AppendAttr(attrs, "preauth", tried.invited)
	}
	c.hold(iq.To.Domain(), "")
	a, err := c.inquire(ctx, packet.Packet{
		Name: "register", NS: registration.NS, Type: iq.Type, To: iq.To.Domain(), ID: iq.ID, Attrs: string(attrs), Body: payload.Append(nil),
	})
	var ended *stream.Error
	switch {
	case errors.As(err, &ended) && ended.Condition == stream.UnsupportedStanzaType: // nobody in the section knows of it
		return nil, &stanza.Error{Condition: stanza.ServiceUnavailable}
	case err != nil:
		return nil, err
	case a.Type == "error":
		return nil, stanza.ParseError(a.Body)
	}
	if token, ok := registration.Preauth(&payload); ok {
		tried.invited = token
	}
	return a.Body, nil
}
