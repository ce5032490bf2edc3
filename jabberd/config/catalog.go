package config

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
)

// A Catalog is what a configuration can name.
type Catalog struct {
	// Modules are the block types. One with Services picks among them by its
	// label; a label that is a path is given to its Other, made absolute.
	Modules []module.Module

	// Incomplete says that there are modules which could not be described,
	// which was reported; names that are not there are not reported then.
	Incomplete bool
}

// Find returns the module that makes the handler of link: the one that its
// block names, or the service that its label picks.
func (c Catalog) Find(link module.Link) (*module.Module, error) {
	m, ok := named(c.Modules, link.Module)
	if !ok {
		return nil, fmt.Errorf("there is no module %q", link.Module)
	}
	return m.Pick(link.Label)
}

// check reports descriptions that no configuration could be right with, which
// are mistakes of modules.
func (c Catalog) check() hcl.Diagnostics {
	var diags hcl.Diagnostics
	seen := map[string]bool{}
	for _, m := range c.Modules {
		err := m.Check()
		if err == nil && seen[m.Name] {
			err = fmt.Errorf("there are two modules of the name %s", m.Name)
		}
		seen[m.Name] = true
		if err != nil {
			diags = append(diags, &hcl.Diagnostic{Severity: hcl.DiagError, Summary: "Broken module",
				Detail: dotted(err.Error()) + " This is a mistake in the program that has it, not in the configuration."})
		}
	}
	return diags
}

func named(modules []module.Module, name string) (module.Module, bool) {
	i := slices.IndexFunc(modules, func(m module.Module) bool { return m.Name == name })
	if i < 0 {
		return module.Module{}, false
	}
	return modules[i], true
}

// names lists what may stand in sections of kinds.
func (c Catalog) names(kinds []packet.Kind) []string {
	return namesFor(c.Modules, kinds)
}

func namesFor(modules []module.Module, kinds []packet.Kind) []string {
	var names []string
	for _, m := range modules {
		if fits(m, kinds) {
			names = append(names, m.Name)
		}
	}
	return names
}

// fits reports whether m may stand in a section of kinds. A module with
// services stands wherever one of them does.
func fits(m module.Module, kinds []packet.Kind) bool {
	if len(m.Services) > 0 && len(m.Kinds) == 0 {
		return slices.ContainsFunc(m.Services, func(s module.Module) bool { return fits(s, kinds) })
	}
	return !slices.ContainsFunc(kinds, func(k packet.Kind) bool { return !slices.Contains(m.Kinds, k) })
}

// module returns the module that a block of a section names.
func (b *binding) module(d *decoding, inner *block, kinds []packet.Kind) (module.Module, bool) {
	m, ok := named(b.modules.Modules, inner.Type)
	switch {
	case !ok:
		if !b.modules.Incomplete {
			d.complain(inner.TypeRange, "Unknown block", "%s", b.unknown(inner.Type, kinds))
		}
	case m.Check() != nil: // reported
		ok = false
	case !fits(m, kinds):
		ok = false
		d.complain(inner.TypeRange, "Wrong kind of section", "%s", misplaced(inner.Type, m.Kinds, kinds))
	}
	return m, ok
}

// unknown says why a block is none of a section's.
func (b *binding) unknown(name string, kinds []packet.Kind) string {
	for _, m := range b.modules.Modules {
		if _, ok := named(m.Services, name); ok {
			return fmt.Sprintf("%s is a service: write %s %q { ... }.", name, m.Name, name)
		}
	}
	switch {
	case sectionKinds(name) != nil:
		return fmt.Sprintf("A section does not stand in another. Is a closing brace missing before %s?", name)
	case slices.Contains([]string{"engine", "include", "plugin", "process", "variable"}, name) && findArg(linkArgs(), name) == nil:
		return fmt.Sprintf("%s stands at the top of the file, not in a section.", name)
	case findArg(sectionArgs(), name) != nil:
		return fmt.Sprintf("%q is an argument: write %s = VALUE.", name, name)
	}
	names := append(b.modules.names(kinds), "uplink")
	text := suggest(name, names)
	if near := nearest(name, names); near == "" {
		var all []string
		for _, m := range b.modules.Modules {
			all = append(all, m.Name)
		}
		if other := nearest(name, all); other != "" {
			m, _ := named(b.modules.Modules, other)
			text = fmt.Sprintf(" Did you mean %q? But %s", other, misplaced(other, m.Kinds, kinds))
		}
	}
	return fmt.Sprintf("There is no module %q.%s", name, text)
}

// misplaced says where a module belongs that does not belong here.
func misplaced(name string, belongs, kinds []packet.Kind) string {
	if len(kinds) > 1 {
		return fmt.Sprintf("%s is for %s sections; a service is normal and session at once.", name, kindNames(belongs))
	}
	return fmt.Sprintf("%s is for %s sections, and this one is for %s packets.", name, kindNames(belongs), kindNames(kinds))
}

// service returns the service that the label of a block picks.
func (b *binding) service(d *decoding, p placed, inner *block, m module.Module, label string, kinds []packet.Kind) (module.Module, bool) {
	at := locate(inner, []string{"label"})
	names := namesFor(m.Services, kinds)
	switch {
	case label == "":
		if len(inner.Labels) > 0 || inner.Body.Attributes["label"] == nil {
			d.complain(at, "Missing label", "%s needs the name of a service: %s \"NAME\" { ... }.%s", m.Name, m.Name, suggest("", names))
		}
		return module.Module{}, false
	case isFile(label) && m.Other == nil:
		d.complain(at, "Unknown service", "Services in files cannot be loaded here.")
		return module.Module{}, false
	case isFile(label):
		return open(d, p, at, m, label, kinds)
	}
	s, ok := named(m.Services, label)
	switch {
	case !ok && b.modules.Incomplete:
	case !ok && strings.TrimSpace(label) != label:
		d.complain(at, "Unknown service", "There is a space in the name of the service.")
	case !ok:
		d.complain(at, "Unknown service", "There is no service %q.%s A file is named by a path: \"./%s.so\".", label, suggest(label, names), label)
	case !fits(s, kinds):
		d.complain(at, "Wrong kind of section", "%s", misplaced(label, s.Kinds, kinds))
		ok = false
	}
	return s, ok
}

// open returns the service in a file.
func open(d *decoding, p placed, at hcl.Range, m module.Module, label string, kinds []packet.Kind) (module.Module, bool) {
	s, err := m.Other(p.absolute(label))
	if err == nil {
		err = s.Check()
	}
	switch {
	case err != nil:
		d.complain(at, "Unknown service", "%s", dotted(err.Error()))
	case !fits(*s, kinds):
		d.complain(at, "Wrong kind of section", "%s", misplaced(label, s.Kinds, kinds))
	default:
		return *s, true
	}
	return module.Module{}, false
}
