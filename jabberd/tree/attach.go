package tree

import "fmt"

// changeHost attaches or detaches a section while the server runs, and returns
// when all processes know or have been told.
func (e *Engine) changeHost(h HostChange) error {
	if int(h.Section) >= len(e.sections) {
		return fmt.Errorf("there is no section %d", h.Section)
	}
	if e.core != nil {
		return e.core.changeHost(h)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.applyHost(&h)
	h.ID = 0
	for _, r := range e.remotes {
		r.tellHost(&h)
	}
	return nil
}

func (e *Engine) applyHost(h *HostChange) {
	s := e.sections[h.Section]
	if h.Gone {
		e.detach(s, h.Host)
		return
	}
	e.attach(s, h.Host)
}
