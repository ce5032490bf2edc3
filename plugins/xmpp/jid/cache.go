package jid

import (
	"hash/maphash"
	"strings"
	"sync/atomic"
)

// longestCached is the longest text that a [Cache] keeps, in bytes, so that its
// size is bounded by memory too. Longer addresses exist only to hurt.
const longestCached = 256

// Cache remembers addresses that were parsed lately. Looking one up takes a
// hash and a comparison and allocates nothing, however costly its
// preparation was, and equal addresses share their memory.
//
// It has a fixed number of places; an address takes the place of whichever had
// it before. A Cache may be used by any number of goroutines at once.
type Cache struct {
	seed  maphash.Seed
	mask  uint64
	place []atomic.Pointer[cached]
}

type cached struct {
	text string // as it came, not prepared
	jid  JID
}

// NewCache makes a cache with at least so many places, which are a power of two.
// A full place takes at most 600 bytes, typically 100.
func NewCache(places int) *Cache {
	n := 16
	for n < places && n < 1<<24 {
		n *= 2
	}
	return &Cache{seed: maphash.MakeSeed(), mask: uint64(n - 1), place: make([]atomic.Pointer[cached], n)}
}

// Parse is [Parse] of what may have been seen before.
func (c *Cache) Parse(s string) (JID, error) {
	at := &c.place[maphash.String(c.seed, s)&c.mask]
	if known := at.Load(); known != nil && known.text == s {
		return known.jid, nil
	}
	return c.add(at, strings.Clone(s)) // s may be a part of something large
}

// ParseBytes is [Parse] of bytes, which are not kept: the string is made only if
// it isn't in the cache.
func (c *Cache) ParseBytes(b []byte) (JID, error) {
	at := &c.place[maphash.Bytes(c.seed, b)&c.mask]
	if known := at.Load(); known != nil && known.text == string(b) {
		return known.jid, nil
	}
	return c.add(at, string(b))
}

func (c *Cache) add(at *atomic.Pointer[cached], s string) (JID, error) {
	j, err := Parse(s)
	if err == nil && len(s) <= longestCached {
		at.Store(&cached{text: s, jid: j})
	}
	return j, err
}
