package acme

import (
	"context"
	"crypto/rand"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jabberii/server/plugins/sdk/xdb"
)

// A lock in storage is an item with the time until which it holds and a name
// of its holder, who renews it. One whose holder has died runs out.
const (
	lockFor   = 2 * time.Minute
	lockRenew = lockFor / 4
	lockRetry = time.Second
)

type lock struct {
	holder string
	rev    xdb.Rev
	stop   context.CancelFunc
	done   chan struct{} // closed when nobody renews it any more
}

// Lock waits until it holds the lock, or ctx is done.
func (s *storage) Lock(ctx context.Context, name string) error {
	l := &lock{holder: rand.Text(), done: make(chan struct{})}
	for {
		taken, err := s.try(ctx, name, l)
		if err != nil {
			return fmt.Errorf("lock %s: %w", name, err)
		}
		if taken {
			break
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("lock %s: %w", name, ctx.Err())
		case <-time.After(lockRetry):
		}
	}
	var renewing context.Context
	renewing, l.stop = context.WithCancel(context.WithoutCancel(ctx))
	go s.renew(renewing, name, l)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held[name] = l
	return nil
}

// try takes the lock if nobody holds it.
func (s *storage) try(ctx context.Context, name string, l *lock) (bool, error) {
	it, found, err := s.store.Get(ctx, s.owner, locksNS, name)
	if err != nil {
		return false, err
	}
	if found {
		until, _, _ := strings.Cut(string(it.Value), " ")
		if seconds, err := strconv.ParseInt(until, 10, 64); err == nil && time.Now().Unix() < seconds {
			return false, nil
		}
		l.rev = it.Rev
	} else {
		l.rev = 0
	}
	return s.extend(ctx, name, l)
}

// extend writes the lock if nobody else has since it was read.
func (s *storage) extend(ctx context.Context, name string, l *lock) (bool, error) {
	value := strconv.FormatInt(time.Now().Add(lockFor).Unix(), 10) + " " + l.holder
	rev, err := s.store.CompareAndSet(ctx, s.owner, locksNS, name, l.rev, []byte(value))
	if xdb.IsConflict(err) {
		return false, nil
	}
	if err == nil {
		l.rev = rev
	}
	return err == nil, err
}

// renew keeps a lock until ctx is done.
func (s *storage) renew(ctx context.Context, name string, l *lock) {
	defer close(l.done)
	ticker := time.NewTicker(lockRenew)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			s.extend(ctx, name, l) // what fails is tried again before the lock runs out
		}
	}
}

// Unlock gives a lock back that Lock has taken.
func (s *storage) Unlock(ctx context.Context, name string) error {
	s.mu.Lock()
	l := s.held[name]
	delete(s.held, name)
	s.mu.Unlock()
	if l == nil {
		return fmt.Errorf("unlock %s: it is not held", name)
	}
	l.stop()
	<-l.done
	// The lock runs out as of now, unless another has taken it meanwhile.
	_, err := s.store.CompareAndSet(ctx, s.owner, locksNS, name, l.rev, []byte("0 "+l.holder))
	if xdb.IsConflict(err) {
		return nil
	}
	return err
}
