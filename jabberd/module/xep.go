package module

import (
	"cmp"
	"fmt"
	"slices"
)

// A XEP is an extension of XMPP, as the XSF publishes it, that a module
// implements.
type XEP struct {
	Number  int    `json:"number"`
	Name    string `json:"name"`              // the document's title
	Version string `json:"version"`           // of the document that was followed
	Partial bool   `json:"partial,omitempty"` // some of what it asks of a server is not there
	Note    string `json:"note,omitempty"`    // what is missing, or a choice that it leaves
}

// ID is how the XSF writes the number: XEP-0045.
func (x XEP) ID() string { return fmt.Sprintf("XEP-%04d", x.Number) }

// State says in words how much of it there is, "" if all.
func (x XEP) State() string {
	switch {
	case !x.Partial:
		return x.Note
	case x.Note == "":
		return "in part"
	}
	return "in part: " + x.Note
}

// A Standard is an extension, and the modules that bring it.
type Standard struct {
	XEP
	Modules []string `json:"modules"`
}

// Standards lists the extensions that modules, and the services among them,
// bring, by number. Where several bring one, the first that brings all of it
// says version and state.
func Standards(modules []Module) []Standard {
	var list []Standard
	for _, m := range modules {
		for _, x := range m.XEPs {
			list = include(list, Standard{x, []string{m.Name}})
		}
		for _, s := range Standards(m.Services) {
			list = include(list, s)
		}
	}
	slices.SortFunc(list, func(a, b Standard) int { return cmp.Compare(a.Number, b.Number) })
	return list
}

func include(list []Standard, s Standard) []Standard {
	i := slices.IndexFunc(list, func(known Standard) bool { return known.Number == s.Number })
	if i < 0 {
		return append(list, s)
	}
	known := &list[i]
	if known.Partial && !s.Partial {
		known.XEP = s.XEP
	}
	for _, name := range s.Modules {
		if !slices.Contains(known.Modules, name) {
			known.Modules = append(known.Modules, name)
		}
	}
	return list
}
