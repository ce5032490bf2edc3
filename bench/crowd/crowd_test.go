package crowd_test

import (
	"slices"
	"testing"

	"github.com/jabberii/server/bench/crowd"
)

func TestAddresses(t *testing.T) {
	one := crowd.Crowd{Prefix: "u", Domain: "localhost"}
	if got := one.JID(7); got != "u7@localhost" {
		t.Errorf("on one host: %s", got)
	}
	many := crowd.Crowd{Prefix: "u", Domain: "localhost", Hosts: 10}
	for i, want := range map[int]string{0: "u0@h0.localhost", 1: "u1@h0.localhost", 2: "u2@h1.localhost", 21: "u21@h0.localhost"} {
		if got := many.JID(i); got != want {
			t.Errorf("on ten hosts: %s, want %s", got, want)
		}
	}
}

func TestContactsOf(t *testing.T) {
	tests := []struct {
		name  string
		crowd crowd.Crowd
		sizes map[int]int // of some users' rosters
	}{
		{"none", crowd.Crowd{Users: 5}, map[int]int{0: 0, 4: 0}},
		{"groups", crowd.Crowd{Users: 33, Contacts: 10}, map[int]int{0: 10, 12: 10, 32: 10}},
		{"hubs", crowd.Crowd{Users: 103, Contacts: 100, Hubs: 3}, map[int]int{0: 100, 2: 100, 3: 3, 102: 3}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			for user, size := range test.sizes {
				if got := test.crowd.ContactsOf(user); len(got) != size {
					t.Errorf("%d has %d contacts, want %d", user, len(got), size)
				}
			}
			for user := range test.crowd.Users {
				for _, other := range test.crowd.ContactsOf(user) {
					if other == user || other >= test.crowd.Users || !slices.Contains(test.crowd.ContactsOf(other), user) {
						t.Fatalf("%d has %d, but not the other way round", user, other)
					}
				}
			}
		})
	}
}
