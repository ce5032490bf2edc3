package tree

import (
	"slices"
	"time"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
)

// Defaults of a section.
const (
	defaultTimeout = 30 * time.Second
	defaultQueue   = 10000
)

// A section is one section of the tree, compiled: its chain as steps.
type section struct {
	index   uint32
	id      string
	kinds   []packet.Kind
	place   string
	observe bool
	uplink  bool
	falls   bool    // where it has nothing, the next store is asked
	local   bool    // no step is a hop, nor a module.Hop
	pipe    *Remote // the one process that does it all: its packets need not wait for one another's verdict
	hops    bool    // it is one module.Hop: the same holds
	timeout time.Duration
	queue   int
	links   []link
	steps   []step
	alone   *branch // of this section only, for an observer's copy
}

// A link is one block of a chain.
type link struct {
	module.Link
	handler   packet.Handler // nil in another process, and of a passive module
	watcher   module.Watcher // handler, if it is one
	gathering *gathering     // of handler, if it is a module.Finisher
	claims    module.Claims  // what it declares
	passive   bool
	watches   bool // somebody there wants to see answers
}

// A step is what the engine does at once: ask one handler, or hand over, to a
// process that asks several or to a handler that says later how it ended.
type step struct {
	link    int // the first link
	handler packet.Handler
	hop     module.Hop // handler, if it is one
	remote  *Remote
	watches bool
	onCrash module.OnCrash // while the remote is gone
	timeout time.Duration  // of the links that have one, the longest; 0 is the section's
}

func newSection(index int, m *module.Section) *section {
	s := &section{
		index: uint32(index), id: m.ID, kinds: m.Kinds, place: m.Place,
		observe: m.Observe, uplink: m.Uplink, falls: m.Fallback, timeout: m.Timeout, queue: m.Queue,
	}
	if s.timeout == 0 {
		s.timeout = defaultTimeout
	}
	if s.queue == 0 {
		s.queue = defaultQueue
	}
	for _, l := range m.Chain {
		s.links = append(s.links, link{Link: l})
	}
	return s
}

// compile makes the steps. Neighbours that run in one other process are one
// hop.
func (s *section) compile(e *Engine) {
	s.steps, s.local = nil, true
	for i := range s.links {
		l := &s.links[i]
		switch {
		case l.passive:
		case l.Process == e.config.Process:
			hop, _ := l.handler.(module.Hop)
			s.local = s.local && hop == nil // the core holds, and names, what is handed over
			s.steps = append(s.steps, step{link: i, handler: l.handler, hop: hop, watches: l.watcher != nil})
		default:
			s.local = false
			r := e.Remote(l.Process)
			if n := len(s.steps); n > 0 && s.steps[n-1].remote == r && s.links[s.steps[n-1].link].OnCrash == l.OnCrash {
				last := &s.steps[n-1]
				last.watches = last.watches || l.watches
				last.timeout = max(last.timeout, l.Timeout)
				continue
			}
			s.steps = append(s.steps, step{link: i, remote: r, watches: l.watches, onCrash: l.OnCrash, timeout: l.Timeout})
		}
	}
	s.alone = newBranch("", []*section{s})
	s.pipe, s.hops = nil, false
	if len(s.steps) == 1 {
		s.pipe, s.hops = s.steps[0].remote, s.steps[0].hop != nil
	}
}

// run returns the links from one on that run in this process without a
// foreign one between them: those that one hop asks.
func (s *section) run(from int, process string) []link {
	from = min(from, len(s.links)) // it may come from another process
	to := from
	for to < len(s.links) && (s.links[to].passive || s.links[to].Process == process) {
		to++
	}
	return s.links[from:to]
}

// on reports whether the section takes packets of a kind.
func (s *section) on(k packet.Kind) bool { return slices.Contains(s.kinds, k) }

// observerKey returns the order key that an observer's copies have: they wait
// for each other and hold up nobody else.
func (s *section) observerKey(key uint64) uint64 { return key ^ uint64(s.index+1)<<40 }
