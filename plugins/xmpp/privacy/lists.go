package privacy

import (
	"fmt"
	"slices"
)

// Lists are all lists of an account. The zero Lists are none.
type Lists struct {
	Default string // name of the default list, "" is none
	All     []List // by name
}

// Limits of what an account may have.
const (
	MaxLists = 50
	MaxRules = 5000 // of one list, and so of those who are blocked
)

// IsZero reports whether there is nothing.
func (l *Lists) IsZero() bool { return l.Default == "" && len(l.All) == 0 }

// Find returns the list of a name, nil if there is none.
func (l *Lists) Find(name string) *List {
	i, found := l.place(name)
	if !found || name == "" {
		return nil
	}
	return &l.All[i]
}

func (l *Lists) place(name string) (int, bool) {
	return slices.BinarySearchFunc(l.All, name, func(x List, name string) int {
		switch {
		case x.Name < name:
			return -1
		case x.Name > name:
			return 1
		}
		return 0
	})
}

// AsksRoster reports whether a list has a rule about contacts.
func (l *Lists) AsksRoster() bool {
	return slices.ContainsFunc(l.All, func(x List) bool { return x.AsksRoster() })
}

// With returns the lists with one more, in place of the one of its name.
func (l *Lists) With(list List) Lists {
	i, found := l.place(list.Name)
	m := Lists{Default: l.Default, All: slices.Clone(l.All)}
	if found {
		m.All[i] = list
	} else {
		m.All = slices.Insert(m.All, i, list)
	}
	return m
}

// Without returns the lists without the one of a name.
func (l *Lists) Without(name string) Lists {
	m := Lists{Default: l.Default}
	for _, list := range l.All {
		if list.Name != name {
			m.All = append(m.All, list)
		}
	}
	if m.Default == name {
		m.Default = ""
	}
	return m
}

// Blocked returns the block list: the addresses to which the default list is
// closed by a rule of their own.
func (l *Lists) Blocked() []string {
	list := l.Find(l.Default)
	if list == nil {
		return nil
	}
	var all []string
	for i := range list.Rules {
		if r := &list.Rules[i]; r.blocks() && !slices.Contains(all, r.Value) {
			all = append(all, r.Value)
		}
	}
	return all
}

// blockList is the name of the default list that Block makes.
const blockList = "blocked"

// Block returns the lists with addresses blocked: by rules at the beginning of
// the default list, which is made if there is none.
func (l *Lists) Block(addresses []string) (Lists, error) {
	list := List{}
	if old := l.Find(l.Default); old != nil {
		list = *old
	} else {
		list.Name = blockList
		for n := 2; l.Find(list.Name) != nil; n++ {
			list.Name = fmt.Sprintf("%s-%d", blockList, n)
		}
	}
	var rules []Rule
	for _, a := range addresses {
		same := func(r Rule) bool { return r.blocks() && r.Value == a }
		if !slices.ContainsFunc(list.Rules, same) && !slices.ContainsFunc(rules, same) {
			rules = append(rules, Rule{Match: JID, Value: a, Deny: true, Stanzas: All})
		}
	}
	list.Rules = numbered(append(rules, list.Rules...))
	if len(list.Rules) > MaxRules {
		return Lists{}, errTooMany
	}
	m := l.With(list)
	m.Default = list.Name
	return m, nil
}

// Unblock returns the lists with addresses no longer blocked; without any, with
// nobody blocked. A list that Block has made goes with its last rule.
func (l *Lists) Unblock(addresses []string) Lists {
	old := l.Find(l.Default)
	if old == nil {
		return *l
	}
	list := List{Name: old.Name}
	for _, r := range old.Rules {
		if !r.blocks() || len(addresses) > 0 && !slices.Contains(addresses, r.Value) {
			list.Rules = append(list.Rules, r)
		}
	}
	if len(list.Rules) == 0 {
		return l.Without(list.Name)
	}
	return l.With(list)
}

// numbered gives rules numbers in their order, if they are not in order as they
// are.
func numbered(rules []Rule) []Rule {
	for i := range rules {
		rules[i].Order = uint32(i + 1)
	}
	return rules
}
