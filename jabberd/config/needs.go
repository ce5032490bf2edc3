package config

import (
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
)

// checkNeeds warns of links without the packets, or the storage, that they need.
func (f *File) checkNeeds(i int) (diags hcl.Diagnostics) {
	own := &f.Sections[i]
	for _, l := range f.traces[i].links {
		for _, k := range l.uses.Needs {
			of := func(s module.Section) bool { return slices.Contains(s.Kinds, k) }
			switch {
			case of(*own):
			case slices.Contains(l.uses.Kinds, k):
				diags = append(diags, warning(l.block.DefRange(), "Half of what it needs",
					"%s needs %s packets in the same section, and %s has none. A service has those of normal and of session: service %q { ... }.",
					l.uses.Name, k, title(own), own.ID))
			case !slices.ContainsFunc(f.Sections, of):
				diags = append(diags, warning(l.block.DefRange(), "Nobody to ask",
					"%s asks sections of kind %s, and there is none, so that it cannot do its work.", l.uses.Name, k))
			}
		}
	}
	return diags
}

// checkArguments warns of arguments that have no effect without another module.
func (f *File) checkArguments(i int, branches []branch) (diags hcl.Diagnostics) {
	for n, t := range f.traces[i].links {
		link := &f.Sections[i].Chain[n]
		for _, a := range given(t, link) {
			if a.arg.Needs != "" {
				diags = append(diags, f.checkNeighbour(t, link, a)...)
			}
			if a.arg.Hosts != "" {
				diags = append(diags, f.checkHosts(t, a, branches)...)
			}
		}
	}
	return diags
}

// checkNeighbour warns of an argument whose work another module of the same process does,
// where there is none.
func (f *File) checkNeighbour(t linkTrace, link *module.Link, a givenArg) hcl.Diagnostics {
	elsewhere := ""
	for i := range f.Sections {
		for n, l := range f.traces[i].links {
			switch {
			case l.uses.Name != a.arg.Needs:
			case f.Sections[i].Chain[n].Process == link.Process, f.Engine.Isolation == "none":
				return nil
			default:
				elsewhere = " The one at " + place(l.block.DefRange()) + " is in another."
			}
		}
	}
	return hcl.Diagnostics{warning(locate(t.block, a.path), "No effect",
		"%s of %s is served by the module %s of the same process, and there is none.%s", a.arg.Name, t.uses.Name, a.arg.Needs, elsewhere)}
}

// checkHosts warns of hosts in an argument that no section is on, or whose sections lack
// the module that the argument is for.
func (f *File) checkHosts(t linkTrace, a givenArg, branches []branch) (diags hcl.Diagnostics) {
	for host, path := range a.texts() {
		served := slices.ContainsFunc(f.traces, func(t trace) bool { // by one that attaches hosts later
			return slices.ContainsFunc(t.links, func(l linkTrace) bool { return l.uses.Attaches })
		})
		has, hosts := false, []string(nil)
		for _, b := range branches {
			if !strings.HasPrefix(b.host, "*") && !slices.Contains(hosts, b.host) {
				hosts = append(hosts, b.host)
			}
			if (b.host == host || covers(b.host, host)) && slices.Contains(b.section.Kinds, packet.Normal) && b.claims() {
				served = true
				has = has || slices.ContainsFunc(b.trace.links, func(l linkTrace) bool { return l.uses.Name == a.arg.Hosts })
			}
		}
		switch {
		case has:
		case !served:
			diags = append(diags, warning(locate(t.block, path), "No such host", "No section is on %q, so that %s has no effect there.%s", host, a.arg.Name, suggest(host, hosts)))
		default:
			diags = append(diags, warning(locate(t.block, path), "No effect",
				"%s is for hosts that have the module %s, and no section of %q has it.", a.arg.Name, a.arg.Hosts, host))
		}
	}
	return diags
}
