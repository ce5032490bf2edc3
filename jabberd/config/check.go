package config

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
)

// Check takes what came of making the handlers; see also CheckFiles. It reports what they refused
// and, if all is right so far, warns of what is legal but surely not meant.
func (f *File) Check(made []Made) hcl.Diagnostics {
	var diags hcl.Diagnostics
	for _, m := range made {
		if m.Err != nil {
			diags = append(diags, f.Refused(m.Section, m.Link, m.Err))
		}
	}
	f.failed = f.failed || diags.HasErrors()
	if f.failed {
		return diags
	}
	branches := f.branches(made)
	reached := map[int]bool{}
	for _, b := range branches {
		reached[b.index] = true
	}
	for i := range f.Sections {
		diags = append(diags, f.checkChain(i)...)
		diags = append(diags, f.checkReach(i, reached[i])...)
		diags = append(diags, f.checkNeeds(i)...)
		diags = append(diags, f.checkArguments(i, branches)...)
	}
	diags = append(diags, checkClaimers(branches)...)
	diags = append(diags, checkTaps(branches)...)
	diags = append(diags, f.checkFallbacks(branches)...)
	diags = append(diags, f.checkStores(branches)...)
	diags = append(diags, f.checkListeners()...)
	return append(diags, f.checkProcesses()...)
}

// A branch is one section on one host, or on the uplink.
type branch struct {
	section *module.Section
	index   int // of the section
	trace   *trace
	host    string    // "" is the uplink
	at      hcl.Range // what attaches it
}

// branches lists what the handlers attached, in the order of the file.
func (f *File) branches(made []Made) []branch {
	hosts := map[string][]Made{}
	for _, m := range made {
		hosts[m.Section] = append(hosts[m.Section], m)
	}
	var list []branch
	for i := range f.Sections {
		s, t := &f.Sections[i], &f.traces[i]
		seen := map[string]bool{"": true}
		for _, m := range hosts[s.ID] {
			for _, host := range m.Hosts {
				if seen[host] || m.Link < 0 || m.Link >= len(t.links) {
					continue
				}
				list = append(list, branch{s, i, t, host, locate(t.links[m.Link].block, []string{"label"})})
				seen[host] = true
			}
		}
		if s.Uplink {
			list = append(list, branch{s, i, t, "", nthBlock(t.block.Body, "uplink", 0).TypeRange})
		}
	}
	return list
}

// checkChain warns of a chain that handles nothing, and of links that are
// never asked.
func (f *File) checkChain(i int) (diags hcl.Diagnostics) {
	t, claimer, last := &f.traces[i], "", ""
	links := 0
	for _, l := range t.links {
		switch {
		case l.uses.Passive:
			continue
		case claimer != "":
			return append(diags, warning(l.block.DefRange(), "Never asked",
				"%s stands behind %s, which claims every packet. Put it in front, or in a section of its own.", l.uses.Name, claimer))
		case last != "":
			diags = append(diags, warning(l.block.DefRange(), "Never asked",
				"%s stands behind %s, which answers what nobody in front of it has claimed. Put it in front.", l.uses.Name, last))
		case l.uses.Claims == module.ClaimsAll:
			claimer = l.uses.Name
		case l.uses.Claims == module.ClaimsRest:
			last = l.uses.Name
		}
		links++
	}
	if links == 0 {
		diags = append(diags, warning(t.block.DefRange(), "Empty section",
			"No block in it handles packets, so nothing becomes of those that come."))
	}
	return diags
}

// checkReach warns of a section that no packet can come to.
func (f *File) checkReach(i int, attached bool) hcl.Diagnostics {
	s, t := &f.Sections[i], &f.traces[i]
	later := slices.ContainsFunc(t.links, func(l linkTrace) bool { return l.uses.Attaches })
	if attached || later || !slices.ContainsFunc(s.Kinds, func(k packet.Kind) bool { return k != packet.Session }) {
		return nil // a connection's section is found by its id
	}
	return hcl.Diagnostics{warning(t.block.DefRange(), "Never reached",
		`No host leads to it. Write host "NAME" {} in it, host "*" {} for all hosts that no other section has, or uplink {}.`)}
}

// claims reports whether a branch may claim packets: it does not only observe,
// and one of its links claims.
func (b branch) claims() bool {
	return !b.section.Observe && slices.ContainsFunc(b.trace.links, func(l linkTrace) bool {
		return !l.uses.Passive && l.uses.Claims != module.ClaimsNone
	})
}

// checkClaimers warns of packets that two sections would both act upon. In xdb
// and log that is how copies are made.
func checkClaimers(branches []branch) (diags hcl.Diagnostics) {
	claimers := map[string][]branch{} // by host
	for _, b := range branches {
		if !b.claims() {
			continue
		}
		for _, first := range claimers[b.host] {
			if kind := sharedKind(first.section, b.section); kind != "" {
				diags = append(diags, warning(b.at, "Two sections claim one host",
					"%s at %s takes %s packets for %s too: each gets a copy, and both act on it. Add observe = true to the one that only looks on.",
					title(first.section), place(first.at), kind, hostName(b.host)))
				break
			}
		}
		claimers[b.host] = append(claimers[b.host], b)
	}
	return diags
}

// sharedKind returns normal or session if both sections are of it.
func sharedKind(a, b *module.Section) string {
	for _, k := range []packet.Kind{packet.Normal, packet.Session} {
		if slices.Contains(a.Kinds, k) && slices.Contains(b.Kinds, k) {
			return k.String()
		}
	}
	return ""
}

// checkFallbacks warns of stores that have none to fall back to.
func (f *File) checkFallbacks(branches []branch) (diags hcl.Diagnostics) {
	for i := range f.Sections {
		s := &f.Sections[i]
		if !s.Fallback {
			continue
		}
		at := f.traces[i].block.Body.Attributes["fallback"].NameRange
		if s.Observe {
			diags = append(diags, warning(at, "Useless fallback", "%s observes: it is not asked, and nobody in its stead.", title(s)))
			continue
		}
		for _, b := range branches {
			if b.section == s && !slices.ContainsFunc(branches, b.fallsTo) {
				diags = append(diags, warning(at, "Useless fallback",
					"No xdb section for %s stands behind %s, so there is none to ask where it has nothing. The order of the file counts.", hostName(b.host), title(s)))
			}
		}
	}
	return diags
}

// fallsTo reports whether another branch may answer where b has nothing.
func (b branch) fallsTo(other branch) bool {
	return other.host == b.host && other.index > b.index && sameKind(other.section, b.section) && other.claims()
}

// manyHosts is as many as a warning lists.
const manyHosts = 5

// checkTaps warns of sections that look on at many hosts and miss those that
// others have taken for themselves.
func checkTaps(branches []branch) (diags hcl.Diagnostics) {
	for _, tap := range branches {
		if tap.claims() {
			continue
		}
		var missed []string
		seen := map[string]bool{}
		for _, b := range branches {
			seen[b.host] = seen[b.host] || b.section == tap.section
		}
		for _, b := range branches {
			if !seen[b.host] && covers(tap.host, b.host) && sameKind(tap.section, b.section) {
				missed = append(missed, fmt.Sprintf("%q (%s)", b.host, place(b.at)))
				seen[b.host] = true
			}
		}
		if more := len(missed) - manyHosts; more > 0 {
			missed = append(missed[:manyHosts], fmt.Sprintf("%d others", more))
		}
		if len(missed) > 0 {
			diags = append(diags, warning(tap.at, "Packets pass by",
				"%s does not see the packets of %s, which other sections are on: an exact host goes before a wildcard. Attach it to each of them too.",
				title(tap.section), listed(missed)))
		}
	}
	return diags
}

// covers reports whether a wildcard would get the packets of host if nobody
// else were on it.
func covers(wide, host string) bool {
	suffix, isSuffix := strings.CutPrefix(wide, "*")
	switch {
	case host == "" || host == wide:
		return false
	case wide == "*":
		return true
	}
	return isSuffix && len(host) > len(wide) && strings.HasSuffix(host, suffix)
}

func sameKind(a, b *module.Section) bool {
	return slices.ContainsFunc(a.Kinds, func(k packet.Kind) bool { return slices.Contains(b.Kinds, k) })
}

// hostName names a host in a sentence.
func hostName(host string) string {
	switch host {
	case "":
		return "the uplink"
	case "*":
		return "all other hosts"
	}
	return fmt.Sprintf("%q", host)
}

// checkProcesses warns of settings for processes that nothing runs in.
func (f *File) checkProcesses() (diags hcl.Diagnostics) {
	used := map[string]bool{}
	for _, name := range []string{"basemods", "xdb", "logmods", "plugins"} {
		used[name] = true // they have modules without being asked to
	}
	var named []string
	for _, s := range f.Sections {
		for _, l := range s.Chain {
			if l.Process != "" && !used[l.Process] {
				named = append(named, l.Process)
			}
			used[l.Process] = true
		}
	}
	forked := func(process string) bool { // behind fork, PROGRAM.SECTION
		return slices.ContainsFunc(f.Sections, func(s module.Section) bool {
			return strings.HasSuffix(process, "."+s.ID) && slices.ContainsFunc(s.Chain, func(l module.Link) bool { return l.Module == "fork" })
		})
	}
	for _, p := range f.Plugins {
		used[p.Name] = true
	}
	for _, p := range f.Processes {
		if !used[p.Name] && !forked(p.Name) {
			diags = append(diags, warning(f.declared["process "+p.Name], "Unused process",
				"No block has process = %q.%s", p.Name, suggest(p.Name, named)))
		}
	}
	return diags
}
