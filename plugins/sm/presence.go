package sm

import (
	"context"
	"strconv"
	"strings"

	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/xmpp/ns"
	"github.com/jabberii/server/plugins/xmpp/privacy"
	"github.com/jabberii/server/plugins/xmpp/stanza"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

// clientPresence does what a client's presence is for.
func (s *Service) clientPresence(t *act, x *session, p *packet.Packet) error {
	switch {
	case !stanza.IsType("presence", p.Type):
		return packet.Refuse("bad-request", "presence has no such type")
	case isSubscription(p.Type):
		return s.clientSubscription(t, x.account, p)
	case p.Type == "probe" || p.Type == "error":
		if p.To != "" {
			t.normal(p)
		}
		return nil
	case p.To != "":
		return s.clientDirected(t, x, p)
	case p.Type == "unavailable":
		return s.clientUnavailable(t, x, p)
	}
	return s.clientAvailable(t, x, p)
}

// priority reads the priority of a presence; what is none counts as 0.
func priority(p *packet.Packet) int8 {
	el, ok := xml.Find(p.Body, ns.Client, "priority", ns.Client)
	if !ok {
		return 0
	}
	n, err := strconv.ParseInt(strings.TrimSpace(el.Text()), 10, 8)
	if err != nil {
		return 0
	}
	return int8(n)
}

// clientAvailable shows the presence of a session to its subscribers and to the
// account's own sessions (RFC 6121 sections 4.2 and 4.4). With the first one it
// learns theirs, and what has come meanwhile.
func (s *Service) clientAvailable(t *act, x *session, p *packet.Packet) error {
	a := x.account
	if err := s.load(t.ctx, a); err != nil {
		return err
	}
	if _, err := s.guardOf(t.ctx, a); err != nil {
		return err
	}
	a.mu.Lock()
	if x.ended {
		a.mu.Unlock()
		return nil
	}
	first := x.presence == nil || t.flags&packet.Redelivered != 0
	spools := (first || x.priority < 0) && priority(p) >= 0
	q := s.takePresence(x, p, first)
	if spools {
		s.beginSpool(a, x)
	} else if x.priority < 0 {
		s.leaveSpool(a, x)
	}
	t.records(s.journalState(x))
	t.showOwn(a, q)
	subscribers, subscriptions := a.reachable(x, privacy.PresenceOut, a.subscribed(from)), []string(nil)
	if first {
		subscriptions = a.reachable(x, privacy.Other, a.reachable(x, privacy.PresenceIn, a.subscribed(to)))
		t.greetWithOthers(a, x)
	}
	a.mu.Unlock()
	for _, jid := range subscribers {
		q.To, q.ID, q.Near, q.Seq = jid, p.ID, p.Near, p.Seq
		t.normal(&q)
	}
	q = packet.Packet{From: x.jid, Name: "presence", Type: "probe"}
	for _, jid := range subscriptions {
		q.To, q.Near, q.Seq = jid, p.Near, p.Seq
		t.normal(&q)
	}
	if spools {
		s.runSpool(t.ctx, a)
	}
	return nil
}

// subscribed lists the contacts whose subscription has a part. The account is
// locked.
func (a *account) subscribed(part subscription) []string {
	var list []string
	for c := range a.roster.contacts.all() {
		if c.state&part != 0 {
			list = append(list, c.jid)
		}
	}
	return list
}

// showOwn shows a presence to the available sessions of the account itself. The
// account is locked.
func (t *act) showOwn(a *account, p packet.Packet) {
	var room [8]*session
	targets := room[:0]
	for _, y := range a.sessions {
		if y.presence != nil {
			targets = append(targets, y)
		}
	}
	p.To = a.jid
	t.down(a, targets, &p)
}

// greetWithOthers shows a session that has become available the presence of the
// account's others, and who waits for an answer. The account is locked.
func (t *act) greetWithOthers(a *account, x *session) {
	for _, y := range a.sessions {
		if y != x && y.presence != nil {
			q := y.available()
			q.To = x.jid
			t.down(a, []*session{x}, &q)
		}
	}
	for c := range a.roster.contacts.all() {
		if c.state&pendingIn != 0 && !a.denies(x, privacy.Other, c.jid) {
			q := c.ask(a.jid)
			t.down(a, []*session{x}, &q)
		}
	}
}

// clientUnavailable tells all who have seen the presence of a session that it
// is gone (RFC 6121 section 4.5).
func (s *Service) clientUnavailable(t *act, x *session, p *packet.Packet) error {
	a := x.account
	if err := s.load(t.ctx, a); err != nil {
		return err
	}
	q := packet.Packet{From: x.jid, Name: "presence", Type: "unavailable", ID: p.ID, Lang: p.Lang, Attrs: p.Attrs, Body: p.Body}
	a.mu.Lock()
	if x.ended {
		a.mu.Unlock()
		return nil
	}
	audience, wasAvailable := a.audience(x), x.presence != nil
	if x.presence, x.priority = nil, 0; wasAvailable {
		s.leaves(a, statusOf(p))
	}
	s.leaveSpool(a, x)
	for jid := range x.directed {
		s.journalDirected(x, jid, false)
	}
	x.directed = nil
	t.records(s.journalState(x))
	t.showOwn(a, q)
	a.mu.Unlock()
	for _, jid := range audience {
		q.To, q.Near, q.Seq = jid, p.Near, p.Seq
		t.normal(&q)
	}
	return nil
}

// audience lists who sees the presence of a session, beside the account. The
// account is locked.
func (a *account) audience(x *session) []string {
	return a.reachable(x, privacy.PresenceOut, a.everybody(x))
}

// everybody is audience with those who are kept away.
func (a *account) everybody(x *session) []string {
	var list []string
	if x.presence != nil {
		list = a.subscribed(from)
	}
	subscribers := len(list)
	for jid := range x.directed {
		if subscribers == 0 || a.contact(packet.Bare(jid)).state&from == 0 {
			list = append(list, jid)
		}
	}
	return list
}

// gone tells all who have seen the presence of a session that has ended.
func (s *Service) gone(e *errand, x *session) {
	ctx, cancel := context.WithTimeout(s.ctx, patience)
	defer cancel()
	t := act{s: s, ctx: ctx, alone: true, errand: e}
	a := s.accounts.hold(x.account.jid)
	defer s.accounts.release(a)
	if x.presence != nil {
		if err := s.load(ctx, a); err != nil {
			s.env.Log().Error("contacts are not told that a session has ended: "+err.Error(), "session", x.jid)
		}
	}
	q := packet.Packet{From: x.jid, Name: "presence", Type: "unavailable"}
	a.mu.Lock()
	audience := a.audience(x)
	if x.presence != nil {
		t.showOwn(a, q)
		s.leaves(a, "")
	}
	a.mu.Unlock()
	for _, jid := range audience {
		q.To = jid
		t.normal(&q)
	}
	t.done()
}

// clientDirected sends a presence to one address (RFC 6121 section 4.6). Who is
// no subscriber is told when the session becomes unavailable.
func (s *Service) clientDirected(t *act, x *session, p *packet.Packet) error {
	a := x.account
	a.mu.Lock()
	_, shown := x.directed[p.To]
	sees := p.Type == ""
	switch {
	case sees == shown || sees && packet.Bare(p.To) == a.jid:
	case sees && len(x.directed) >= s.args().Directed:
		a.mu.Unlock()
		return packet.Refuse("resource-constraint", "the presence is shown to too many")
	case !x.ended:
		x.show(p.To, sees)
		t.records(s.journalDirected(x, p.To, sees))
	}
	a.mu.Unlock()
	t.normal(p)
	return nil
}

// show notes that an address sees the presence of x, or no longer.
func (x *session) show(jid string, sees bool) {
	switch {
	case !sees:
		delete(x.directed, jid)
	case x.directed == nil:
		x.directed = map[string]struct{}{strings.Clone(jid): {}}
	default:
		x.directed[strings.Clone(jid)] = struct{}{}
	}
}

// presence handles a presence for an account.
func (s *Service) presence(ctx context.Context, p *packet.Packet) (packet.Verdict, error) {
	switch {
	case isSubscription(p.Type):
		return s.subscriptionFrom(ctx, p)
	case p.Type == "probe":
		return s.probedBy(ctx, p)
	}
	a := s.accounts.lock(packet.Bare(p.To))
	if a == nil {
		return packet.Claim, nil // nobody is there to see it
	}
	var room [8]*session
	targets := room[:0]
	if resource := packet.Resource(p.To); resource != "" {
		if x := a.bound(resource); x != nil {
			targets = append(targets, x)
		}
	} else {
		// An error is of what the server sent in the account's name, a request for a
		// subscription for example, which those have seen that see the roster.
		for _, x := range a.sessions {
			if x.presence != nil || x.interested && p.Type == "error" {
				targets = append(targets, x)
			}
		}
	}
	t := act{s: s, ctx: ctx, flags: p.Flags}
	t.down(a, a.admitted(targets, privacy.PresenceIn, p.From), p)
	a.mu.Unlock()
	return packet.Claim, t.done()
}

// probedBy answers who asks for the presence of an account (RFC 6121 section
// 4.3.2), if it may be told. Who is not there looks like who is not to be seen.
func (s *Service) probedBy(ctx context.Context, p *packet.Packet) (packet.Verdict, error) {
	jid, asker := packet.Bare(p.To), packet.Bare(p.From)
	a := s.accounts.hold(jid)
	defer s.accounts.release(a)
	if err := s.load(ctx, a); err != nil {
		return packet.Pass, err
	}
	t := act{s: s, ctx: ctx, flags: p.Flags}
	a.mu.Lock()
	state := a.contact(asker).state
	var out []packet.Packet
	switch {
	case state&from != 0 || asker == jid:
		out = a.presences(nil, p.From, true)
		if len(out) == 0 {
			out = append(out, packet.Packet{To: p.From, From: jid, Name: "presence", Type: "unavailable"})
		}
	default:
		out = append(out, packet.Packet{To: asker, From: jid, Name: "presence", Type: "unsubscribed"})
	}
	a.mu.Unlock()
	for i := range out {
		t.normal(&out[i])
	}
	return packet.Claim, nil
}

// presences appends the presence of each available session, or that it is
// unavailable, addressed to somebody. The account is locked.
func (a *account) presences(out []packet.Packet, to string, available bool) []packet.Packet {
	for _, x := range a.sessions {
		if x.presence == nil || a.denies(x, privacy.PresenceOut, to) {
			continue
		}
		q := packet.Packet{From: x.jid, Name: "presence", Type: "unavailable"}
		if available {
			q = x.available()
		}
		q.To = to
		out = append(out, q)
	}
	return out
}

// shownTo lists the sessions of an account that are available to somebody who may
// see its presence.
func (s *Service) shownTo(somebody, jid string) (sessions []string) {
	a := s.accounts.lock(jid)
	if a == nil {
		return nil
	}
	defer a.mu.Unlock()
	for _, p := range a.presences(nil, somebody, true) {
		sessions = append(sessions, p.From)
	}
	return sessions
}
