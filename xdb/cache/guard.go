package cache

import (
	"hash/maphash"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jabberii/server/jabberd/packet"
)

// A guard decides which answers may be remembered. An answer may be older than
// a change that was made while it was on its way; so a get is marked with the
// generation of its owner when it is asked, a change begins a new one when it
// is asked and when it is answered, and an answer of an older generation, or
// one that comes while a change is under way, is not remembered.
//
// An asker's questions about an owner are answered one after another. So a
// change is no longer under way when it was answered, when its asker asks
// something else about the owner, or when its time is up; the latter two are
// how one ends whose answer is a refusal or was lost.
//
// Owners share generations by hash, which costs a cache miss and no more.
type guard struct {
	seed   maphash.Seed
	mine   uint64 // in the upper bits of marks: tells them from those of another cache
	shards [1024]shard
}

type shard struct {
	epoch atomic.Uint64 // what was remembered in another one is forgotten

	mu         sync.Mutex
	generation uint64
	changes    map[asked]time.Time // under way, and when their time is up
}

type asked struct{ asker, owner string }

func askedBy(p *packet.Packet) asked { return asked{p.From, p.To} }

// generationBits of a mark are the generation.
const generationBits = 48

func newGuard() *guard {
	return &guard{seed: maphash.MakeSeed(), mine: 1 + rand.Uint64N(1<<16-1)}
}

func (g *guard) shard(owner string) *shard {
	return &g.shards[maphash.String(g.seed, owner)%uint64(len(g.shards))]
}

// mark returns the mark of a get that is asked now.
func (g *guard) mark(s *shard, p *packet.Packet) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.end(askedBy(p))
	return g.mine<<generationBits | s.generation&(1<<generationBits-1)
}

// current reports whether an answer to a get with this mark is that of now.
// The shard is locked.
func (g *guard) current(s *shard, mark uint64) bool {
	if mark != g.mine<<generationBits|s.generation&(1<<generationBits-1) {
		return false
	}
	s.sweep()
	return len(s.changes) == 0
}

// begin notes that a change is under way, until a time at the latest.
func (s *shard) begin(by asked, until time.Time) {
	s.end(by)
	s.generation++
	s.sweep()
	if s.changes == nil {
		s.changes = map[asked]time.Time{}
	}
	s.changes[asked{strings.Clone(by.asker), strings.Clone(by.owner)}] = until
}

// end notes that a change is no longer under way.
func (s *shard) end(by asked) {
	if _, under := s.changes[by]; under {
		s.generation++
		delete(s.changes, by)
	}
}

// sweep ends the changes whose time is up.
func (s *shard) sweep() {
	if len(s.changes) == 0 {
		return
	}
	now := time.Now()
	for by, until := range s.changes {
		if now.After(until) {
			s.end(by)
		}
	}
}
