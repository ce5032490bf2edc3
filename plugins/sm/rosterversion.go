package sm

import (
	"cmp"
	"context"
	"slices"

	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sdk/xdb"
	"github.com/jabberii/server/plugins/xmpp/ns"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

// Versions of a roster (RFC 6121 section 2.6) are the revisions that storage
// gives its items: a client that has been told of one is told of what has a
// later one. Contacts that are gone leave an item in a namespace of their own.
const removedNS = "roster-removed"

const (
	// maxRemoved is how many contacts that are gone are remembered; with one
	// more all are forgotten, and who has an older version gets the roster anew.
	maxRemoved = 100
	// forgotten is the key of the item that says so. No address is like it.
	forgotten = "/"
	// maxInterim is how many changes are told one by one.
	maxInterim = 100
)

// A rosterChange is what is told of a contact: how it is now, or that it is
// gone, which has no name, group or state.
type rosterChange struct {
	version xdb.Rev
	contact contact
}

// removeContact takes a contact out of storage, and returns the version that the
// roster has from then on. That it is gone is remembered first.
func (s *Service) removeContact(ctx context.Context, owner string, old *contact) (version xdb.Rev, err error) {
	if old.listed {
		if version, err = s.noteRemoved(ctx, owner, old.jid); err != nil {
			return 0, err
		}
	}
	return version, s.store.Delete(ctx, owner, rosterNS, old.jid)
}

// noteRemoved remembers that a contact is gone.
func (s *Service) noteRemoved(ctx context.Context, owner, jid string) (xdb.Rev, error) {
	page, err := s.store.Keys(ctx, owner, removedNS, xdb.Query{Max: xdb.MaxPage})
	if err != nil {
		return 0, err
	}
	change := xdb.Change{Op: xdb.Put, NS: removedNS, Key: jid, Value: []byte("<removed/>")}
	changes := make([]xdb.Change, 0, len(page.Items)+1)
	if len(page.Items) >= maxRemoved {
		for _, it := range page.Items {
			if it.Key != forgotten {
				changes = append(changes, xdb.Change{Op: xdb.Delete, NS: removedNS, Key: it.Key})
			}
		}
		change.Key = forgotten
	}
	changes = append(changes, change)
	err = s.store.Batch(ctx, owner, changes)
	return changes[len(changes)-1].Rev, err
}

// rosterSince lists what has changed since a version of the roster, in order,
// and the version that it has now. It is not ok if that is not known, or too
// much. Nobody changes the roster meanwhile.
func (s *Service) rosterSince(ctx context.Context, owner string, since xdb.Rev) (list []rosterChange, now xdb.Rev, ok bool, err error) {
	var oldest xdb.Rev
	removed := map[string]xdb.Rev{}
	err = s.everyItem(ctx, owner, removedNS, func(it *xdb.Item) {
		now = max(now, it.Rev)
		if it.Key == forgotten {
			oldest = it.Rev
		} else {
			removed[it.Key] = it.Rev
		}
	})
	if err != nil {
		return nil, 0, false, err
	}
	err = s.everyItem(ctx, owner, rosterNS, func(it *xdb.Item) {
		c := parseContact(it.Key, it.Value)
		if !c.listed {
			return
		}
		delete(removed, it.Key)
		if now = max(now, it.Rev); it.Rev > since && len(list) <= maxInterim {
			list = append(list, rosterChange{it.Rev, c})
		}
	})
	for jid, rev := range removed {
		if rev > since {
			list = append(list, rosterChange{rev, contact{jid: jid}})
		}
	}
	slices.SortFunc(list, func(a, b rosterChange) int { return cmp.Compare(a.version, b.version) })
	ok = since >= oldest && since <= now && len(list) <= maxInterim
	return list, now, ok, err
}

// everyItem calls f with each item of a namespace.
func (s *Service) everyItem(ctx context.Context, owner, space string, f func(*xdb.Item)) error {
	after := ""
	for {
		page, err := s.store.Query(ctx, owner, space, xdb.Query{After: after, Max: xdb.MaxPage})
		if err != nil {
			return err
		}
		for i := range page.Items {
			f(&page.Items[i])
			after = page.Items[i].Key
		}
		if !page.More || len(page.Items) == 0 {
			return nil
		}
	}
}

// appendPush writes what a push of a change says.
func (c *contact) appendPush(dst []byte, version xdb.Rev) []byte {
	dst = xml.AppendStart(dst, "query", ns.Roster, "ver", version.String())
	if c.listed {
		dst = c.appendItem(dst)
	} else {
		dst = xml.AppendEmpty(dst, "item", "", "jid", c.jid, "subscription", "remove")
	}
	return xml.AppendEnd(dst, "query")
}

// rosterGet answers with the roster, or with what has changed since the version
// that the client has. What is pushed to it later comes later.
func (s *Service) rosterGet(ctx context.Context, a *account, p *packet.Packet, el *xml.Element) (packet.Verdict, error) {
	ver, versioned := el.LookupAttr("ver")
	if !versioned {
		if err := s.load(ctx, a); err != nil {
			return packet.Pass, err
		}
		a.mu.Lock()
		return s.rosterResult(ctx, a, p, a.appendRoster(nil, ""))
	}
	a.roster.changing.Lock()
	defer a.roster.changing.Unlock()
	if err := s.load(ctx, a); err != nil {
		return packet.Pass, err
	}
	a.mu.Lock()
	now := a.roster.version
	a.mu.Unlock()
	since, err := xdb.ParseRev(ver)
	known := err == nil && since != 0
	var changes []rosterChange
	if now == 0 || known && since != now {
		var ok bool
		if changes, now, ok, err = s.rosterSince(ctx, a.jid, since); err != nil {
			return packet.Pass, err
		}
		known = known && ok
	}
	a.mu.Lock()
	a.roster.version = now
	if !known {
		return s.rosterResult(ctx, a, p, a.appendRoster(nil, now.String()))
	}
	return s.rosterResult(ctx, a, p, nil, changes...)
}

// rosterResult answers a request for the roster, and goes on with changes. It
// goes straight to the session, so that what is pushed later comes behind it.
// The account is locked, and is unlocked.
func (s *Service) rosterResult(ctx context.Context, a *account, p *packet.Packet, body []byte, changes ...rosterChange) (packet.Verdict, error) {
	x := a.bound(packet.Resource(p.From))
	if x == nil {
		a.mu.Unlock()
		return s.result(ctx, p, body)
	}
	t := act{s: s, ctx: ctx, flags: p.Flags}
	if !x.interested {
		x.interested = true
		t.records(s.journalState(x))
	}
	t.down(a, []*session{x}, &packet.Packet{From: p.To, To: p.From, Name: "iq", Type: "result", ID: p.ID, Body: body})
	for i := range changes {
		t.pushTo(a, x, changes[i].contact.appendPush(nil, changes[i].version))
	}
	a.mu.Unlock()
	return packet.Claim, t.done()
}

// appendRoster writes all that clients see of the roster. The account is locked.
func (a *account) appendRoster(dst []byte, version string) []byte {
	dst = xml.AppendStart(dst, "query", ns.Roster, "ver", version)
	for c := range a.roster.contacts.all() {
		if c.listed {
			dst = c.appendItem(dst)
		}
	}
	return xml.AppendEnd(dst, "query")
}
