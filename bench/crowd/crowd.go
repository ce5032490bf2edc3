// Package crowd names the users of a measurement and says who knows whom.
// Whoever makes accounts and whoever logs in to them agree on it.
package crowd

import "strconv"

// A Crowd is users with numbers from 0.
type Crowd struct {
	Prefix string // of the names
	Domain string
	Hosts  int // over which pairs of users are spread; 0 and 1: all are at Domain
	Users  int

	// Each user has so many contacts, all mutual: groups of Contacts+1 users, all
	// contacts of each other. With Hubs, the first so many users have the
	// Contacts users after them as contacts, and those the hubs.
	Contacts int
	Hubs     int
}

// User is the local part of a user's address.
func (c Crowd) User(i int) string { return c.Prefix + strconv.Itoa(i) }

// Host is the domain of a user's address. Users 2n and 2n+1 have the same.
func (c Crowd) Host(i int) string {
	if c.Hosts <= 1 {
		return c.Domain
	}
	return HostName(c.Domain, i/2%c.Hosts)
}

// HostName is the n-th of several hosts.
func HostName(domain string, n int) string { return "h" + strconv.Itoa(n) + "." + domain }

// JID is a user's bare address.
func (c Crowd) JID(i int) string { return c.User(i) + "@" + c.Host(i) }

// ContactsOf returns the numbers of a user's contacts.
func (c Crowd) ContactsOf(user int) []int {
	first, last := user-user%(c.Contacts+1), user-user%(c.Contacts+1)+c.Contacts
	switch {
	case c.Contacts == 0:
		return nil
	case c.Hubs > 0 && user < c.Hubs:
		first, last = c.Hubs, c.Hubs+c.Contacts-1
	case c.Hubs > 0:
		first, last = 0, c.Hubs-1
	}
	var numbers []int
	for n := first; n <= last; n++ {
		if n != user {
			numbers = append(numbers, n)
		}
	}
	return numbers
}
