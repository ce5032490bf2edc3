package sm

import "sync"

// recent is a table of what was added last, with room for some thousands.
type recent[V any] struct {
	mu    sync.Mutex
	byKey map[string]V
	keys  []string // a ring
	next  int
}

// maxRecent is how many entries the table has at most.
const maxRecent = 4096

// add adds an entry, or changes it, and returns the one that made room for it, if one had to.
func (r *recent[V]) add(key string, v V) (gone V, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.byKey == nil {
		r.byKey = map[string]V{}
	}
	if _, known := r.byKey[key]; !known {
		gone, ok = r.enter(key)
	}
	r.byKey[key] = v
	return gone, ok
}

// enter puts a key into the ring.
func (r *recent[V]) enter(key string) (gone V, ok bool) {
	if len(r.keys) < maxRecent {
		r.keys = append(r.keys, key)
		return gone, false
	}
	gone = r.byKey[r.keys[r.next]]
	delete(r.byKey, r.keys[r.next])
	r.keys[r.next] = key
	r.next = (r.next + 1) % maxRecent
	return gone, true
}

func (r *recent[V]) find(key string) (V, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	v, ok := r.byKey[key]
	return v, ok
}
