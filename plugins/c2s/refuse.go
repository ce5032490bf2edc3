package c2s

import (
	"context"
	"strconv"

	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sdk/sessions"
	"github.com/jabberii/server/plugins/xmpp/stanza"
)

// A stanza that does not come to the session is refused by it all the same: with
// stream management (XEP-0198) the client has counted it, and will count the
// error, so that the session has to. It is told in a packet instead of the stanza.

// refuse makes of a stanza that cannot be sent on what tells the session of it.
func refuse(p *packet.Packet, condition stanza.Condition) {
	answerable := stanza.Stanza{Name: p.Name, Type: p.Type}.Answerable()
	p.NS, p.Type, p.Attrs, p.Body = sessions.Refused, "", "", nil
	if answerable {
		p.Body = (&stanza.Error{Condition: condition}).Append(nil)
	}
}

// refused tells the session of a stanza that a handler on the way to it has
// refused. The packet has no number of its own, since only who reads from the
// client gives these, but says which the stanza had.
func (c *conn) refused(ctx context.Context, p *packet.Packet) error {
	c.mu.Lock()
	q := packet.Packet{Kind: packet.Session, Host: c.domain, From: c.address, Near: c.token, Far: c.far}
	c.mu.Unlock()
	q.NS, q.Name, q.ID, q.Lang, q.To, q.Body = sessions.Refused, p.Name, p.ID, p.Lang, p.From, p.Body
	q.Attrs = " seq='" + strconv.FormatUint(p.Seq, 10) + "'"
	return c.s.env.Deliver(ctx, &q)
}
