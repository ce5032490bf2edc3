package cache

import (
	"hash/maphash"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// A guard decides which answers may be remembered. An answer may be older than
// a change that was made while it was on its way; so a get is marked with the
// generation of its owner when it is asked, a change begins a new one when it
// is asked and when it is answered, and an answer of an older generation, or
// one that comes while a change is under way, is not remembered.
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
	changes    int       // under way
	until      time.Time // no change under way is answered after it
}

// generationBits of a mark are the generation.
const generationBits = 48

func newGuard() *guard {
	return &guard{seed: maphash.MakeSeed(), mine: 1 + rand.Uint64N(1<<16-1)}
}

func (g *guard) shard(owner string) *shard {
	return &g.shards[maphash.String(g.seed, owner)%uint64(len(g.shards))]
}

// mark returns the mark of a get that is asked now.
func (g *guard) mark(s *shard) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return g.mine<<generationBits | s.generation&(1<<generationBits-1)
}

// current reports whether an answer to a get with this mark is that of now.
// The shard is locked.
func (g *guard) current(s *shard, mark uint64) bool {
	if mark != g.mine<<generationBits|s.generation&(1<<generationBits-1) {
		return false
	}
	if s.changes > 0 && time.Now().After(s.until) {
		s.changes = 0 // their answers were lost
	}
	return s.changes == 0
}

// begin notes that a change is under way until it is answered, or until a time.
func (s *shard) begin(until time.Time) {
	s.generation++
	if s.changes++; until.After(s.until) {
		s.until = until
	}
}

// end notes that a change was answered.
func (s *shard) end() {
	s.generation++
	s.changes = max(s.changes-1, 0)
}
