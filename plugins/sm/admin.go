package sm

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sdk/sessions"
	"github.com/jabberii/server/plugins/xmpp/ns"
	"github.com/jabberii/server/plugins/xmpp/stream"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

// administer does what the server itself asks of a host's sessions.
func (s *Service) administer(ctx context.Context, p *packet.Packet, el *xml.Element) (packet.Verdict, error) {
	if !sessions.Trusted(p) {
		return packet.Pass, packet.Refuse("forbidden", "only the server itself may ask for its sessions")
	}
	of := el.Attr("of")
	switch name := el.Name(); {
	case packet.Domain(of) != p.To:
		return packet.Pass, packet.Refuse("bad-request", "whose sessions?")
	case name == "list" && p.Type == "get":
		list, more := s.list(of, el.Attr("after"), sessions.MaxPage)
		return s.result(ctx, p, sessions.AppendList(nil, list, more))
	case name == "roster" && p.Type == "get" && packet.Local(of) != "" && packet.Resource(of) == "":
		return s.tellRoster(ctx, p, of)
	case packet.Local(of) == "" || p.Type != "set":
		return packet.Pass, packet.Refuse("bad-request", "")
	case name == "end":
		why := ending{el.Attr("condition"), el.Attr("text")}
		if !stream.Condition(why.condition).Defined() {
			return packet.Pass, packet.Refuse("bad-request", "there is no such stream error")
		}
		n := s.finishAll(of, el.Attr("but"), why)
		if n > 0 {
			s.env.Log().Info("ended sessions of "+of, "host", packet.Domain(of), "by", whoAsks(p), "condition", why.condition, "count", n)
		}
		return s.result(ctx, p, sessions.AppendEnded(nil, n))
	case name == "befriend" && packet.Resource(of) == "":
		if err := s.befriend(ctx, p, of, el.Attr("contact")); err != nil {
			return packet.Pass, err
		}
		return s.result(ctx, p, nil)
	case name == "forget" && packet.Resource(of) == "":
		s.answerLast(of, el)
		count, err := s.forget(ctx, of)
		if err != nil {
			return packet.Pass, err
		}
		return s.result(ctx, p, sessions.AppendEnded(nil, count))
	}
	return packet.Pass, packet.Refuse("bad-request", "")
}

// list returns the first sessions behind an address, of a host, an account or a
// session.
func (s *Service) list(of, after string, most int) (list []sessions.Session, more bool) {
	var found []*session
	s.accounts.each(func(a *account) {
		if a.jid != packet.Bare(of) && packet.Domain(a.jid) != of {
			return
		}
		for _, x := range a.sessions {
			if x.jid > after && (packet.Resource(of) == "" || x.jid == of) {
				found = append(found, x)
			}
		}
	})
	slices.SortFunc(found, func(x, y *session) int { return strings.Compare(x.jid, y.jid) })
	if more = len(found) > most; more {
		found = found[:most]
	}
	now := s.clock.now()
	for _, x := range found {
		x.account.mu.Lock()
		if !x.ended {
			list = append(list, x.describe(now))
		}
		x.account.mu.Unlock()
	}
	return list, more
}

// describe says how a session is. The account is locked.
func (x *session) describe(now moment) sessions.Session {
	d := sessions.Session{
		JID: x.jid, Available: x.presence != nil, Priority: int(x.priority), Connected: !x.conn.IsZero(), Managed: x.isManaged(),
		Idle: time.Duration(now-x.heard) * tick, Listener: x.conn.Section,
	}
	if x.isManaged() {
		d.Queue = x.managed.queue.len()
	}
	return d
}

// finishAll ends the session with a full JID, or all of an account but one.
func (s *Service) finishAll(of, but string, why ending) int {
	if packet.Resource(of) == "" {
		s.changes.note(of, time.Now()) // before it looks for sessions, so that those that come see it
	}
	a := s.accounts.lock(packet.Bare(of))
	if a == nil {
		return 0
	}
	all := slices.Clone(a.sessions)
	a.mu.Unlock()
	all = slices.DeleteFunc(all, func(x *session) bool {
		return x.jid == but || packet.Resource(of) != "" && x.jid != of
	})
	for _, x := range all {
		s.finish(x, why)
	}
	return len(all)
}

// forget ends all that an account is in, and tells its contacts.
func (s *Service) forget(ctx context.Context, jid string) (ended int, err error) {
	ended = s.finishAll(jid, "", ending{condition: string(stream.NotAuthorized)})
	a := s.accounts.hold(jid)
	defer s.accounts.release(a)
	r := &a.roster
	r.changing.Lock()
	defer r.changing.Unlock()
	if err := s.load(ctx, a); err != nil {
		return ended, err
	}
	a.mu.Lock()
	var last []packet.Packet
	for c := range r.contacts.all() {
		last = c.appendFarewell(last, jid)
	}
	a.mu.Unlock()
	// In Handle they leave when it returns, that is, when storage has let go.
	for i := range last {
		if err := s.env.Deliver(ctx, &last[i]); err != nil {
			return ended, err
		}
	}
	if err := s.departures.drop(ctx, jid); err != nil {
		return ended, err
	}
	for _, space := range []string{rosterNS, removedNS, lastNS} {
		if err := s.store.Drop(ctx, jid, space, ""); err != nil {
			return ended, err
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.exists, a.stored.count = 0, unknown
	r.contacts, r.requests, r.version = contacts{}, 0, 0
	a.guard.Store(open)
	return ended, nil
}

// tellRoster answers with the roster of an account.
func (s *Service) tellRoster(ctx context.Context, p *packet.Packet, jid string) (packet.Verdict, error) {
	switch there, err := s.exists(ctx, jid); {
	case err != nil:
		return packet.Pass, err
	case !there:
		return packet.Pass, packet.Refuse("item-not-found", "")
	}
	a := s.accounts.hold(jid)
	defer s.accounts.release(a)
	if err := s.load(ctx, a); err != nil {
		return packet.Pass, err
	}
	a.mu.Lock()
	body := xml.AppendStart(nil, "query", ns.Roster)
	for c := range a.roster.contacts.all() {
		if c.listed {
			body = c.appendItem(body)
		}
	}
	a.mu.Unlock()
	return s.result(ctx, p, xml.AppendEnd(body, "query"))
}

// answerLast answers the request of a session that is about to end because of it.
func (s *Service) answerLast(jid string, el *xml.Element) {
	asker, id := el.Attr("session"), el.Attr("iq")
	if packet.Bare(asker) != jid || id == "" {
		return
	}
	a := s.accounts.lock(jid)
	if a == nil {
		return
	}
	e := s.errand(func() {})
	t := act{s: s, ctx: s.ctx, alone: true, errand: e} // at once, not when Handle returns
	if x := a.bound(packet.Resource(asker)); x != nil {
		t.down(a, []*session{x}, &packet.Packet{Name: "iq", Type: "result", ID: id, From: el.Attr("to"), To: asker})
	}
	a.mu.Unlock()
	t.done()
	e.end()
}

// befriend does for an account what its client does that asks for the presence of a
// contact and grants its own.
func (s *Service) befriend(ctx context.Context, p *packet.Packet, jid, contact string) error {
	if packet.Domain(contact) == "" || packet.Resource(contact) != "" {
		return packet.Refuse("bad-request", "a contact is a bare address")
	}
	switch there, err := s.exists(ctx, jid); {
	case err != nil:
		return err
	case !there:
		return packet.Refuse("item-not-found", "")
	}
	a := s.accounts.hold(jid)
	defer s.accounts.release(a)
	t := act{s: s, ctx: ctx, flags: p.Flags}
	for _, kind := range []string{"subscribed", "subscribe"} {
		if err := s.clientSubscription(&t, a, &packet.Packet{To: contact, From: jid, Name: "presence", Type: kind}); err != nil {
			return err
		}
	}
	return t.done()
}

// appendFarewell appends what ends the subscriptions with a contact.
func (c *contact) appendFarewell(list []packet.Packet, jid string) []packet.Packet {
	add := func(kind string) {
		list = append(list, packet.Packet{Kind: packet.Normal, To: c.jid, From: jid, Name: "presence", Type: kind})
	}
	if c.state&(to|pendingOut) != 0 {
		add("unsubscribe")
	}
	if c.state&(from|pendingIn) != 0 {
		add("unsubscribed")
	}
	return list
}

// whoAsks names who sent a command, for the log: the commands of jabberd, or a module of
// a host, which logs itself for whom it asks.
func whoAsks(p *packet.Packet) string {
	if packet.Domain(p.From) == packet.ServerHost {
		return "command line"
	}
	return packet.Bare(p.From)
}
