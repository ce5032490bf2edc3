package sm

import (
	"bytes"
	"iter"
	"slices"
	"strings"
)

// Contacts are those of one roster, by address. Rosters are most of what a
// server full of idle clients keeps, for as long as these are there: so a
// contact that has only an address and a subscription takes eight bytes beside
// the address, and nothing of what it was read from.
type contacts struct {
	addresses string // one behind the other
	sorted    []entry
	more      []*details // of each; nil if none has any
}

// An entry is what every contact has.
type entry struct {
	end    uint32 // of its address
	state  subscription
	listed bool
}

// Details are what a contact may have. They are replaced, never changed.
type details struct {
	name    string
	groups  []string
	request []byte
}

// newContacts keeps contacts that were read: once what groups several are in.
func newContacts(read []contact) (k contacts) {
	slices.SortFunc(read, func(c, d contact) int { return strings.Compare(c.jid, d.jid) })
	size := 0
	for i := range read {
		size += len(read[i].jid)
	}
	var addresses strings.Builder
	addresses.Grow(size)
	k.sorted = make([]entry, len(read))
	groups := map[string][]string{}
	for i := range read {
		c := &read[i]
		addresses.WriteString(c.jid)
		k.sorted[i] = entry{uint32(addresses.Len()), c.state, c.listed}
		if len(c.groups) > 0 {
			key := strings.Join(c.groups, "\x00")
			if groups[key] == nil {
				groups[key] = ownGroups(c.groups)
			}
			c.groups = groups[key]
		}
		k.detail(i, c)
	}
	k.addresses = addresses.String()
	return k
}

// detail keeps the details of the contact at a place; its groups are its own.
func (k *contacts) detail(i int, c *contact) {
	var m *details
	if c.name != "" || len(c.groups) > 0 || len(c.request) > 0 {
		m = &details{strings.Clone(c.name), c.groups, bytes.Clone(c.request)}
		if k.more == nil {
			k.more = make([]*details, len(k.sorted))
		}
	}
	if k.more != nil {
		k.more[i] = m
	}
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

func (k *contacts) len() int { return len(k.sorted) }

// begin is where the address at a place begins, or, behind the last, where all
// of them end.
func (k *contacts) begin(i int) uint32 {
	if i == 0 {
		return 0
	}
	return k.sorted[i-1].end
}

func (k *contacts) address(i int) string { return k.addresses[k.begin(i):k.sorted[i].end] }

func (k *contacts) at(i int) contact {
	e := &k.sorted[i]
	c := contact{jid: k.address(i), state: e.state, listed: e.listed}
	if k.more != nil {
		if m := k.more[i]; m != nil {
			c.name, c.groups, c.request = m.name, m.groups, m.request
		}
	}
	return c
}

// all iterates over the contacts.
func (k *contacts) all() iter.Seq[contact] {
	return func(yield func(contact) bool) {
		for i := range k.sorted {
			if !yield(k.at(i)) {
				return
			}
		}
	}
}

// find returns where an address is, or belongs.
func (k *contacts) find(jid string) (int, bool) {
	low, high := 0, len(k.sorted)
	for low < high {
		middle := (low + high) / 2
		switch strings.Compare(k.address(middle), jid) {
		case 0:
			return middle, true
		case -1:
			low = middle + 1
		default:
			high = middle
		}
	}
	return low, false
}

// get returns the contact with an address, which has nothing else if there is
// none.
func (k *contacts) get(jid string) contact {
	if i, ok := k.find(jid); ok {
		return k.at(i)
	}
	return contact{jid: jid}
}

// put adds a contact, or replaces the one with its address.
func (k *contacts) put(c *contact) {
	i, ok := k.find(c.jid)
	if !ok {
		at := k.begin(i)
		k.addresses = k.addresses[:at] + c.jid + k.addresses[at:]
		k.sorted = slices.Insert(k.sorted, i, entry{end: at})
		if k.more != nil {
			k.more = slices.Insert(k.more, i, nil)
		}
		for j := i; j < len(k.sorted); j++ {
			k.sorted[j].end += uint32(len(c.jid))
		}
	}
	k.sorted[i].state, k.sorted[i].listed = c.state, c.listed
	own := *c
	own.groups = ownGroups(c.groups)
	k.detail(i, &own)
}

func (k *contacts) remove(jid string) {
	i, ok := k.find(jid)
	if !ok {
		return
	}
	from, to := k.begin(i), k.sorted[i].end
	k.addresses = k.addresses[:from] + k.addresses[to:]
	k.sorted = slices.Delete(k.sorted, i, i+1)
	if k.more != nil {
		k.more = slices.Delete(k.more, i, i+1)
	}
	for j := i; j < len(k.sorted); j++ {
		k.sorted[j].end -= to - from
	}
}
