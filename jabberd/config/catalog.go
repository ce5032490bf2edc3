package config

import (
	"fmt"
	"slices"

	"github.com/hashicorp/hcl/v2"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
)

// A Catalog is what a configuration can name.
type Catalog struct {
	// Modules are the block types. Two may share a name if no section could
	// hold both: filter is one for logs and another for xdb. One with Services
	// picks among them by its label; a path is given to its Other, absolute.
	Modules []module.Module

	// Incomplete says that there are modules which could not be described,
	// which was reported; names that are not there are not reported then.
	Incomplete bool
}

// Find returns the module that makes the handler of link in a section of
// kinds: the one that its block names, or the service that its label picks.
func (c Catalog) Find(kinds []packet.Kind, link module.Link) (*module.Module, error) {
	for _, m := range named(c.Modules, link.Module) {
		if fits(m, kinds) {
			return m.Pick(link.Label)
		}
	}
	return nil, fmt.Errorf("there is no module %q for %s sections", link.Module, kindNames(kinds))
}

// check reports descriptions that no configuration could be right with, which
// are mistakes of modules.
func (c Catalog) check() hcl.Diagnostics {
	var diags hcl.Diagnostics
	for i, m := range c.Modules {
		err := m.Check()
		for _, first := range named(c.Modules[:i], m.Name) {
			if err == nil && (sharesKind(first, m) || len(first.Services)+len(m.Services) > 0) {
				err = fmt.Errorf("there are two modules of the name %s", m.Name)
			}
		}
		if err != nil {
			diags = append(diags, &hcl.Diagnostic{Severity: hcl.DiagError, Summary: "Broken module",
				Detail: dotted(err.Error()) + " This is a mistake in the program that has it, not in the configuration."})
		}
	}
	return diags
}

// named returns the modules of a name.
func named(modules []module.Module, name string) (list []module.Module) {
	for _, m := range modules {
		if m.Name == name {
			list = append(list, m)
		}
	}
	return list
}

func sharesKind(a, b module.Module) bool {
	return slices.ContainsFunc(a.Kinds, func(k packet.Kind) bool { return slices.Contains(b.Kinds, k) })
}

// kindsOf returns the kinds of sections that one of modules may stand in.
func kindsOf(modules []module.Module) (kinds []packet.Kind) {
	for _, m := range modules {
		kinds = append(kinds, m.Kinds...)
	}
	slices.Sort(kinds)
	return slices.Compact(kinds)
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
	all := named(b.modules.Modules, inner.Type)
	for _, m := range all {
		if fits(m, kinds) {
			return m, m.Check() == nil // else it was reported
		}
	}
	switch {
	case b.modules.Incomplete:
	case len(all) == 0:
		d.complain(inner.TypeRange, "Unknown block", "%s", b.unknown(inner.Type, kinds))
	default:
		d.complain(inner.TypeRange, "Wrong kind of section", "%s", misplaced(inner.Type, kindsOf(all), kinds))
	}
	return module.Module{}, false
}

// unknown says why a block is none of a section's.
func (b *binding) unknown(name string, kinds []packet.Kind) string {
	for _, m := range b.modules.Modules {
		if len(named(m.Services, name)) > 0 {
			return fmt.Sprintf("%s is a service: write %s %q { ... }.", name, m.Name, name)
		}
	}
	switch {
	case sectionKinds(name) != nil:
		return fmt.Sprintf("A section does not stand in another. Is a closing brace missing before %s?", name)
	case slices.Contains([]string{"engine", "include", "plugin", "process", "variable"}, name) && findArg(linkArgs(), name) == nil:
		return fmt.Sprintf("%s stands at the top of the file, not in a section.", name)
	case findArg(sectionArgs(kinds), name) != nil:
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
			text = fmt.Sprintf(" Did you mean %q? But %s", other, misplaced(other, kindsOf(named(b.modules.Modules, other)), kinds))
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
	services := named(m.Services, label)
	switch {
	case len(services) > 0 && fits(services[0], kinds):
		return services[0], true
	case len(services) > 0:
		d.complain(at, "Wrong kind of section", "%s", misplaced(label, services[0].Kinds, kinds))
	case b.modules.Incomplete:
	default:
		d.complain(at, "Unknown service", "There is no service %q.%s A file is named by a path: \"./%s.so\".", label, suggest(label, names), label)
	}
	return module.Module{}, false
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
