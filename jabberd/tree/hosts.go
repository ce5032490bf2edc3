package tree

import (
	"slices"
	"strings"

	"github.com/jabberii/server/jabberd/packet"
)

// HostSections are a host and the sections that are attached to it.
type HostSections struct {
	Host     string        `json:"host"` // or "*.suffix", or "*"
	Sections []HostSection `json:"sections"`
}

// A HostSection is one section on one kind's branch of a host.
type HostSection struct {
	Kind     packet.Kind `json:"kind"`
	ID       string      `json:"id"`
	Place    string      `json:"place"` // file:line
	Observer bool        `json:"observer,omitempty"`
}

// Hosts lists the hosts there are now, by name. The server's own and the
// addresses of connections are not among them.
func (e *Engine) Hosts() []HostSections {
	all := map[string]*HostSections{}
	for kind := range e.kinds {
		e.kinds[kind].each(func(host string, b *branch) {
			for _, s := range b.sections {
				if host == packet.ServerHost || host == s.id && packet.Kind(kind) == packet.Session && !slices.Contains(s.kinds, packet.Normal) {
					continue
				}
				h := all[host]
				if h == nil {
					h = &HostSections{Host: host}
					all[host] = h
				}
				h.Sections = append(h.Sections, HostSection{packet.Kind(kind), s.id, s.place, s.observe})
			}
		})
	}
	list := make([]HostSections, 0, len(all))
	for _, h := range all {
		list = append(list, *h)
	}
	slices.SortFunc(list, func(a, b HostSections) int { return strings.Compare(a.Host, b.Host) })
	return list
}
