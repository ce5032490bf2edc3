package sm

import (
	"bytes"
	"iter"
	"slices"
	"strings"
)

// Contacts are those of one roster, by address. Rosters are most of what a
// server full of idle clients keeps, for as long as these are there: so a
// contact takes as little as it can, and nothing of what it was read from.
type contacts struct{ sorted []entry }

// An entry is a contact with what most have; what a contact may have is apart.
type entry struct {
	jid    string
	more   *details // nil if there are none
	state  subscription
	listed bool
}

// Details of a contact are replaced, never changed.
type details struct {
	name    string
	groups  []string
	request []byte
}

// newContacts keeps contacts that were read: their addresses in one string, and
// once what groups several are in.
func newContacts(read []contact) contacts {
	if len(read) == 0 {
		return contacts{}
	}
	size := 0
	for i := range read {
		size += len(read[i].jid)
	}
	var addresses strings.Builder
	addresses.Grow(size)
	groups := map[string][]string{}
	for i := range read {
		c := &read[i]
		addresses.WriteString(c.jid)
		if len(c.groups) > 0 {
			key := strings.Join(c.groups, "\x00")
			if groups[key] == nil {
				groups[key] = ownGroups(c.groups)
			}
			c.groups = groups[key]
		}
	}
	all := addresses.String()
	k := contacts{sorted: make([]entry, len(read))}
	for i := range read {
		c := &read[i]
		k.sorted[i] = c.entry(all[:len(c.jid)])
		all = all[len(c.jid):]
	}
	slices.SortFunc(k.sorted, func(e, f entry) int { return strings.Compare(e.jid, f.jid) })
	return k
}

// ownGroups copies the names of groups.
func ownGroups(groups []string) []string {
	if len(groups) == 0 {
		return nil
	}
	own := make([]string, len(groups))
	for i, g := range groups {
		own[i] = strings.Clone(g)
	}
	return own
}

// entry is c as it is kept, with an address and groups that may be.
func (c *contact) entry(jid string) entry {
	e := entry{jid: jid, state: c.state, listed: c.listed}
	if c.name != "" || len(c.groups) > 0 || len(c.request) > 0 {
		e.more = &details{strings.Clone(c.name), c.groups, bytes.Clone(c.request)}
	}
	return e
}

func (e *entry) contact() contact {
	c := contact{jid: e.jid, state: e.state, listed: e.listed}
	if m := e.more; m != nil {
		c.name, c.groups, c.request = m.name, m.groups, m.request
	}
	return c
}

func (k *contacts) len() int { return len(k.sorted) }

// all iterates over the contacts.
func (k *contacts) all() iter.Seq[contact] {
	return func(yield func(contact) bool) {
		for i := range k.sorted {
			if !yield(k.sorted[i].contact()) {
				return
			}
		}
	}
}

func (k *contacts) find(jid string) (int, bool) {
	return slices.BinarySearchFunc(k.sorted, jid, func(e entry, jid string) int { return strings.Compare(e.jid, jid) })
}

// get returns the contact with an address, which has nothing else if there is
// none.
func (k *contacts) get(jid string) contact {
	if i, ok := k.find(jid); ok {
		return k.sorted[i].contact()
	}
	return contact{jid: jid}
}

// put adds a contact, or replaces the one with its address.
func (k *contacts) put(c *contact) {
	own := *c
	own.groups = ownGroups(c.groups)
	i, ok := k.find(c.jid)
	if ok {
		k.sorted[i] = own.entry(k.sorted[i].jid)
		return
	}
	k.sorted = slices.Insert(k.sorted, i, own.entry(strings.Clone(c.jid)))
}

func (k *contacts) remove(jid string) {
	if i, ok := k.find(jid); ok {
		k.sorted = slices.Delete(k.sorted, i, i+1)
	}
}
