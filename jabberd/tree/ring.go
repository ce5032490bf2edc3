package tree

// span is the most that a ring holds from its oldest number to its newest.
// What is older is forgotten.
const span = 1 << 22

// A ring holds what has a number, for numbers that are given out one after
// another and come to an end roughly in that order. It grows with the span
// from the oldest to the newest.
type ring[T any] struct {
	base  uint64 // the lowest number that may be there
	next  uint64 // the one after the highest
	count int
	slots []*T // slots[n & mask]; a power of two
}

// put stores v under n. Numbers below the base are gone and not stored.
func (r *ring[T]) put(n uint64, v *T) {
	if n < r.base {
		return
	}
	if n-r.base >= span {
		r.drop(n - span + 1)
	}
	for n-r.base >= uint64(len(r.slots)) {
		r.grow()
	}
	slot := &r.slots[n&uint64(len(r.slots)-1)]
	if *slot == nil {
		r.count++
	}
	*slot = v
	r.next = max(r.next, n+1)
}

func (r *ring[T]) grow() {
	slots := make([]*T, max(16, 2*len(r.slots)))
	for n := r.base; n < r.next; n++ {
		slots[n&uint64(len(slots)-1)] = r.slots[n&uint64(len(r.slots)-1)]
	}
	r.slots = slots
}

// get returns what n has, nil if nothing.
func (r *ring[T]) get(n uint64) *T {
	if n < r.base || n >= r.next {
		return nil
	}
	return r.slots[n&uint64(len(r.slots)-1)]
}

// take removes what n has and returns it.
func (r *ring[T]) take(n uint64) *T {
	v := r.get(n)
	if v == nil {
		return nil
	}
	r.slots[n&uint64(len(r.slots)-1)] = nil
	r.count--
	for r.base < r.next && r.slots[r.base&uint64(len(r.slots)-1)] == nil {
		r.base++
	}
	return v
}

// drop removes all below n.
func (r *ring[T]) drop(n uint64) {
	for ; r.base < min(n, r.next); r.base++ {
		slot := &r.slots[r.base&uint64(len(r.slots)-1)]
		if *slot != nil {
			*slot = nil
			r.count--
		}
	}
	r.base = max(r.base, n)
	r.next = max(r.next, r.base)
}

// all calls f in the order of the numbers until it returns false. f may take
// the one that it is given.
func (r *ring[T]) all(f func(n uint64, v *T) bool) {
	for n := r.base; n < r.next; n++ {
		if v := r.get(n); v != nil && !f(n, v) {
			return
		}
	}
}
