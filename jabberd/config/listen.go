package config

import (
	"net"
	"net/netip"

	"github.com/hashicorp/hcl/v2"

	"github.com/jabberii/server/jabberd/module"
)

// A listener is an address that a link listens on: by convention an argument
// with the name listen.
type listener struct {
	section    *module.Section
	link       *module.Link
	at         hcl.Range
	host, port string
}

// checkListeners reports addresses that are listened on twice: the second
// listener would fail when the server starts.
func (f *File) checkListeners() (diags hcl.Diagnostics) {
	ports := map[string][]listener{}
	for i := range f.Sections {
		for n, t := range f.traces[i].links {
			s := &f.Sections[i]
			l := listener{section: s, link: &s.Chain[n]}
			for _, l := range l.list(t) {
				for _, first := range ports[l.port] {
					if meet(first.host, l.host) {
						diags = append(diags, l.taken(first))
						break
					}
				}
				ports[l.port] = append(ports[l.port], l)
			}
		}
	}
	return diags
}

// list returns the listeners of a link.
func (l listener) list(t linkTrace) (list []listener) {
	for _, v := range given(t, l.link) {
		if v.arg.Name != "listen" {
			continue
		}
		for address, path := range v.texts() {
			host, port, err := net.SplitHostPort(address)
			if err == nil && port != "" && port != "0" {
				l.host, l.port, l.at = host, port, locate(t.block, path)
				list = append(list, l)
			}
		}
	}
	return list
}

// meet reports whether two hosts are one, or one of them has all addresses.
func meet(a, b string) bool {
	x, errX := netip.ParseAddr(a)
	y, errY := netip.ParseAddr(b)
	switch {
	case a == b, errX == nil && x == y:
		return true
	case a == "", b == "", errX == nil && x == netip.IPv6Unspecified(), errY == nil && y == netip.IPv6Unspecified():
		return true // IPv4 is among them
	}
	wide := func(x netip.Addr, y netip.Addr) bool { return x == netip.IPv4Unspecified() && !y.Is6() }
	return wide(x, y) || wide(y, x)
}

// taken is the complaint that another listener has the address. A block that is
// optional may do without.
func (l listener) taken(first listener) *hcl.Diagnostic {
	say := complaint
	if l.link.Optional || first.link.Optional {
		say = warning
	}
	return say(l.at, "Two listeners on one address", "%s listens on %s, and so does %s at %s; only one can.",
		title(l.section), net.JoinHostPort(l.host, l.port), title(first.section), place(first.at))
}
