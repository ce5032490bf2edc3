package sm

import (
	"container/list"
	"context"
	"hash/maphash"
	"strings"
	"sync"
	"sync/atomic"
)

// An account is what sm has in memory of one account of its hosts: always
// while it has sessions, and for a while after somebody asked for its roster.
type account struct {
	jid string // bare

	mu       sync.Mutex
	holders  int        // who use it without the lock; while there are any it stays
	sessions []*session // in the order in which they were bound
	roster   roster     // see roster.go

	guard atomic.Pointer[guard] // who is kept away, nil if that is not known, see privacy.go

	// Offline messages, see offline.go and spool.go.
	spool     *spool              // being delivered; nil if not
	retrying  bool                // spoolLater will
	exists    moment              // until then it is known to
	appending bool                // somebody adds one
	storing   int                 // messages on their way into storage
	kept      int                 // messages that got there, or did not
	stored    backlog             // what is in storage
	forgotten int                 // times that some have left it
	taken     map[string]struct{} // keys of those there that a client has

	progress chan struct{} // closed when one of these, or of a session's counts, has changed; nil if nobody waits

	idle *list.Element // its place among those that may be forgotten; guarded by the shard
}

// bound returns the session with a resource, nil if there is none.
func (a *account) bound(resource string) *session {
	for _, x := range a.sessions {
		if x.resource == resource {
			return x
		}
	}
	return nil
}

// accounts are those in memory. A shard is locked before an account, and two
// accounts are never locked at once: what one does to another goes through the
// tree.
type accounts struct {
	seed   maphash.Seed
	shards [64]shard
}

type shard struct {
	mu    sync.RWMutex
	byJID map[string]*account
	idle  list.List // of *account, the one used last in front
	max   int       // of them
}

func (t *accounts) init(idle int) {
	t.seed = maphash.MakeSeed()
	for i := range t.shards {
		t.shards[i].byJID = map[string]*account{}
		t.shards[i].idle.Init()
	}
	t.resize(idle)
}

func (t *accounts) resize(idle int) {
	for i := range t.shards {
		sh := &t.shards[i]
		sh.mu.Lock()
		sh.max = (idle + len(t.shards) - 1) / len(t.shards)
		sh.mu.Unlock()
	}
}

func (t *accounts) shard(jid string) *shard {
	return &t.shards[maphash.String(t.seed, jid)%uint64(len(t.shards))]
}

// lock returns the account with a bare JID, locked, or nil if it is not in
// memory: then it has no sessions.
func (t *accounts) lock(jid string) *account {
	sh := t.shard(jid)
	sh.mu.RLock()
	defer sh.mu.RUnlock()
	a := sh.byJID[jid]
	if a != nil {
		a.mu.Lock()
	}
	return a
}

// hold returns the account with a bare JID, unlocked. It stays in memory until
// release.
func (t *accounts) hold(jid string) *account {
	sh := t.shard(jid)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	a := sh.byJID[jid]
	if a == nil {
		a = &account{jid: strings.Clone(jid), stored: backlog{count: unknown}}
		sh.byJID[a.jid] = a
	}
	if a.idle != nil {
		sh.idle.Remove(a.idle)
		a.idle = nil
	}
	a.mu.Lock()
	a.holders++
	a.mu.Unlock()
	return a
}

// release undoes hold. Of accounts that nobody holds and that have no sessions,
// those used last are kept for their roster, and for how much they have stored.
func (t *accounts) release(a *account) {
	a.mu.Lock()
	a.holders--
	unused := a.holders == 0 && len(a.sessions) == 0
	a.mu.Unlock()
	if !unused {
		return
	}
	sh := t.shard(a.jid)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.holders > 0 || len(a.sessions) > 0 || a.idle != nil || sh.byJID[a.jid] != a {
		return
	}
	if !a.roster.loaded && a.stored.count < 0 {
		delete(sh.byJID, a.jid)
		return
	}
	a.idle = sh.idle.PushFront(a)
	for sh.idle.Len() > sh.max {
		last := sh.idle.Remove(sh.idle.Back()).(*account)
		last.idle = nil
		delete(sh.byJID, last.jid)
	}
}

// signal wakes those who wait for progress. The account is locked.
func (a *account) signal() {
	if a.progress != nil {
		close(a.progress)
		a.progress = nil
	}
}

// await waits until something of an account has changed. It is locked before
// and after.
func (s *Service) await(ctx context.Context, a *account) error {
	if a.progress == nil {
		a.progress = make(chan struct{})
	}
	wait := a.progress
	a.mu.Unlock()
	defer a.mu.Lock()
	select {
	case <-wait:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-s.ctx.Done():
		return s.ctx.Err()
	}
}

// each calls f with every account that is in memory, locked.
func (t *accounts) each(f func(*account)) {
	for i := range t.shards {
		sh := &t.shards[i]
		sh.mu.RLock()
		for _, a := range sh.byJID {
			a.mu.Lock()
			f(a)
			a.mu.Unlock()
		}
		sh.mu.RUnlock()
	}
}
