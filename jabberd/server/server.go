// Package server brings a server up from a plan, keeps its processes alive and
// stops it: everything between a configuration that was read and packets that
// flow.
//
// It is the same for the core with its plugin processes and for the program
// that links all modules: a plan whose modules are linked has no process but
// this one.
package server

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/jabberd/tree"
	"github.com/jabberii/server/jabberd/wire"
	"github.com/jabberii/server/plugins/sdk/entry"
	"github.com/jabberii/server/plugins/sdk/setting"
)

// startLimit is how long all of a start may take, beyond which something
// hangs that has no timeout of its own.
const startLimit = 5 * time.Minute

// A Server is a running server. Its methods may be called from many
// goroutines.
type Server struct {
	plan      Plan
	sections  []module.Section
	engine    *tree.Engine
	log       *slog.Logger
	runtime   *wire.Runtime // nil without processes
	processes []*process
	made      tree.Made
	started   time.Time
	commands  *commands
	settings  setting.Table // that it answers questions to packet.ServerHost out of
	own       *own
	healer    *healer

	id       uint64
	up       context.Context // of restarts; ends when stopping begins
	halt     context.CancelFunc
	life     context.Context // of links; ends when the server has stopped
	die      context.CancelFunc
	stopping atomic.Bool
	keeping  sync.WaitGroup
}

// Announce says in the log that the server is up.
func (s *Server) Announce() {
	s.log.Info("jabberd is up", "pid", os.Getpid(), "processes", len(s.processes), "sections", len(s.sections))
	s.tellModules(entry.ModuleLoaded)
}

// AnnounceStop says in the log that the server is about to stop.
func (s *Server) AnnounceStop() {
	s.tellModules(entry.ModuleUnloaded)
	s.log.Info("jabberd is stopping")
}

// tellModules has the log tell of an event of each block of the configuration.
func (s *Server) tellModules(event string) {
	for _, section := range s.sections {
		for _, l := range section.Chain {
			s.log.Debug(event, entry.Event, event, "module", l.Module, "label", l.Label, "place", l.Place, "section", section.ID)
		}
	}
}

// Start brings a server up. All that is wrong with blocks is returned at once,
// as [LinkErrors].
func Start(ctx context.Context, plan Plan) (*Server, error) {
	s, places, err := newServer(plan, false)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	if err := s.start(ctx, places); err != nil {
		err = s.lastWords(err)
		s.abandon()
		return nil, err
	}
	return s, nil
}

// lastWords adds to an error what processes said that have died meanwhile,
// which is most likely its cause.
func (s *Server) lastWords(err error) error {
	if errors.As(err, new(LinkErrors)) {
		return err
	}
	// A connection ends a little before its process.
	ctx, found := context.WithTimeout(context.Background(), time.Second)
	defer found()
	var mu sync.Mutex
	_ = s.all(func(p *process) error {
		if p.now == nil {
			return nil
		}
		select {
		case <-p.now.Exited():
			how, words := p.now.Kill()
			mu.Lock()
			defer mu.Unlock()
			err = fmt.Errorf("%w\nprocess %s: %s: %s", err, p.name, how, words)
			found()
		case <-ctx.Done():
		}
		return nil
	})
	return err
}

func newServer(plan Plan, idle bool) (*Server, []*place, error) {
	data, err := filepath.Abs(plan.Data)
	if err != nil {
		return nil, nil, err
	}
	plan.Data, plan.Patience = data, cmp.Or(plan.Patience, 30*time.Second)
	places, sections, err := plan.arrange()
	if err != nil {
		return nil, nil, err
	}
	s := &Server{plan: plan, sections: sections, id: newID(), started: time.Now()}
	s.life, s.die = context.WithCancel(context.Background())
	s.up, s.halt = context.WithCancel(s.life)
	s.engine = tree.New(tree.Config{
		Core: true, ID: s.id, Modules: plan.Programs.linked, Data: data, Fallback: plan.Fallback, Idle: idle,
		Own: func(env module.Env) packet.Handler {
			s.own = newOwn(env, &s.settings, plan.Halt)
			return s.own
		},
	})
	s.log = s.engine.Logger("jabberd")
	return s, places, nil
}

func newID() uint64 {
	var b [8]byte
	_, _ = rand.Read(b[:])
	return binary.LittleEndian.Uint64(b[:]) | 1
}

func (s *Server) start(ctx context.Context, places []*place) error {
	if err := os.MkdirAll(s.plan.Data, 0o700); err != nil {
		return err
	}
	var err error
	if s.runtime, err = wire.OpenRuntime(s.plan.Data); err != nil {
		return err
	}
	s.runtime.EndOthers(func(name string) bool {
		return slices.ContainsFunc(places, func(pl *place) bool { return pl.name == name })
	})
	for _, pl := range places {
		s.processes = append(s.processes, s.newProcess(pl))
	}
	if err := s.all(func(p *process) error { return p.begin(ctx) }); err != nil {
		return err
	}
	if err := s.makeAll(ctx); err != nil {
		return err
	}
	if err := s.engine.Arrange(s.made); err != nil {
		return err
	}
	if s.plan.Settings != nil {
		if err := s.settings.Set(s.plan.Settings(s.made), s.started); err != nil {
			return err
		}
	}
	if err := s.all(func(p *process) error { return p.connect(ctx, s.made) }); err != nil {
		return err
	}
	if err := s.openAll(ctx); err != nil {
		return err
	}
	if s.healer, err = s.newHealer(); err != nil {
		return err
	}
	s.engine.Run()
	if err := s.all(func(p *process) error { return p.work(ctx) }); err != nil {
		return err
	}
	// Commands reach handlers that have started, like packets.
	if s.commands, err = s.listen(); err != nil {
		return err
	}
	for _, p := range s.processes {
		s.keeping.Go(p.keep)
	}
	s.keeping.Go(s.healer.run)
	return nil
}

func (s *Server) newProcess(pl *place) *process {
	settings := s.plan.Processes[pl.name]
	p := &process{place: pl, server: s, settings: settings, remote: s.engine.Remote(pl.name), state: starting}
	p.launch = wire.Launch{
		Process: pl.name, Program: pl.program, Plan: pl.digest(s.sections, s.plan.Data, settings),
		Core: s.id, Env: settings.Env, Line: p.line,
	}
	return p
}

// all does the same with all processes at once.
func (s *Server) all(do func(*process) error) error {
	errs := make([]error, len(s.processes))
	var doing sync.WaitGroup
	for i, p := range s.processes {
		doing.Go(func() { errs[i] = do(p) })
	}
	doing.Wait()
	return errors.Join(errs...)
}

// makeAll makes the handlers of all processes and gathers what they made.
func (s *Server) makeAll(ctx context.Context) error {
	var mu sync.Mutex
	made, wrong := s.engine.Make(s.sections)
	err := s.all(func(p *process) error {
		m, w, err := p.make(ctx)
		mu.Lock()
		defer mu.Unlock()
		made.Join(m)
		wrong = append(wrong, w...)
		return err
	})
	if len(wrong) > 0 {
		sortErrors(wrong)
		return LinkErrors(wrong)
	}
	slices.SortStableFunc(made.Hosts, func(a, b tree.HostChange) int { return cmp.Compare(a.Section, b.Section) })
	s.made = made
	return err
}

func sortErrors(wrong []tree.LinkError) {
	slices.SortStableFunc(wrong, func(a, b tree.LinkError) int {
		return cmp.Or(cmp.Compare(a.Section, b.Section), cmp.Compare(a.Link, b.Link))
	})
}

// openAll starts the handlers, logs and storage first.
func (s *Server) openAll(ctx context.Context) error {
	var mu sync.Mutex
	var wrong LinkErrors
	note := func(err error) error {
		var w *tree.LinkError
		if !errors.As(err, &w) {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		wrong = append(wrong, *w)
		return nil
	}
	for rank := range tree.Ranks {
		err := s.all(func(p *process) error {
			if p.rank() != rank {
				return nil
			}
			return note(p.open(ctx))
		})
		if err != nil {
			return err
		}
	}
	if err := note(s.engine.Start(ctx)); err != nil {
		return err
	}
	if len(wrong) > 0 {
		sortErrors(wrong)
		return wrong
	}
	return nil
}

// wait waits, and reports whether the server goes on.
func (s *Server) wait(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-s.up.Done():
		return false
	}
}

// Stop stops the server: no new work, what is under way ends, all is closed.
// When ctx is done the rest is cut off.
func (s *Server) Stop(ctx context.Context) error {
	if s.stopping.Swap(true) {
		<-s.life.Done()
		return nil
	}
	s.halt()
	var errs []error
	for rank := tree.Ranks - 1; rank >= 0; rank-- {
		s.drainLog(ctx)
		errs = append(errs, s.all(func(p *process) error {
			if p.rank() != rank {
				return nil
			}
			return p.stop(ctx)
		}))
	}
	errs = append(errs, s.engine.Stop(ctx))
	s.keeping.Wait()
	if s.healer != nil {
		s.healer.save() // what was not copied at the end
	}
	s.close()
	return errors.Join(errs...)
}

// drainLog waits a moment until what was logged has reached its handlers.
func (s *Server) drainLog(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	s.engine.DrainLog(ctx)
}

// ReopenLogs has the processes open their log files anew: they get SIGHUP, if
// they catch it. Modules in this process see to it when it gets one.
func (s *Server) ReopenLogs() {
	_ = s.all(func(p *process) error {
		p.mu.Lock()
		now := p.now
		p.mu.Unlock()
		if now == nil {
			return nil
		}
		if err := now.Hangup(); err != nil {
			s.log.Error("process was not told to open its logs anew: "+err.Error(), "process", p.name)
		}
		return nil
	})
}

func (s *Server) close() {
	if s.commands != nil {
		s.commands.close()
	}
	s.die()
	if s.runtime != nil {
		_ = s.runtime.Close()
	}
}

// abandon ends what a start that came to nothing has begun.
func (s *Server) abandon() {
	s.stopping.Store(true)
	s.halt()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	_ = s.all(func(p *process) error { return p.stop(ctx) })
	_ = s.engine.Stop(ctx)
	s.close()
}
