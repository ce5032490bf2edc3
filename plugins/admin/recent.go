package admin

import (
	"context"
	"sync"
	"time"
)

// freshness is for how long what was read from storage is taken to be so.
const freshness = 2 * time.Second

// maxRecent is of how many hosts something is kept.
const maxRecent = 1000

// recent keeps what was read of hosts for a moment. The zero value is ready; it is safe
// for concurrent use. What it holds is shared and not to be changed.
type recent[T any] struct {
	mu      sync.Mutex
	hosts   map[string]reading[T]
	changes int
}

type reading[T any] struct {
	value T
	until time.Time
}

// get returns what is known of a host, or reads it.
func (r *recent[T]) get(ctx context.Context, host string, read func(context.Context, string) (T, error)) (T, error) {
	now := time.Now()
	r.mu.Lock()
	held, known := r.hosts[host]
	changes := r.changes
	r.mu.Unlock()
	if known && now.Before(held.until) {
		return held.value, nil
	}
	value, err := read(ctx, host)
	if err != nil {
		return value, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.hosts == nil || len(r.hosts) >= maxRecent {
		r.hosts = map[string]reading[T]{}
	}
	if r.changes == changes { // or it may be what was there before the change
		r.hosts[host] = reading[T]{value, now.Add(freshness)}
	}
	return value, nil
}

// forget has a host read again: something has changed.
func (r *recent[T]) forget(host string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.changes++
	delete(r.hosts, host)
}
