package server

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/jabberd/tree"
	"github.com/jabberii/server/jabberd/wire"
)

// explainLimit is how long the handlers of a plan may take to explain.
const explainLimit = 30 * time.Second

// Check makes all handlers of a plan, as Start does, and ends the processes
// again: nothing is opened, and a server that runs with the same data folder
// is not disturbed. It returns [LinkErrors] for what is wrong with blocks, and
// what was made.
func Check(ctx context.Context, plan Plan) (tree.Made, error) {
	s, end, err := tryOut(ctx, plan)
	defer end()
	if s == nil {
		return tree.Made{}, err
	}
	return s.made, err
}

// Explain says what a server made from a plan would do with a packet that
// comes when it has just started: nobody is connected, nothing is stored. It
// has no more effects than Check, and returns the same errors.
func Explain(ctx context.Context, plan Plan, p *packet.Packet) (tree.Report, error) {
	s, end, err := tryOut(ctx, plan)
	defer end()
	if err != nil {
		return tree.Report{}, err
	}
	if err := s.engine.Arrange(s.made); err != nil {
		return tree.Report{}, err
	}
	if err := s.all(func(p *process) error { return p.connect(ctx, s.made) }); err != nil {
		return tree.Report{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, explainLimit)
	defer cancel()
	return s.Explain(ctx, p)
}

// tryOut makes the handlers of a plan in processes of their own, which end
// undoes.
func tryOut(ctx context.Context, plan Plan) (s *Server, end func(), err error) {
	end = func() {}
	s, places, err := newServer(plan, true)
	if err != nil {
		return nil, end, err
	}
	dir, err := os.MkdirTemp("", "jabberd-check-")
	if err != nil {
		return nil, end, err
	}
	end = func() {
		s.abandon()
		_ = os.RemoveAll(dir)
	}
	if s.runtime, err = wire.OpenRuntime(dir); err != nil {
		return s, end, fmt.Errorf("check: %w", err)
	}
	for _, pl := range places {
		pl.program = pl.program.OnTrial()
		s.processes = append(s.processes, s.newProcess(pl))
	}
	if err := s.all(func(p *process) error { return p.begin(ctx) }); err != nil {
		return s, end, err
	}
	return s, end, s.makeAll(ctx)
}
