package sm

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/jabberii/server/jabberd/module"
)

var _ module.Finisher = (*Service)(nil)

// Together is what stanzas that came together have led to: one write of the
// journal serves them all, and then what goes to clients leaves.
type together struct {
	mu     sync.Mutex
	wake   []*session // managed, with something to send
	spare  []*session // room for the next
	failed time.Time  // when it was logged last that the journal could not be written
}

// errNotWritten is the error where the end of a packet cannot be put off.
var errNotWritten = errors.New("the journal of sessions cannot be written")

// gather has the packet that is being handled end when what was appended to the
// journal for it is written, and then gives sessions what they have to send.
// It is called within Handle.
func (s *Service) gather(ctx context.Context, wake ...*session) error {
	g := &s.together
	g.mu.Lock()
	for _, x := range wake {
		if n := len(g.wake); n == 0 || g.wake[n-1] != x {
			g.wake = append(g.wake, x)
		}
	}
	g.mu.Unlock()
	if v, ok := s.env.(module.Gatherer); ok {
		v.Gather(ctx)
	} else if !s.Finish() {
		return errNotWritten
	}
	return nil
}

// maxSpare is for how many sessions room is kept.
const maxSpare = 1024

// Finish implements module.Finisher.
func (s *Service) Finish() bool {
	g := &s.together
	g.mu.Lock()
	wake := g.wake
	g.wake, g.spare = g.spare, nil
	g.mu.Unlock()
	if err := s.journal.Commit(); err != nil {
		s.unfinished(wake, err)
		return false
	}
	for _, x := range wake {
		s.drain(x)
	}
	clear(wake)
	if cap(wake) <= maxSpare {
		g.mu.Lock()
		g.spare = wake[:0]
		g.mu.Unlock()
	}
	return true
}

// unfinished keeps sessions for the next try, and says once a second that it
// was not the last.
func (s *Service) unfinished(wake []*session, err error) {
	g := &s.together
	g.mu.Lock()
	g.wake = append(wake, g.wake...)
	now := time.Now()
	say := now.Sub(g.failed) >= time.Second
	if say {
		g.failed = now
	}
	g.mu.Unlock()
	if say {
		s.env.Log().Error("journal: " + err.Error())
	}
}

// finishBeforeWaiting finishes what was gathered so far: what is waited for may
// follow from that. The account is locked, but not meanwhile.
func (s *Service) finishBeforeWaiting(a *account) {
	a.mu.Unlock()
	s.source.Flush()
	a.mu.Lock()
}
