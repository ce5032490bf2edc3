package exec

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"time"
)

// errDown says that the program will not run again.
var errDown = errors.New("the program is not running any more")

// A program is kept running: when its process ends another one is started.
type program struct {
	name   string
	args   args
	dir    string
	log    *slog.Logger
	listen func(*process) error

	stop context.CancelFunc // of start
	down chan struct{}      // closed when no process will run any more

	mu      sync.Mutex
	current *process      // nil if none runs
	changed chan struct{} // closed and replaced when current is set
}

// start starts the first process, and goes on in the background until close.
func (g *program) start(ctx context.Context) error {
	life, stop := context.WithCancel(context.WithoutCancel(ctx))
	g.stop = stop
	first := make(chan error, 1)
	go g.keep(life, first)
	err := <-first
	if err != nil {
		stop()
	}
	return err
}

// close stops the program and waits until it has ended.
func (g *program) close() error {
	if g.stop == nil {
		return nil
	}
	g.stop()
	<-g.down
	return nil
}

// keep runs one process after the other, on a thread of its own: the kernel
// signals a process when the thread that has started it ends.
func (g *program) keep(ctx context.Context, first chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer close(g.down)
	pause := g.args.Restart.After.Std()
	for tries := 0; ; tries++ {
		began := time.Now()
		c, err := startProcess(ctx, g)
		if first != nil {
			first <- err
			first = nil
			if err != nil {
				return
			}
		}
		if err == nil {
			g.set(c)
			err = c.attend()
		}
		if ctx.Err() != nil {
			return
		}
		if time.Since(began) > g.args.Restart.UpTo.Std() {
			pause, tries = g.args.Restart.After.Std(), 0
		}
		if g.args.Restart.Times > 0 && tries >= g.args.Restart.Times {
			g.log.Error("program ended too often and is given up", "program", g.name, "how", ended(err))
			return
		}
		g.log.Warn("program ended and is started again", "program", g.name, "how", ended(err), "after", pause.String())
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
		pause = min(2*pause, g.args.Restart.UpTo.Std())
	}
}

func ended(err error) string {
	if err == nil {
		return "exit status 0"
	}
	return err.Error()
}

func (g *program) set(c *process) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.current = c
	if c != nil {
		close(g.changed)
		g.changed = make(chan struct{})
	}
}

// running returns the process, nil if there is none now.
func (g *program) running() (*process, error) {
	select {
	case <-g.down:
		return nil, errDown
	default:
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.current, nil
}

// process returns the process, and waits for it. The error is that of ctx, or
// errDown.
func (g *program) process(ctx context.Context) (*process, error) {
	for {
		g.mu.Lock()
		c, changed := g.current, g.changed
		g.mu.Unlock()
		if c != nil {
			return c, nil
		}
		select {
		case <-changed:
		case <-g.down:
			return nil, fmt.Errorf("%s: %w", g.name, errDown)
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}
