package tree

import (
	"context"
	"io"
	"time"

	"github.com/jabberii/server/jabberd/module"
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
// ended or ctx is done, and closes them in the reverse order of their start.
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
	for i := len(e.started) - 1; i >= 0; i-- {
		if c, ok := e.started[i].handler.(io.Closer); ok {
			if cerr := c.Close(); err == nil {
				err = cerr
			}
		}
	}
	close(e.stop)
	return err
}
