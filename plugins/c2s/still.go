package c2s

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sdk/account"
	"github.com/jabberii/server/plugins/sdk/sessions"
	"github.com/jabberii/server/plugins/sdk/xdb"
	"github.com/jabberii/server/plugins/xmpp/ns"
	"github.com/jabberii/server/plugins/xmpp/sasl"
	"github.com/jabberii/server/plugins/xmpp/stream"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

// What a client has proved may be of no worth any more when it gets its session: its
// account has another password meanwhile, or is disabled or removed, and its sessions
// were ended before there was this one. Who gives it the session is told when that was
// proved, and knows whether sessions of the account were ended since (packet.Recheck).
// Then the credentials are read again, before the client is told: a change that neither
// reading has seen comes after both, and ends the session that there is now.

// read returns the credentials of an account, and notes which ones they are.
func (a *attempt) read(ctx context.Context, store *xdb.Store, owner string) (account.Credentials, error) {
	a.proved = time.Now()
	credentials, err := account.Read(ctx, store, owner)
	a.since = credentials.Since()
	return credentials, err
}

// admit is account.Admit, and notes what it has read.
func (a *attempt) admit(ctx context.Context, store *xdb.Store, owner string) error {
	credentials, err := a.read(ctx, store, owner)
	if err != nil {
		return err
	}
	return credentials.Admit()
}

// date adds to what asks for a session when its client has proved whose it is. It comes
// before what the client says itself, of which the first counts.
func (a *attempt) date(p *packet.Packet) {
	if a == nil || a.proved.IsZero() {
		return
	}
	switch p.NS {
	case "":
		if _, ok := xml.Find(p.Body, ns.Client, "bind", ns.Bind); p.Name != "iq" || !ok {
			return
		}
	case ns.Bind2:
	default:
		return
	}
	p.Attrs = string(xml.AppendAttr(nil, sessions.Proved, strconv.FormatInt(a.proved.UnixMilli(), 10))) + p.Attrs
}

// recheck looks at the packet that gives a client its session. If the client would not get
// it any more, the session is ended, and the packet becomes the end of the stream.
func (c *conn) recheck(ctx context.Context, tried *attempt, p *packet.Packet) error {
	c.mu.Lock()
	domain, address := c.domain, packet.Bare(c.address)
	c.mu.Unlock()
	if c.s.isAnonymous(domain) {
		return nil
	}
	now, err := account.Read(ctx, xdb.New(c.s.env, c.s.env.Section()), address)
	if err == nil {
		err = now.Admit()
	}
	end := packet.Packet{Kind: p.Kind, Flags: p.Flags, Near: p.Near, Far: p.Far, Seq: p.Seq, To: p.To, Name: "end", Type: string(stream.NotAuthorized)}
	switch {
	case err == nil && now.Since() == tried.since:
		return nil
	case err == nil:
		end.Type, end.Body = string(stream.Reset), streamText("Password changed")
	case errors.Is(err, sasl.AccountDisabled):
		end.Body = streamText("Account disabled")
	case errors.Is(err, sasl.ErrNoAccount):
	default:
		end.Type = string(stream.InternalServerError)
		c.s.env.Log().Warn("whether an account may still log in: "+err.Error(), "account", address)
	}
	last := packet.Packet{Kind: packet.Session, Host: domain, From: address, Near: c.token, Far: p.Near, Name: "close", Type: "end"}
	*p = end
	return c.s.env.Deliver(ctx, &last)
}

func streamText(text string) []byte {
	return xml.AppendElement(nil, "text", ns.StreamErrors, text, "xml:lang", "en")
}
