package server

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/jabberii/server/jabberd/tree"
	"github.com/jabberii/server/jabberd/wire"
)

// The limits of restarts: pauses that grow, and an end to it. A packet that
// kills its handler does so three times before it is bounced, so that the end
// is not near.
const (
	firstPause = 100 * time.Millisecond
	longPause  = 5 * time.Second
	maxDeaths  = 20
	deathSpan  = 10 * time.Minute
)

// A process is one process of the plan, kept alive.
type process struct {
	*place
	server   *Server
	settings Process
	launch   wire.Launch
	remote   *tree.Remote

	restart sync.Mutex // held while the process is started again

	mu     sync.Mutex
	now    *wire.Process
	link   *wire.Link
	ended  chan struct{} // closed when link has ended
	why    error         // it did
	since  time.Time
	deaths []time.Time // recent ones; keep's own
	died   int
	state  string
}

// The states of a process.
const (
	starting = "starting"
	running  = "running"
	waiting  = "restarting"
	given    = "given up"
	stopped  = "stopped"
)

// begin starts the process, or finds it running.
func (p *process) begin(ctx context.Context) error {
	now, err := p.server.runtime.Start(ctx, p.launch)
	if err != nil {
		return fmt.Errorf("process %s: %w", p.name, err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.now, p.since, p.state = now, time.Now(), starting
	p.link, p.ended = nil, nil
	return nil
}

// make makes the handlers, unless the process has them.
func (p *process) make(ctx context.Context) (tree.Made, []tree.LinkError, error) {
	if made, found := p.now.Found(); found {
		return made, nil, nil
	}
	return p.now.Make(ctx, p.server.sections, p.server.plan.Data, p.settings.OrphanGrace)
}

// connect links the process to the core's engine.
func (p *process) connect(ctx context.Context, all tree.Made) error {
	_, found := p.now.Found()
	if !found {
		if err := p.now.Arrange(ctx, all); err != nil {
			return err
		}
	}
	link, err := p.now.Link(p.server.life)
	if err != nil {
		return err
	}
	ended := make(chan struct{})
	p.mu.Lock()
	p.link, p.ended = link, ended
	p.mu.Unlock()
	p.remote.Up(link, p.now.ID())
	if found {
		p.remote.Open()
	}
	go func() {
		p.why = link.Run(p.remote)
		close(ended)
	}()
	return nil
}

// open starts the handlers.
func (p *process) open(ctx context.Context) error {
	if _, found := p.now.Found(); !found {
		if err := p.now.Open(ctx); err != nil {
			return err
		}
	}
	p.remote.Open()
	return nil
}

// work lets the handlers run.
func (p *process) work(ctx context.Context) error {
	if _, found := p.now.Found(); !found {
		if err := p.now.Run(ctx); err != nil {
			return err
		}
	}
	p.say(running)
	return nil
}

func (p *process) say(state string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.state = state
}

// keep starts the process again whenever it ends, until the server stops or
// there is no sense in it.
func (p *process) keep() {
	for p.attend() {
		p.say(waiting)
		for pause := firstPause; ; pause = min(2*pause, longPause) {
			if !p.maySurvive() {
				return
			}
			if !p.server.wait(pause/2 + rand.N(pause)) {
				return
			}
			err := p.again()
			if p.server.stopping.Load() {
				return
			}
			if err == nil {
				break
			}
			p.server.log.Error("process does not come back: "+err.Error(), "process", p.name)
			p.count()
		}
	}
}

// attend waits for the end of the process or of its link, which amounts to the
// same, and buries it. It returns false if the server has stopped it.
func (p *process) attend() bool {
	p.watch()
	if p.server.stopping.Load() {
		return false
	}
	how, words := p.bury()
	why := "closed"
	if p.why != nil {
		why = p.why.Error()
	}
	p.server.log.Error("process died: "+how, "event", "module.error", "process", p.name, "pid", p.now.PID(), "link", why, "output", words)
	p.count()
	return true
}

// watch waits until the link has ended: with the process, but not before all
// that it said was taken. A process that gives no sign of life is killed.
func (p *process) watch() {
	patience := p.server.plan.Patience
	asking := time.NewTicker(patience / 2)
	defer asking.Stop()
	for {
		select {
		case <-p.ended:
			return
		case <-asking.C:
			if !p.now.Answers(p.server.up, patience) {
				p.server.log.Error(fmt.Sprintf("process does not answer for %v and is ended", patience), "process", p.name, "pid", p.now.PID())
				p.now.Kill()
			}
		}
	}
}

// bury makes sure that the process and its link are at their end, and tells
// the engine.
func (p *process) bury() (how, words string) {
	how, words = p.now.Kill()
	if p.ended != nil {
		<-p.ended
		p.remote.Down()
	}
	return how, words
}

func (p *process) count() {
	p.deaths = append(p.deaths, time.Now())
	p.mu.Lock()
	defer p.mu.Unlock()
	p.died++
}

// maySurvive reports whether the process may be started once more, and gives
// it up if not.
func (p *process) maySurvive() bool {
	recent := p.deaths[:0]
	for _, d := range p.deaths {
		if time.Since(d) < deathSpan {
			recent = append(recent, d)
		}
	}
	p.deaths = recent
	if len(recent) <= maxDeaths {
		return true
	}
	p.say(given)
	p.remote.Dead("the service keeps failing")
	p.server.log.Error(fmt.Sprintf("process died %d times within %v and is not started again; its sections bounce", len(recent), deathSpan), "process", p.name)
	return false
}

// again starts the process anew.
func (p *process) again() error {
	p.restart.Lock()
	defer p.restart.Unlock()
	ctx, cancel := context.WithTimeout(p.server.up, startLimit)
	defer cancel()
	if err := p.begin(ctx); err != nil {
		return err
	}
	err := p.restore(ctx)
	if err == nil && p.server.stopping.Load() {
		err = context.Canceled
	}
	if err != nil {
		how, words := p.bury()
		if words != "" {
			err = fmt.Errorf("%w (%s: %s)", err, how, words)
		}
		return err
	}
	p.server.log.Info("process runs again", "process", p.name, "pid", p.now.PID())
	return nil
}

func (p *process) restore(ctx context.Context) error {
	_, wrong, err := p.make(ctx)
	switch {
	case err != nil:
		return err
	case len(wrong) > 0:
		return LinkErrors(wrong)
	}
	if err := p.connect(ctx, p.server.made); err != nil {
		return err
	}
	if err := p.open(ctx); err != nil {
		return err
	}
	return p.work(ctx)
}

// stop ends the process in order. A restart under way has been told to end.
func (p *process) stop(ctx context.Context) error {
	p.restart.Lock()
	defer p.restart.Unlock()
	p.mu.Lock()
	now, link, ended := p.now, p.link, p.ended
	p.state = stopped
	p.mu.Unlock()
	if now == nil || done(now.Exited()) {
		return nil
	}
	err := now.Stop(ctx)
	if link != nil {
		link.Close()
		select {
		case <-ended:
		case <-ctx.Done():
		}
	}
	now.End(ctx)
	return err
}

func done(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// line logs what the process writes to standard error, with the level in
// brackets that it may begin with.
func (p *process) line(text string) {
	level := slog.LevelWarn
	if name, rest, ok := strings.Cut(strings.TrimPrefix(text, "["), "] "); ok && text[0] == '[' {
		var l slog.Level
		if l.UnmarshalText([]byte(name)) == nil {
			level, text = l, rest
		}
	}
	p.server.log.Log(context.Background(), level, text, "process", p.name)
}
