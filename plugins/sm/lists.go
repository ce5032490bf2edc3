package sm

import (
	"context"
	"crypto/rand"
	"errors"

	"github.com/jabberii/server/jabberd/packet"
	stored "github.com/jabberii/server/plugins/sdk/privacy"
	"github.com/jabberii/server/plugins/xmpp/privacy"
	"github.com/jabberii/server/plugins/xmpp/stanza"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

// listsIQ answers what a client asks of its privacy lists (XEP-0016).
func (s *Service) listsIQ(ctx context.Context, p *packet.Packet, el *xml.Element) (packet.Verdict, error) {
	var child xml.Element
	n := 0
	for c := range el.Elements() {
		child = c
		n++
	}
	switch {
	case packet.Bare(p.From) != p.To:
		return packet.Pass, packet.Refuse("forbidden", "")
	case !el.Is("query", privacy.NS) || n > 1 || p.Type == "set" && n == 0:
		return packet.Pass, packet.Refuse("bad-request", "one thing at a time")
	}
	a := s.accounts.hold(p.To)
	defer s.accounts.release(a)
	if p.Type == "get" {
		body, err := s.lists(ctx, a, packet.Resource(p.From), &child, n)
		if err != nil {
			return packet.Pass, err
		}
		return s.result(ctx, p, body)
	}
	t := act{s: s, ctx: ctx, flags: p.Flags}
	var err error
	switch name := child.Attr("name"); {
	case child.Is("active", privacy.NS):
		err = s.setActive(&t, a, p, name)
	case child.Is("default", privacy.NS):
		err = s.setDefault(&t, a, p, name)
	case child.Is("list", privacy.NS):
		err = s.setList(&t, a, p, &child)
	default:
		err = packet.Refuse("bad-request", "")
	}
	if err == nil {
		err = t.done()
	}
	if err != nil {
		return packet.Pass, rejected(err)
	}
	return s.result(ctx, p, nil)
}

// rejected is an error of package privacy as senders are told it.
func rejected(err error) error {
	var e *stanza.Error
	if errors.As(err, &e) {
		return packet.Refuse(string(e.Condition), e.Text)
	}
	return err
}

// lists is the answer to a client that asks for the names of its lists, n being
// 0, or for one of them.
func (s *Service) lists(ctx context.Context, a *account, resource string, child *xml.Element, n int) ([]byte, error) {
	g, err := s.guardOf(ctx, a)
	if err != nil {
		return nil, err
	}
	body := xml.AppendStart(nil, "query", privacy.NS)
	if n > 0 {
		list := g.lists.Find(child.Attr("name"))
		switch {
		case !child.Is("list", privacy.NS):
			return nil, packet.Refuse("bad-request", "")
		case list == nil:
			return nil, packet.Refuse("item-not-found", "")
		}
		return xml.AppendEnd(list.Append(body), "query"), nil
	}
	a.mu.Lock()
	if x := a.bound(resource); x != nil && x.active != "" {
		body = xml.AppendEmpty(body, "active", "", "name", x.active)
	}
	a.mu.Unlock()
	if g.lists.Default != "" {
		body = xml.AppendEmpty(body, "default", "", "name", g.lists.Default)
	}
	for _, list := range g.lists.All {
		body = xml.AppendEmpty(body, "list", "", "name", list.Name)
	}
	return xml.AppendEnd(body, "query"), nil
}

// setActive has a list hold for the session that asks, "" being the default one.
func (s *Service) setActive(t *act, a *account, p *packet.Packet, name string) error {
	return s.changeLists(t, a, func(old privacy.Lists) (privacy.Lists, error) {
		x := a.bound(packet.Resource(p.From))
		switch {
		case name != "" && old.Find(name) == nil:
			return old, packet.Refuse("item-not-found", "")
		case x == nil:
			return old, unavailable()
		case x.active != name:
			x.active = name
			t.records(s.journalState(x))
		}
		return old, nil
	})
}

// setDefault chooses the default list, "" being none.
func (s *Service) setDefault(t *act, a *account, p *packet.Packet, name string) error {
	return s.changeLists(t, a, func(old privacy.Lists) (privacy.Lists, error) {
		switch {
		case name != "" && old.Find(name) == nil:
			return old, packet.Refuse("item-not-found", "")
		case old.Default != "" && old.Default != name && a.uses(old.Default, &old, p.From):
			return old, packet.Refuse("conflict", "another client uses the list")
		}
		old.Default = name
		return old, nil
	})
}

// setList makes, replaces or, if it has no items, removes a list.
func (s *Service) setList(t *act, a *account, p *packet.Packet, el *xml.Element) error {
	list, err := privacy.Parse(el)
	if err != nil {
		return err
	}
	return s.changeLists(t, a, func(old privacy.Lists) (privacy.Lists, error) {
		known := old.Find(list.Name) != nil
		switch {
		case len(list.Rules) > 0 && !known && len(old.All) >= privacy.MaxLists:
			return old, packet.Refuse("resource-constraint", "there are too many lists")
		case len(list.Rules) > 0:
			t.pushList(a, list.Name)
			return old.With(list), nil
		case !known:
			return old, packet.Refuse("item-not-found", "")
		case a.uses(list.Name, &old, p.From):
			return old, packet.Refuse("conflict", "another client uses the list")
		}
		if x := a.bound(packet.Resource(p.From)); x != nil && x.active == list.Name {
			x.active = ""
			t.records(s.journalState(x))
		}
		t.pushList(a, list.Name)
		return old.Without(list.Name), nil
	})
}

// uses reports whether a list holds for another session than one. The account
// is locked.
func (a *account) uses(name string, lists *privacy.Lists, but string) bool {
	for _, x := range a.sessions {
		if x.jid != but && (x.active == name || x.active == "" && lists.Default == name) {
			return true
		}
	}
	return false
}

// pushList tells all sessions that a list has changed. The account is locked.
func (t *act) pushList(a *account, name string) {
	body := xml.AppendStart(nil, "query", privacy.NS)
	body = xml.AppendEmpty(body, "list", "", "name", name)
	t.pushAll(a, xml.AppendEnd(body, "query"), func(*session) bool { return true })
}

// pushAll sends a request of the account to those of its sessions that want it.
// The account is locked.
func (t *act) pushAll(a *account, body []byte, wants func(*session) bool) {
	for _, x := range a.sessions {
		if wants(x) {
			p := packet.Packet{To: x.jid, From: a.jid, Name: "iq", Type: "set", ID: "push" + rand.Text()[:8], Body: body}
			t.down(a, []*session{x}, &p)
		}
	}
}

// changeLists changes the lists of an account, which is held: in storage, then in
// memory; who is kept away now, or no longer, is told. f is called with the
// account locked and what it does stays, unless storage fails.
func (s *Service) changeLists(t *act, a *account, f func(old privacy.Lists) (privacy.Lists, error)) error {
	a.roster.changing.Lock()
	defer a.roster.changing.Unlock()
	g, err := s.guardOf(t.ctx, a)
	if err == nil {
		err = s.load(t.ctx, a)
	}
	if err != nil {
		return err
	}
	a.mu.Lock()
	before := a.views()
	lists, err := f(g.lists)
	a.mu.Unlock()
	if err != nil {
		return err
	}
	if g == open {
		if err := s.journalGuarded(a); err != nil {
			return err
		}
	}
	if err := stored.Write(t.ctx, s.store, a.jid, g.lists, lists); err != nil {
		return err
	}
	a.mu.Lock()
	a.guard.Store(newGuard(lists))
	out := t.reveal(a, before)
	a.mu.Unlock()
	for i := range out {
		t.normal(&out[i])
	}
	return nil
}

// journalGuarded records of an account without lists that it may have some: who
// reads the journal after a death asks storage then, and else need not.
func (s *Service) journalGuarded(a *account) error {
	a.mu.Lock()
	a.guard.Store(nil)
	for _, x := range a.sessions {
		s.journalState(x)
	}
	a.mu.Unlock()
	return s.commit()
}

// A view is the list that holds for a session.
type view struct {
	x    *session
	list *privacy.List
}

// views returns those of all available sessions. The account is locked.
func (a *account) views() []view {
	var all []view
	for _, x := range a.sessions {
		if x.presence != nil {
			all = append(all, view{x, a.list(x)})
		}
	}
	return all
}

// reveal tells who is kept away from a session since, and who is no longer: the
// one sees that it is gone, the other its presence, and the session the other
// way round. It returns what goes into the tree. If the change comes again, since
// somebody died, all are told. The account is locked.
func (t *act) reveal(a *account, before []view) (out []packet.Packet) {
	for _, v := range before {
		x, now := v.x, a.list(v.x)
		changed := func(s privacy.Stanza, jid string) (denied, changed bool) {
			denied = a.deniesBy(now, s, jid)
			return denied, a.deniesBy(v.list, s, jid) != denied || t.flags&packet.Redelivered != 0
		}
		for _, jid := range a.everybody(x) {
			q := packet.Packet{From: x.jid, Name: "presence", Type: "unavailable"}
			denied, changed := changed(privacy.PresenceOut, jid)
			if changed && !denied {
				q = x.available()
			}
			if q.To = jid; changed {
				out = append(out, q)
			}
		}
		for _, jid := range a.subscribed(to) {
			switch denied, changed := changed(privacy.PresenceIn, jid); {
			case changed && denied:
				t.down(a, []*session{x}, &packet.Packet{To: x.jid, From: jid, Name: "presence", Type: "unavailable"})
			case changed:
				out = append(out, packet.Packet{To: jid, From: x.jid, Name: "presence", Type: "probe"})
			}
		}
	}
	return out
}
