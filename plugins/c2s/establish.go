package c2s

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"strings"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sdk/element"
	"github.com/jabberii/server/plugins/xmpp/jid"
	"github.com/jabberii/server/plugins/xmpp/ns"
	"github.com/jabberii/server/plugins/xmpp/registration"
	"github.com/jabberii/server/plugins/xmpp/sasl"
	"github.com/jabberii/server/plugins/xmpp/session"
	"github.com/jabberii/server/plugins/xmpp/stanza"
	"github.com/jabberii/server/plugins/xmpp/stream"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

// A client that logs in by SASL2 is given its session within the login. The connection
// then asks for it as it would for its client, waits for the answer, and has it told
// together with the success. What else comes for the client waits until it was told.

// enter makes the connection one that sessions know: of an account, whose client has
// proved that it is its.
func (c *conn) enter(account jid.JID) { c.enterAs(account.Domain(), account.String()) }

// enterAs is enter for a host; the address of a client that has no account is "".
func (c *conn) enterAs(domain, address string) {
	c.mu.Lock()
	c.domain, c.address = domain, address
	c.mu.Unlock()
	if c.source == nil {
		c.source = c.s.env.Source(module.SourceConfig{Window: window, Own: true, Batch: true, Pass: c.pass})
		c.s.enter(c)
	}
}

// isOf reports whether the connection was entered for an account: a client may have
// tried another before.
func (c *conn) isOf(account jid.JID) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return packet.Bare(c.address) == account.String()
}

// establish gets the client the session that it wants.
func (c *conn) establish(ctx context.Context, in session.Inline) (e session.Established, err error) {
	c.hold(in.Account.Domain(), in.Account.String())
	if r := in.Resume; r != nil {
		attrs := xml.AppendAttr(xml.AppendAttr(nil, "previd", r.Previous), "h", r.Handled)
		a, err := c.inquire(ctx, packet.Packet{Name: "resume", NS: ns.StreamManagement, Attrs: string(attrs)})
		if err != nil {
			return e, err
		}
		e.Out = element.Append(e.Out, plain(a))
		if a.Name == "resumed" {
			e.Resumed, e.Managed = true, true
			e.Address, err = jid.Parse(a.To)
			return e, err
		}
	}
	if b := in.Bind; b != nil {
		p := packet.Packet{Name: "bind", NS: ns.Bind2, Body: b.Features}
		if b.Tag != "" {
			p.Body = append(xml.AppendElement(nil, "tag", ns.Bind2, b.Tag), p.Body...)
		}
		if in.Agent != "" {
			p.Attrs = string(xml.AppendAttr(nil, "client", c.s.clientID(ctx, in)))
		}
		a, err := c.inquire(ctx, p)
		if err != nil {
			return e, err
		}
		if a.Name != "bound" {
			return e, noSession(&a)
		}
		e.Out, e.Managed = element.Append(e.Out, plain(a)), isManaging(&a)
		e.Address, err = jid.Parse(a.To)
		return e, err
	}
	return e, nil
}

// noSession is why a login fails that is fine but for its session, such as one too
// many. XEP-0386 has no answer for that. Of what a login may fail with, this one has
// clients try again later, and keep their password and their token.
func noSession(a *packet.Packet) error {
	why := stanza.ParseError(a.Body)
	return &sasl.Failure{Condition: sasl.TemporaryAuthFailure, Text: why.Text, Cause: fmt.Errorf("bind: %w", why)}
}

// hold makes the connection one that asks sessions within the login, for an account or,
// while there is none, for "".
func (c *conn) hold(domain, address string) {
	c.out.hold()
	c.alone.Store(true)
	c.enterAs(domain, address)
}

// plain is an element as the success has it: to nobody in particular.
func plain(p packet.Packet) *packet.Packet {
	p.To, p.From = "", ""
	return &p
}

// inquire sends the session a question of the login and waits for the answer. The error is a
// *stream.Error if that ends the stream.
func (c *conn) inquire(ctx context.Context, p packet.Packet) (packet.Packet, error) {
	answers := make(chan packet.Packet, 1)
	c.mu.Lock()
	c.answers = answers
	p.Kind, p.Host, p.From, p.Near, p.Far = packet.Session, c.domain, c.address, c.token, c.far
	c.tried.date(&p)
	c.mu.Unlock()
	if err := c.send(&p); err != nil && !errors.Is(err, module.ErrPassed) {
		return packet.Packet{}, err
	}
	c.source.Flush()
	select {
	case a := <-answers:
		if a.Name != "end" {
			return a, nil
		}
		condition := stream.Condition(a.Type)
		if a.Flags&packet.Bounced != 0 {
			condition = stream.InternalServerError
		}
		return a, &stream.Error{Condition: condition, App: a.Body}
	case <-ctx.Done():
		return packet.Packet{}, context.Cause(ctx)
	}
}

// answer takes a packet down that the login waits for, and reports whether it is one. What
// comes behind it, such as the end because another connection resumes the session, is for
// the client. With the lock held.
func (c *conn) answer(p *packet.Packet) bool {
	if c.answers == nil {
		return p.NS == registration.NS // nobody waits for it any more
	}
	switch {
	case p.Name == "end" && p.NS == "", p.NS == ns.Bind2, p.NS == registration.NS,
		p.NS == ns.StreamManagement && (p.Name == "resumed" || p.Name == "failed"):
	default:
		return false
	}
	a := *p
	a.To = strings.Clone(p.To)
	c.answers <- a // there is room for one
	c.answers = nil
	return true
}

// clientID tells a client from others of its account, always in the same way and
// without saying what it has told of itself. It is part of its address.
func (s *Service) clientID(ctx context.Context, in session.Inline) string {
	secret, _ := s.decoys(ctx, in.Account.Domain())
	m := hmac.New(sha256.New, secret)
	for _, part := range [...]string{"client", in.Account.String(), in.Agent} {
		m.Write([]byte(part))
		m.Write([]byte{0})
	}
	return base32.StdEncoding.EncodeToString(m.Sum(nil))[:16]
}
