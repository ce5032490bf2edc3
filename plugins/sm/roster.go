package sm

import (
	"context"
	"crypto/rand"
	"sync"

	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sdk/xdb"
	"github.com/jabberii/server/plugins/xmpp/jid"
	"github.com/jabberii/server/plugins/xmpp/ns"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

// A roster is an account's contacts, namespace "roster" of its storage with a
// contact's address as the key. It is read when it is needed first. All but
// changing is guarded by the account's lock.
type roster struct {
	loaded   bool
	loading  chan struct{} // closed when somebody who is reading it has ended
	contacts contacts
	requests int     // contacts that have only asked
	version  xdb.Rev // 0 if it is not known, see rosterversion.go

	changing sync.Mutex // one change at a time; taken before the account's lock
}

const rosterNS = "roster"

// maxRequests is how many who are not in a roster may wait for its owner's
// answer, and how many more contacts it may have by a yes to them.
const maxRequests = 500

// Limits of a contact.
const (
	maxName   = 1023 // bytes, of a group too
	maxGroups = 50
)

// load sees that the roster of an account, which is held, is in memory.
func (s *Service) load(ctx context.Context, a *account) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	for !a.roster.loaded {
		if wait := a.roster.loading; wait != nil {
			a.mu.Unlock()
			select {
			case <-wait:
				a.mu.Lock()
			case <-ctx.Done():
				a.mu.Lock()
				return ctx.Err()
			}
			continue
		}
		done := make(chan struct{})
		a.roster.loading = done
		a.mu.Unlock()
		contacts, err := s.readRoster(ctx, a.jid)
		a.mu.Lock()
		a.roster.loading = nil
		close(done)
		if err != nil {
			return err
		}
		a.roster.loaded = true
		a.roster.contacts = contacts
		for c := range contacts.all() {
			if !c.listed {
				a.roster.requests++
			}
		}
	}
	return nil
}

func (s *Service) readRoster(ctx context.Context, jid string) (contacts, error) {
	var read []contact
	after := ""
	for {
		page, err := s.store.Query(ctx, jid, rosterNS, xdb.Query{After: after, Max: xdb.MaxPage})
		if err != nil {
			return contacts{}, err
		}
		for _, it := range page.Items {
			read = append(read, parseContact(it.Key, it.Value))
			after = it.Key
		}
		if !page.More || len(page.Items) == 0 {
			return newContacts(read), nil
		}
	}
}

// contact returns what the roster has about a bare address. The account is
// locked, its roster loaded.
func (a *account) contact(jid string) contact { return a.roster.contacts.get(jid) }

// change changes a contact of an account, which is held: in storage, then in
// memory. f makes the new one. then is called with the account locked, if
// anything has changed; changes come to it in order. It is called in any case if
// what t is of comes again: the process before may have died after it had made
// the change, and before anybody was told.
func (t *act) change(a *account, jid string, f func(c contact) (contact, error), then func(old, c *contact)) error {
	s, ctx, r := t.s, t.ctx, &a.roster
	r.changing.Lock()
	defer r.changing.Unlock()
	if err := s.load(ctx, a); err != nil {
		return err
	}
	a.mu.Lock()
	old := a.contact(jid)
	known, requests := r.contacts.len()-r.requests, r.requests
	a.mu.Unlock()
	c, err := f(old)
	switch {
	case err != nil || c.equal(&old) && !t.isAgain():
		return err
	case c.equal(&old):
		a.mu.Lock()
		defer a.mu.Unlock()
		then(&old, &c)
		return nil
	}
	version, err := s.storeContact(ctx, a, &old, &c, known, requests)
	if err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	r.put(&old, &c)
	if c.listed || old.listed {
		r.version = version
	}
	then(&old, &c)
	return nil
}

// storeContact puts a contact into storage, or takes it out. The roster has so
// many that are known, and so many that only wait for an answer: with that each
// has a place in it already, so that it can be yes. It returns the version of
// the roster from then on.
func (s *Service) storeContact(ctx context.Context, a *account, old, c *contact, known, requests int) (xdb.Rev, error) {
	switch limit := s.args().Roster.Max; {
	case c.isGone():
		return s.removeContact(ctx, a.jid, old)
	case c.listed && old.isGone() && known >= limit:
		return 0, packet.Refuse("resource-constraint", "the roster is full")
	case !c.listed && old.isGone() && (requests >= maxRequests || known+requests >= limit+maxRequests):
		return 0, packet.Refuse("resource-constraint", "too many wait for an answer")
	}
	return s.store.Put(ctx, a.jid, rosterNS, c.jid, c.value())
}

func (r *roster) put(old, c *contact) {
	if !old.isGone() && !old.listed {
		r.requests--
	}
	if c.isGone() {
		r.contacts.remove(c.jid)
		return
	}
	if !c.listed {
		r.requests++
	}
	r.contacts.put(c)
}

// push tells those sessions that have asked for the roster of a change. The
// account is locked.
func (t *act) push(a *account, old, c *contact) {
	if c.sameToClients(old) && !t.isAgain() || !c.listed && !old.listed {
		return
	}
	body := c.appendPush(nil, a.roster.version)
	for _, x := range a.sessions {
		if x.interested {
			t.pushTo(a, x, body)
		}
	}
}

// pushTo tells a session of a change. The account is locked.
func (t *act) pushTo(a *account, x *session, body []byte) {
	t.down(a, []*session{x}, &packet.Packet{To: x.jid, From: a.jid, Name: "iq", Type: "set", ID: "push" + rand.Text()[:8], Body: body})
}

// rosterIQ answers what a client asks of its roster (RFC 6121 section 2).
func (s *Service) rosterIQ(ctx context.Context, p *packet.Packet, el *xml.Element) (packet.Verdict, error) {
	if packet.Bare(p.From) != p.To {
		return packet.Pass, packet.Refuse("forbidden", "")
	}
	if el.Name() != "query" {
		return packet.Pass, packet.Refuse("bad-request", "")
	}
	a := s.accounts.hold(p.To)
	defer s.accounts.release(a)
	if p.Type == "get" {
		return s.rosterGet(ctx, a, p, el)
	}
	item, remove, err := parseItem(el)
	if err != nil {
		return packet.Pass, err
	}
	t := act{s: s, ctx: ctx, flags: p.Flags}
	if remove {
		err = s.rosterRemove(&t, a, item.jid)
	} else {
		err = t.change(a, item.jid, func(c contact) (contact, error) {
			c.listed, c.name, c.groups = true, item.name, item.groups
			return c, nil
		}, func(old, c *contact) { t.push(a, old, c) })
	}
	if err != nil {
		return packet.Pass, err
	}
	if err := t.done(); err != nil {
		return packet.Pass, err
	}
	return s.result(ctx, p, nil)
}

// parseItem reads the one item of a change (RFC 6121 section 2.3.3).
func parseItem(query *xml.Element) (c contact, remove bool, err error) {
	bad := func(condition, text string) (contact, bool, error) { return c, false, packet.Refuse(condition, text) }
	items := 0
	var el xml.Element
	for child := range query.Elements() {
		if child.Is("item", ns.Roster) {
			el = child
			items++
		}
	}
	if items != 1 {
		return bad("bad-request", "a change is about one contact")
	}
	address, err := jid.Parse(el.Attr("jid"))
	if err != nil || !address.IsBare() {
		return bad("bad-request", "the contact has no bare address")
	}
	c.jid, c.name = address.String(), el.Attr("name")
	if el.Attr("subscription") == "remove" {
		return c, true, nil
	}
	if len(c.name) > maxName {
		return bad("not-acceptable", "the name is too long")
	}
	seen := map[string]bool{}
	for child := range el.Elements() {
		if !child.Is("group", ns.Roster) {
			continue
		}
		g := child.Text()
		switch {
		case g == "" || len(g) > maxName || len(c.groups) == maxGroups:
			return bad("not-acceptable", "a group without name, with too long a name, or one too many")
		case seen[g]:
			return bad("bad-request", "the same group twice")
		}
		seen[g] = true
		c.groups = append(c.groups, g)
	}
	return c, false, nil
}

// rosterRemove takes a contact off the roster and ends the subscriptions with
// it (RFC 6121 section 2.5.2).
func (s *Service) rosterRemove(t *act, a *account, jid string) error {
	var out []packet.Packet
	found := false
	err := t.change(a, jid, func(c contact) (contact, error) {
		if c.isGone() && !t.isAgain() {
			return c, packet.Refuse("item-not-found", "")
		}
		found = true
		return contact{jid: jid}, nil
	}, func(old, c *contact) {
		if old.isGone() { // since the process before; what it was nobody knows
			old = &contact{jid: jid, listed: true, state: to | pendingIn}
		}
		t.push(a, old, c)
		if old.state&(to|pendingOut) != 0 {
			out = append(out, packet.Packet{To: jid, From: a.jid, Name: "presence", Type: "unsubscribe"})
		}
		if old.state&(from|pendingIn) != 0 {
			out = append(out, packet.Packet{To: jid, From: a.jid, Name: "presence", Type: "unsubscribed"})
		}
		if old.state&from != 0 {
			out = a.presences(out, jid, false)
		}
	})
	if err != nil || !found {
		return err
	}
	for i := range out {
		t.normal(&out[i])
	}
	return nil
}

// sees reports whether somebody is subscribed to an account's presence.
func (s *Service) sees(ctx context.Context, jid, contact string) (bool, error) {
	a := s.accounts.hold(jid)
	defer s.accounts.release(a)
	if err := s.load(ctx, a); err != nil {
		return false, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.contact(contact).state&from != 0, nil
}
