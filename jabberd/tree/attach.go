package tree

import (
	"fmt"

	"github.com/jabberii/server/jabberd/packet"
)

// changeHost attaches or detaches a section while the server runs, and returns
// when all processes know or have been told. by is the process that asks, nil
// in this one.
func (e *Engine) changeHost(h HostChange, by *Remote) error {
	if int(h.Section) >= len(e.sections) {
		return fmt.Errorf("there is no section %d", h.Section)
	}
	if h.Host == packet.ServerHost {
		return errServerHost
	}
	if e.core != nil {
		return e.core.changeHost(h)
	}
	h.ID = 0
	e.mu.Lock()
	defer e.mu.Unlock()
	key := attached{h.Section, h.Host}
	if h.Gone {
		delete(e.attached, key)
	} else {
		e.attached[key] = by
	}
	e.applyHost(&h)
	for _, r := range e.remotes {
		r.tellHost(&h)
	}
	e.send()
	return nil
}

// attached is a host that was attached while the server ran.
type attached struct {
	section uint32
	host    string
}

// attachedBy lists what a process has attached, or with nil what all have.
func (e *Engine) attachedBy(r *Remote) []HostChange {
	e.mu.Lock()
	defer e.mu.Unlock()
	var list []HostChange
	for a, by := range e.attached {
		if r == nil || by == r {
			list = append(list, HostChange{Section: a.section, Host: a.host})
		}
	}
	return list
}

func (e *Engine) applyHost(h *HostChange) {
	s := e.sections[h.Section]
	if h.Gone {
		e.detach(s, h.Host)
		return
	}
	e.attach(s, h.Host)
}
