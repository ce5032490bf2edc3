package tree

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jabberii/server/jabberd/packet"
)

// A Stale says that a store lacks changes that another has made: those of a
// namespace, of all that an owner has, or of all that is in the store. It is
// not asked in another's stead until somebody has copied them anew.
type Stale struct {
	Section string    `json:"section"`
	Scope   Scope     `json:"scope"`
	Owner   string    `json:"owner,omitempty"`     // unless it is all of the store
	NS      string    `json:"namespace,omitempty"` // if it is one namespace
	Since   time.Time `json:"since"`
	Reason  string    `json:"reason"`
}

// Asked is the Reason of what is copied anew because somebody wants it to be.
const Asked = "it was asked for"

// A Scope is how much is stale.
type Scope string

// The scopes.
const (
	StaleSpace Scope = "namespace"
	StaleOwner Scope = "owner"
	StaleStore Scope = "store"
)

// what says what is stale.
func (s *Stale) what() string {
	switch s.Scope {
	case StaleSpace:
		return "the namespace"
	case StaleOwner:
		return "all that the owner has"
	}
	return "all that is in the store"
}

// Of an owner with more than maxStaleSpaces stale namespaces all is stale, and
// of a store with more than maxStaleOwners such owners everything.
const (
	maxStaleSpaces = 16
	maxStaleOwners = 1000
)

// stales are what is known to be stale.
type stales struct {
	log     *logs
	mu      sync.Mutex
	stores  map[string]*staleStore // by section
	changes chan struct{}          // of length 1: something has changed
}

type staleStore struct {
	all     *Stale
	owners  map[string]*staleOwner
	down    bool // it did not answer: no copies are tried until somebody says so
	mending bool // all of it is being copied: what fails meanwhile is noted apart
}

type staleOwner struct {
	all    *Stale
	spaces map[string]*Stale
}

// store returns what is known of a section; the lock is held.
func (l *stales) store(section string) *staleStore {
	st := l.stores[section]
	if st == nil {
		if l.stores == nil {
			l.stores = map[string]*staleStore{}
		}
		st = &staleStore{owners: map[string]*staleOwner{}}
		l.stores[section] = st
	}
	return st
}

// has reports whether a namespace is stale in a section.
func (l *stales) has(section, owner, ns string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	st := l.stores[section]
	if st == nil {
		return false
	}
	o := st.owners[owner]
	return st.all != nil || o != nil && (o.all != nil || o.spaces[ns] != nil)
}

// down reports whether a section did not answer lately, and notes then that the
// copy of p is not made.
func (l *stales) down(section string, p *packet.Packet) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if st := l.stores[section]; st == nil || !st.down {
		return false
	}
	l.add(&Stale{Section: section, Owner: p.To, NS: p.NS, Reason: "it did not answer before"}, false)
	return true
}

// failed notes that a copy was not made.
func (l *stales) failed(d *delivery) { l.refused(d.p.Section, &d.p, d.reason) }

// refused notes that a section did not make a change that others have made.
func (l *stales) refused(section string, p *packet.Packet, why *packet.Reject) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if Unreachable(why) {
		l.store(section).down = true
	}
	l.add(&Stale{Section: section, Owner: p.To, NS: p.NS, Reason: why.Error()}, true)
}

// Unreachable reports whether an error says that nobody answers, rather than
// that somebody refuses.
func Unreachable(why *packet.Reject) bool {
	return why.Condition == "service-unavailable" || why.Condition == "remote-server-timeout"
}

// add notes what is stale; the lock is held. A batch in several namespaces has
// none, and is about all that the owner has.
func (l *stales) add(s *Stale, say bool) {
	st := l.store(s.Section)
	if st.all != nil && !st.mending {
		return
	}
	if s.Since.IsZero() {
		s.Since = time.Now()
	}
	if s.Scope == "" {
		s.Scope = StaleSpace
		if s.NS == "" {
			s.Scope = StaleOwner
		}
	}
	if !st.add(s) {
		return
	}
	l.changed()
	if say || s.Scope == StaleStore {
		l.log.stale(s)
	}
}

// add reports whether s, which may come to be of a larger scope, was not known.
func (st *staleStore) add(s *Stale) bool {
	if s.Scope == StaleStore || st.owners[s.Owner] == nil && len(st.owners) == maxStaleOwners {
		s.Scope, s.Owner, s.NS = StaleStore, "", ""
		st.all, st.owners, st.mending = s, map[string]*staleOwner{}, false
		return true
	}
	o := st.owners[s.Owner]
	if o == nil {
		o = &staleOwner{spaces: map[string]*Stale{}}
		st.owners[s.Owner] = o
	}
	switch {
	case o.all != nil, s.Scope == StaleSpace && o.spaces[s.NS] != nil:
		return false
	case s.Scope == StaleOwner, len(o.spaces) == maxStaleSpaces:
		s.Scope, s.NS = StaleOwner, ""
		o.all, o.spaces = s, nil
	default:
		o.spaces[s.NS] = s
	}
	return true
}

func (l *stales) changed() {
	select {
	case l.changes <- struct{}{}:
	default:
	}
}

// Stale returns what is stale, in the order of sections, owners and namespaces.
func (e *Engine) Stale() []Stale {
	l := &e.stale
	l.mu.Lock()
	defer l.mu.Unlock()
	var all []Stale
	for _, st := range l.stores {
		if st.all != nil {
			all = append(all, *st.all)
		}
		for _, o := range st.owners {
			if o.all != nil {
				all = append(all, *o.all)
			}
			for _, s := range o.spaces {
				all = append(all, *s)
			}
		}
	}
	slices.SortFunc(all, func(a, b Stale) int {
		return cmp.Or(cmp.Compare(a.Section, b.Section), cmp.Compare(a.Owner, b.Owner), cmp.Compare(a.NS, b.NS))
	})
	return all
}

// StaleChanged returns a channel on which a value comes after what is stale
// has changed.
func (e *Engine) StaleChanged() <-chan struct{} { return e.stale.changes }

// MarkStale notes what is stale: what another process knew, or what somebody
// wants to have copied.
func (e *Engine) MarkStale(all ...Stale) {
	e.stale.mu.Lock()
	defer e.stale.mu.Unlock()
	for i := range all {
		e.stale.add(&all[i], false)
	}
}

// Mend says that what is stale is being copied: changes are copied to the
// section again from now on.
func (e *Engine) Mend(s Stale) {
	e.stale.mu.Lock()
	defer e.stale.mu.Unlock()
	st := e.stale.store(s.Section)
	st.down = false
	st.mending = s.Scope == StaleStore && st.all != nil
}

// Mended says that what was stale was copied: with Alone, or of a store as a
// whole each of its owners.
func (e *Engine) Mended(s Stale) {
	l := &e.stale
	l.mu.Lock()
	defer l.mu.Unlock()
	st := l.store(s.Section)
	switch o := st.owners[s.Owner]; {
	case s.Scope == StaleStore:
		if st.mending { // else it was marked again
			st.all, st.mending = nil, false
		}
	case o == nil:
	case s.Scope == StaleOwner:
		o.all = nil
	default:
		delete(o.spaces, s.NS)
	}
	if o := st.owners[s.Owner]; o != nil && o.all == nil && len(o.spaces) == 0 {
		delete(st.owners, s.Owner)
	}
	if st.all == nil && len(st.owners) == 0 && !st.down {
		delete(l.stores, s.Section)
	}
	l.changed()
}

// GaveUp says that what is stale could not be copied, and why.
func (e *Engine) GaveUp(s Stale, why *packet.Reject) {
	e.stale.mu.Lock()
	defer e.stale.mu.Unlock()
	st := e.stale.store(s.Section)
	st.mending = false
	st.down = st.down || Unreachable(why)
}

// Domains returns the domains that are served: the names of hosts, but for those
// with an asterisk, in order.
func (e *Engine) Domains() []string {
	seen := map[string]bool{}
	for k := range e.kinds {
		e.kinds[k].each(func(host string, b *branch) {
			if !strings.HasPrefix(host, "*") && b.counted > 0 {
				seen[host] = true
			}
		})
	}
	return slices.Sorted(maps.Keys(seen))
}

// Stores returns the sections that may have something of an owner, in the order
// of the file.
func (e *Engine) Stores(owner string) (sections []string) {
	if b := e.branchOf(&packet.Packet{Kind: packet.XDB, To: owner}); b != nil {
		for _, s := range b.sections {
			if !s.observe {
				sections = append(sections, s.id)
			}
		}
	}
	return sections
}
