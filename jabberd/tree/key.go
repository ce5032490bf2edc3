package tree

import (
	"hash/maphash"
	"sync"

	"github.com/jabberii/server/jabberd/packet"
)

// keys are the order keys that have packets. A key is a queue made on demand.
// It is named by a 64-bit hash: two keys that met in one would wait for each
// other, once in a very long time, and be right all the same.
type keys struct {
	seed  maphash.Seed
	shard [64]keyShard
}

type keyShard struct {
	mu   sync.Mutex
	keys map[uint64]*key
	free *key
}

// A key is a queue of deliveries of which one is under way, or several in the
// one process that orders them itself. Those whose turn has come are begun by
// one worker at a time, so that they are begun in order.
type key struct {
	under      int      // begun and not ended
	pipe       *section // all of them are with the process of this section
	beginning  bool     // a worker is beginning one
	head, tail *delivery
	nextFree   *key
}

func newKeys() *keys {
	k := &keys{seed: maphash.MakeSeed()}
	for i := range k.shard {
		k.shard[i].keys = map[uint64]*key{}
	}
	return k
}

// of returns the order key of a packet: for Session the connection and the
// direction, for Normal the bare addresses, for XDB asker and owner, for Log
// the writer.
func (ks *keys) of(p *packet.Packet) uint64 {
	const odd = 0x9e3779b97f4a7c15
	h := uint64(p.Kind) + 1
	add := func(s string) { h = (h ^ maphash.String(ks.seed, s)) * odd }
	switch p.Kind {
	case packet.Session:
		t := &p.Near
		if p.Flags&packet.Down != 0 {
			t = &p.Far
			h = 31
		}
		add(t.Host)
		h = (h ^ uint64(t.Slot)<<32 ^ uint64(t.Incarnation) ^ uint64(t.Node)<<16) * odd
	case packet.Normal:
		add(packet.Bare(p.From))
		add(packet.Bare(p.To))
	case packet.XDB:
		add(p.From)
		add(p.To)
	case packet.Log:
		add(p.From)
	}
	return h ^ h>>29
}

// changes returns the order key of the changes of an owner, whoever asks for them.
func (ks *keys) changes(owner string) uint64 { return maphash.String(ks.seed, owner) }

// copies returns the order key of the copies of an owner's changes to a section.
func (ks *keys) copies(s *section, owner string) uint64 {
	return ks.changes(owner) ^ uint64(s.index+1)<<40
}

// enter queues d. It returns what the caller is to begin, nil if d has to wait
// or another worker is at the key. pipeOf says next to which others a delivery
// may be under way: the section to whose process it goes, or nil.
func (ks *keys) enter(d *delivery, pipeOf func(*delivery) *section) *delivery {
	s := &ks.shard[d.key%uint64(len(ks.shard))]
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.keys[d.key]
	if k == nil {
		k = s.take()
		s.keys[d.key] = k
	}
	d.next = nil
	if k.head == nil {
		k.head = d
	} else {
		k.tail.next = d
	}
	k.tail = d
	if k.beginning {
		return nil
	}
	return k.begin(pipeOf)
}

// begin takes the next delivery whose turn has come; the lock is held.
func (k *key) begin(pipeOf func(*delivery) *section) *delivery {
	d := k.head
	k.beginning = false
	if d == nil {
		return nil
	}
	pipe := pipeOf(d)
	if k.under > 0 && (pipe == nil || pipe != k.pipe) {
		return nil
	}
	k.head, d.next = d.next, nil
	k.under++
	k.pipe = pipe
	k.beginning = true
	return d
}

// unpipe says that the delivery which the caller is beginning is not piped after
// all: what comes behind it waits for its end.
func (ks *keys) unpipe(id uint64) {
	s := &ks.shard[id%uint64(len(ks.shard))]
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys[id].pipe = nil
}

// begun says that the caller has begun a delivery, and returns the next that it
// is to begin.
func (ks *keys) begun(id uint64, pipeOf func(*delivery) *section) *delivery {
	s := &ks.shard[id%uint64(len(ks.shard))]
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.keys[id]
	if k == nil {
		return nil
	}
	d := k.begin(pipeOf)
	s.drop(id, k)
	return d
}

// leave ends the turn of a delivery, and returns what the caller is to begin.
func (ks *keys) leave(id uint64, pipeOf func(*delivery) *section) *delivery {
	s := &ks.shard[id%uint64(len(ks.shard))]
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.keys[id]
	k.under--
	if k.beginning {
		return nil
	}
	d := k.begin(pipeOf)
	s.drop(id, k)
	return d
}

// drop forgets a key that nothing is left of; the lock is held.
func (s *keyShard) drop(id uint64, k *key) {
	if k.under == 0 && k.head == nil && !k.beginning {
		delete(s.keys, id)
		*k = key{nextFree: s.free} // its tail would hold the last delivery
		s.free = k
	}
}

func (s *keyShard) take() *key {
	k := s.free
	if k == nil {
		return &key{}
	}
	s.free, k.nextFree = k.nextFree, nil
	return k
}
