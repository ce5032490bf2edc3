package tree

import "fmt"

// Dump says what is under way.
func (e *Engine) Dump() string {
	out := ""
	for i := range e.keys.shard {
		s := &e.keys.shard[i]
		s.mu.Lock()
		for id, k := range s.keys {
			out += fmt.Sprintf("key %x under %d beginning %v", id, k.under, k.beginning)
			for d := k.head; d != nil; d = d.next {
				out += fmt.Sprintf(" %s>%s %s", d.p.From, d.p.To, d.p.ID)
			}
			out += "\n"
		}
		s.mu.Unlock()
	}
	e.workers.mu.Lock()
	out += fmt.Sprintf("workers active %d there %d queue %v\n", e.workers.active, e.workers.there, e.workers.first != nil)
	e.workers.mu.Unlock()
	for n, r := range e.remotes {
		r.mu.Lock()
		out += fmt.Sprintf("remote %q walks %d single %d peer %v\n", n, r.walks.count, r.single, r.peer != nil)
		r.mu.Unlock()
	}
	return out
}

// Remembered returns how many verdicts the process has room for.
func (e *Engine) Remembered() int {
	e.core.mu.Lock()
	defer e.core.mu.Unlock()
	n := 0
	for _, m := range e.core.memory {
		n += len(m.said.slots)
	}
	return n
}
