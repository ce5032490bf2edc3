package tree

import (
	"context"
	"io"
	"slices"
	"time"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
)

// Waits between two runs of a Runner that ended by itself.
const (
	firstPause = 100 * time.Millisecond
	longPause  = 30 * time.Second
)

// Run starts the work of the handlers that have any of their own, and lets
// listeners accept. It is called when all processes have started, and returns
// at once.
func (e *Engine) Run() {
	ctx, cancel := context.WithCancel(context.Background())
	e.cancel = cancel
	for _, s := range e.sections {
		for i := range s.links {
			l := &s.links[i]
			if r, ok := l.handler.(module.Runner); ok {
				e.runs.Add(1)
				go e.keepRunning(ctx, s, l, r)
			}
		}
	}
	close(e.ready)
}

// keepRunning runs r again when it ends before its time.
func (e *Engine) keepRunning(ctx context.Context, s *section, l *link, r module.Runner) {
	defer e.runs.Done()
	for pause := firstPause; ; {
		began := time.Now()
		err := r.Run(ctx)
		if ctx.Err() != nil {
			return
		}
		e.log.stopped(s, l, err)
		if time.Since(began) > longPause {
			pause = firstPause
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
		pause = min(2*pause, longPause)
	}
}

// Stop ends the work of the handlers, waits until what is under way here has
// ended or ctx is done, and closes them by rank, those of one in the reverse order of their
// start.
func (e *Engine) Stop(ctx context.Context) error {
	if e.stopping.Swap(true) {
		return nil
	}
	e.cancel()
	ended := make(chan struct{})
	go func() {
		e.runs.Wait()
		<-e.workers.drained()
		close(ended)
	}()
	var err error
	select {
	case <-ended:
	case <-ctx.Done():
		err = ctx.Err()
	}
	for rank := Ranks - 1; rank >= 0; rank-- {
		for _, h := range slices.Backward(e.started[rank]) {
			if c, ok := h.(io.Closer); ok {
				if cerr := c.Close(); err == nil {
					err = cerr
				}
			}
		}
	}
	close(e.stop)
	return err
}

// Ranks is how many ranks there are.
const Ranks = 3

// Rank orders by the kinds that they serve who ends first: those with the highest rank.
// Logs end last, before them storage, and first those that need the two.
func Rank(kinds []packet.Kind) int {
	rank := 0
	for _, k := range kinds {
		switch k {
		case packet.Log:
		case packet.XDB:
			rank = max(rank, 1)
		default:
			rank = Ranks - 1
		}
	}
	return rank
}
