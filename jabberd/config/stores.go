package config

import (
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/jabberii/server/jabberd/packet"
)

// checkStores warns of storage that is there to be asked, a directory for example, behind
// a store that owns the same: it gets copies of changes, and is never asked.
func (f *File) checkStores(branches []branch) (diags hcl.Diagnostics) {
	said := map[int]bool{}
	for _, b := range branches {
		external := slices.IndexFunc(b.trace.links, func(l linkTrace) bool { return l.uses.External })
		if external < 0 || said[b.index] || b.section.Observe || !slices.Contains(b.section.Kinds, packet.XDB) {
			continue
		}
		for _, owner := range branches {
			if owner.host != b.host || owner.index >= b.index || !sameKind(owner.section, b.section) || owner.section.Fallback || !owner.claims() {
				continue
			}
			own, wanted := f.namespaces(owner.index), f.namespaces(b.index)
			if !own.covers(wanted) {
				continue
			}
			said[b.index] = true
			diags = append(diags, warning(b.trace.links[external].block.DefRange(), "Never asked",
				"%s at %s stands in front and owns %s for %s: %s is only told of changes. Put its section first; to have it look on, write observe = true.",
				title(owner.section), place(owner.trace.block.DefRange()), wanted, hostName(b.host), b.trace.links[external].uses.Name))
			break
		}
	}
	return diags
}

// Namespaces are what a store takes, by what stands in its chain: by convention the
// arguments with the names namespaces and except.
type namespaces struct{ only, except []string }

func (f *File) namespaces(section int) (of namespaces) {
	for n, t := range f.traces[section].links {
		for _, a := range given(t, &f.Sections[section].Chain[n]) {
			for text := range a.texts() {
				switch a.arg.Name {
				case "namespaces":
					of.only = append(of.only, text)
				case "except":
					of.except = append(of.except, text)
				}
			}
		}
	}
	return of
}

// covers reports whether a store takes all that another wants.
func (s namespaces) covers(wanted namespaces) bool {
	if len(wanted.only) == 0 {
		return len(s.only) == 0 && !slices.ContainsFunc(s.except, func(ns string) bool { return !slices.Contains(wanted.except, ns) })
	}
	return !slices.ContainsFunc(wanted.only, func(ns string) bool {
		return len(s.only) > 0 && !matches(s.only, ns) || matches(s.except, ns)
	})
}

// matches reports whether a list has a namespace, or the beginning of it with an asterisk.
func matches(list []string, ns string) bool {
	return slices.ContainsFunc(list, func(entry string) bool {
		begin, open := strings.CutSuffix(entry, "*")
		return entry == ns || open && strings.HasPrefix(ns, begin)
	})
}

// String names them in a sentence.
func (s namespaces) String() string {
	if len(s.only) == 0 {
		return "everything"
	}
	return quoted(s.only)
}
