package sm

import (
	"context"
	"errors"

	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sdk/disco"
	"github.com/jabberii/server/plugins/xmpp/ns"
	"github.com/jabberii/server/plugins/xmpp/privacy"
	"github.com/jabberii/server/plugins/xmpp/stanza"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

// client handles a stanza of a session's client. It belongs to the session
// from then on: From is the session's, Near and Seq say where it comes from.
func (s *Service) client(ctx context.Context, x *session, p *packet.Packet) (packet.Verdict, error) {
	t := act{s: s, ctx: ctx, flags: p.Flags, x: x}
	a := x.account
	a.mu.Lock()
	seq := p.Seq
	isNew := s.isNew(x, p)
	if p.Flags&packet.Redelivered != 0 && !x.isManaged() && isBind(p) { // nobody could say that it was done
		a.mu.Unlock()
		return s.bound(ctx, x, p)
	}
	if !isNew {
		a.mu.Unlock()
		return packet.Claim, nil
	}
	p.From, p.Near = x.jid, x.token
	if seq != 0 {
		p.Seq = x.base + seq
	}
	if x.isManaged() {
		n, place, err := s.receive(ctx, x, p, seq)
		if err != nil {
			a.mu.Unlock()
			return packet.Pass, err
		}
		// It is written before it is claimed, with what it leads to here. Until
		// then the connection delivers it again if anything dies.
		t.number = n
		t.records(place)
	}
	a.mu.Unlock()
	return packet.Claim, s.handleClient(&t, x, p)
}

// isBind reports whether a stanza asks for a session.
func isBind(p *packet.Packet) bool {
	if p.Name != "iq" || p.Type != "set" {
		return false
	}
	_, ok := xml.Find(p.Body, ns.Client, "bind", ns.Bind)
	return ok
}

func (s *Service) isReady() bool {
	select {
	case <-s.ready:
		return true
	default:
		return false
	}
}

// awaitReady waits until the stanzas of before have been handled, which come
// first.
func (s *Service) awaitReady(ctx context.Context) error {
	select {
	case <-s.ready:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-s.ctx.Done():
		return s.ctx.Err()
	}
}

// handleClient does what a stanza of a client is for. What goes wrong is said
// to the client in a stanza error.
func (s *Service) handleClient(t *act, x *session, p *packet.Packet) error {
	if p.Name == refusedName {
		s.tellRefused(t, x, p)
		return s.handled(t, x)
	}
	err := s.mayLeave(t, x, p)
	switch {
	case err != nil:
	case p.Name == "message":
		err = s.clientMessage(t, p)
	case p.Name == "presence":
		err = s.clientPresence(t, x, p)
	case p.Name == "iq":
		err = s.clientIQ(t, p)
	}
	if err != nil {
		s.refuse(t, x, p, err)
	}
	return s.handled(t, x)
}

// handled ends the handling of a stanza of a client.
func (s *Service) handled(t *act, x *session) error {
	err := t.done()
	if t.number != 0 {
		x.account.mu.Lock()
		s.ended(x, t.number)
		x.account.mu.Unlock()
	}
	return err
}

// clientMessage sends a message on its way; without an address it is to the
// account itself (RFC 6120 section 10.3.1).
func (s *Service) clientMessage(t *act, p *packet.Packet) error {
	if p.To == "" {
		p.To = packet.Bare(p.From)
	}
	if err := s.copySent(t, p); err != nil {
		return err
	}
	t.normal(p)
	return nil
}

// clientIQ sends an IQ on its way; without an address it is to the account,
// for which the server answers (RFC 6120 section 10.3.3).
func (s *Service) clientIQ(t *act, p *packet.Packet) error {
	if !stanza.IsType("iq", p.Type) || p.ID == "" {
		return packet.Refuse("bad-request", "an iq has a type and an id")
	}
	if p.Type == "get" || p.Type == "set" {
		n := 0
		for range xml.Elements(p.Body, ns.Client) {
			n++
		}
		if n != 1 {
			return packet.Refuse("bad-request", "a request has one element in it")
		}
		disco.Clear(p)
	}
	own := packet.Bare(p.From)
	if (p.To == "" || p.To == own || p.To == packet.Domain(own)) && isBind(p) {
		return packet.Refuse("not-allowed", "the connection has a session")
	}
	if p.To == "" {
		p.To = own
	}
	t.normal(p)
	return nil
}

// refuse answers a stanza of a client with an error.
func (s *Service) refuse(t *act, x *session, p *packet.Packet, err error) {
	reject := s.rejectOf(err)
	body := errorBody(reject)
	if errors.As(err, new(errBlocked)) {
		e := stanza.Error{Condition: stanza.NotAcceptable, Type: stanza.Cancel, App: xml.AppendEmpty(nil, "blocked", privacy.ErrorsNS)}
		body = e.Append(nil)
	}
	if p.Type == "error" || p.Name == "iq" && p.Type == "result" {
		return
	}
	s.answerError(t, x, p, p.Name, body)
}

// answerError answers a stanza of a client with an error element.
func (s *Service) answerError(t *act, x *session, p *packet.Packet, name string, body []byte) {
	reply := packet.Packet{From: p.To, To: x.jid, Name: name, Type: "error", ID: p.ID, Body: body}
	if reply.From == "" {
		reply.From = packet.Bare(x.jid)
	}
	x.account.mu.Lock()
	defer x.account.mu.Unlock()
	if !x.ended {
		t.down(x.account, []*session{x}, &reply)
	}
}

// rejectOf is what a sender is told of an error; what only we should know goes
// to the log.
func (s *Service) rejectOf(err error) *packet.Reject {
	var reject *packet.Reject
	if errors.As(err, &reject) {
		return reject
	}
	s.env.Log().Error(err.Error())
	return packet.Refuse("internal-server-error", "")
}

// errorBody is the element of a stanza error.
func errorBody(r *packet.Reject) []byte {
	e := stanza.Error{Condition: stanza.Condition(r.Condition), Type: stanza.ErrorType(r.Type), Text: r.Text}
	return e.Append(nil)
}
