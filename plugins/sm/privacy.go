package sm

import (
	"context"

	"github.com/jabberii/server/jabberd/packet"
	stored "github.com/jabberii/server/plugins/sdk/privacy"
	"github.com/jabberii/server/plugins/xmpp/privacy"
)

// A guard is what keeps stanzas away from an account, and from whom the account
// keeps its own: its privacy lists (XEP-0016), of which the default one has
// those who are blocked (XEP-0191). It is replaced, never changed.
type guard struct{ lists privacy.Lists }

// open is the guard of an account without lists. A message to or from one costs
// a comparison with it.
var open = new(guard)

func newGuard(lists privacy.Lists) *guard {
	if lists.IsZero() {
		return open
	}
	return &guard{lists}
}

// guardOf returns the guard of an account, which is held or has a session. It
// reads what it needs of storage.
func (s *Service) guardOf(ctx context.Context, a *account) (*guard, error) {
	g := a.guard.Load()
	if g == nil {
		lists, err := stored.Read(ctx, s.store, a.jid)
		if err != nil {
			return nil, err
		}
		a.guard.CompareAndSwap(nil, newGuard(lists)) // else it was changed meanwhile
		g = a.guard.Load()
	}
	if g.lists.AsksRoster() {
		return g, s.load(ctx, a)
	}
	return g, nil
}

// list returns the list that holds for a session, or with nil for the account,
// nil if there is none. The account is locked.
func (a *account) list(x *session) *privacy.List {
	g := a.guard.Load()
	switch {
	case g == nil || g == open:
		return nil
	case x != nil && x.active != "":
		return g.lists.Find(x.active)
	}
	return g.lists.Find(g.lists.Default)
}

// denies reports whether a session, or with nil the account, and somebody are
// kept apart. The account is locked.
func (a *account) denies(x *session, s privacy.Stanza, other string) bool {
	return a.deniesBy(a.list(x), s, other)
}

// deniesBy is denies by a list. Nobody is kept away from oneself, nor from one's
// server.
func (a *account) deniesBy(l *privacy.List, s privacy.Stanza, other string) bool {
	return l != nil && packet.Bare(other) != a.jid && other != packet.Domain(a.jid) && l.Denies(s, other, a.related)
}

// related is what the roster says of an address. The account is locked.
func (a *account) related(bare string) privacy.Contact {
	c := a.contact(bare)
	if !c.listed {
		return privacy.Contact{}
	}
	return privacy.Contact{Subscription: c.state.String(), Groups: c.groups}
}

// admitted returns those of sessions that a stanza of somebody may reach. The
// account is locked.
func (a *account) admitted(sessions []*session, s privacy.Stanza, from string) []*session {
	if g := a.guard.Load(); g == nil || g == open {
		return sessions
	}
	in := sessions[:0]
	for _, x := range sessions {
		if !a.denies(x, s, from) {
			in = append(in, x)
		}
	}
	return in
}

// reachable returns those of addresses that what a session sends may reach. The
// account is locked.
func (a *account) reachable(x *session, s privacy.Stanza, addresses []string) []string {
	l := a.list(x)
	if l == nil {
		return addresses
	}
	out := addresses[:0]
	for _, jid := range addresses {
		if !a.deniesBy(l, s, jid) {
			out = append(out, jid)
		}
	}
	return out
}

// refuses reports whether a stanza for an account is kept away from it, or from
// the session that it is to. What is for all of an account is, if the default
// list says so, or where sessions have lists of their own, all of these. The
// account is locked.
func (a *account) refuses(p *packet.Packet) bool {
	kind := privacy.Inbound(p.Name, p.Type)
	if resource := packet.Resource(p.To); resource != "" {
		return a.denies(a.bound(resource), kind, p.From)
	}
	own := false
	for _, x := range a.sessions {
		own = own || x.active != ""
	}
	if !own {
		return a.denies(nil, kind, p.From)
	}
	for _, x := range a.sessions {
		if !a.denies(x, kind, p.From) {
			return false
		}
	}
	return true
}

// isRefused is refuses for an account that may not be in memory.
func (s *Service) isRefused(ctx context.Context, p *packet.Packet) (bool, error) {
	jid := packet.Bare(p.To)
	if packet.Bare(p.From) == jid {
		return false, nil
	}
	if a := s.accounts.lock(jid); a != nil {
		free := a.guard.Load() == open
		a.mu.Unlock()
		if free {
			return false, nil
		}
	}
	a := s.accounts.hold(jid)
	defer s.accounts.release(a)
	if g, err := s.guardOf(ctx, a); err != nil || g == open {
		return false, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.refuses(p), nil
}

// refused is what becomes of a stanza other than a message that an account does
// not let in (XEP-0191 section 3.3): its sender is to think that nobody is there.
func refused(p *packet.Packet) (packet.Verdict, error) {
	if p.Name == "iq" && (p.Type == "get" || p.Type == "set") {
		return packet.Pass, stored.Refusal(p)
	}
	return packet.Claim, nil
}

// guardedMessage is message to an account that has lists, or of which that is
// not known.
func (s *Service) guardedMessage(ctx context.Context, p *packet.Packet) (packet.Verdict, error) {
	a := s.accounts.hold(packet.Bare(p.To))
	defer s.accounts.release(a)
	if _, err := s.guardOf(ctx, a); err != nil {
		return packet.Pass, err
	}
	return s.deliverMessage(ctx, p, true)
}

// admit takes out of where a message would go what its sender is kept away
// from. The account is locked.
func (a *account) admit(p *packet.Packet, targets []*session, where way) ([]*session, way) {
	switch where {
	case toSessions:
		if targets = a.admitted(targets, privacy.Message, p.From); len(targets) == 0 {
			return targets, toSender
		}
	case toStorage:
		if a.refuses(p) {
			return targets, toSender
		}
	}
	return targets, where
}

// errBlocked is what a client is told that wants to reach somebody whom the
// account has blocked (XEP-0191 section 3.3).
type errBlocked struct{}

func (errBlocked) Error() string { return "the account keeps itself away from the recipient" }

func (errBlocked) Unwrap() error { return packet.Refuse("not-acceptable", "") }

// mayLeave returns an error if a client's stanza is for somebody from whom it is
// kept away.
func (s *Service) mayLeave(t *act, x *session, p *packet.Packet) error {
	a := x.account
	if p.To == "" || a.guard.Load() == open {
		return nil
	}
	if g, err := s.guardOf(t.ctx, a); err != nil || g == open {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.denies(x, privacy.Outbound(p.Name, p.Type), p.To) {
		return errBlocked{}
	}
	return nil
}
