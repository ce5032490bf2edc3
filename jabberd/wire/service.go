package wire

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"net"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/jabberd/tree"
	"github.com/jabberii/server/jabberd/wire/plugin"
)

// Protocol is the version of plugin.proto that this package speaks, and SDK
// what a program written with it says that it is.
const (
	Protocol = 1
	SDK      = "go 0.1"
)

const (
	unlinked   = time.Minute     // that a process waits for its first link
	orphanStop = 2 * time.Second // that one without a core takes to end

	acceptPause = 50 * time.Millisecond // after an error
)

// A service is the plugin's side of the protocol: an engine with handlers,
// which a core makes, links and stops.
type service struct {
	plugin.UnimplementedPluginServer
	modules  []module.Module
	id       uint64
	fallback func(*packet.Packet)
	lasting  bool   // it outlives its cores: it is run by a person
	socket   string // path, for links without gRPC

	linking sync.Mutex // held while one link takes the place of another

	mu     sync.Mutex
	core   uint64 // identity of the core that called Describe last
	engine *tree.Engine
	plan   string
	ran    bool // all has started: a new core can go on with it
	made   tree.Made
	grace  time.Duration
	linked bool // there was a link
	link   *Link
	ended  chan struct{} // closed when link has ended
	alone  *time.Timer   // runs while there is no link

	stopped chan struct{} // closed by Stop, and when nobody came
	once    sync.Once
	orphan  chan struct{} // closed when the core is gone before Run
	orphans sync.Once
}

func newService(modules []module.Module, fallback func(*packet.Packet), lasting bool) *service {
	s := &service{modules: modules, id: newID(), fallback: fallback, lasting: lasting,
		stopped: make(chan struct{}), orphan: make(chan struct{})}
	s.alone = time.AfterFunc(unlinked, s.end)
	return s
}

// newID returns a random identity, never 0.
func newID() uint64 {
	var b [8]byte
	_, _ = rand.Read(b[:])
	return binary.LittleEndian.Uint64(b[:]) | 1
}

func (s *service) end() {
	if !s.lasting {
		s.once.Do(func() { close(s.stopped) })
	}
}

// Describe implements plugin.PluginServer.
func (s *service) Describe(_ context.Context, r *plugin.DescribeRequest) (*plugin.DescribeReply, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if done(s.stopped) {
		return nil, errEnding
	}
	if s.link == nil {
		s.alone.Reset(unlinked) // whoever asks will link, and finds it here
	}
	s.core = r.Id
	d := describe(s.modules)
	d.Id, d.Socket = s.id, s.socket
	if s.ran {
		d.Plan, d.Made = s.plan, sendMade(s.made)
	}
	return d, nil
}

var errEnding = status.Error(codes.Unavailable, "the process is ending")

func done(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func describe(modules []module.Module) *plugin.DescribeReply {
	return &plugin.DescribeReply{Protocols: []uint32{Protocol}, Sdk: SDK, Modules: each(modules, sendModule)}
}

// Make implements plugin.PluginServer. Made again, as under a debugger that
// one core after another attaches to, it begins anew.
func (s *service) Make(ctx context.Context, r *plugin.MakeRequest) (*plugin.MakeReply, error) {
	s.mu.Lock()
	old := s.engine
	s.engine, s.ran = nil, false
	s.mu.Unlock()
	if old != nil {
		_ = old.Stop(ctx)
	}
	engine := tree.New(tree.Config{Process: r.Process, ID: s.id, Modules: s.modules, Data: r.Data, Fallback: s.fallback})
	made, wrong := engine.Make(each(r.Sections, takeSection))
	s.mu.Lock()
	defer s.mu.Unlock()
	s.engine, s.made, s.plan, s.grace = engine, made, r.Plan, time.Duration(r.OrphanGrace)
	return &plugin.MakeReply{Made: sendMade(made), Errors: each(wrong, sendError)}, nil
}

func (s *service) running() (*tree.Engine, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.engine == nil {
		return nil, status.Error(codes.FailedPrecondition, "nothing was made yet")
	}
	return s.engine, nil
}

// Arrange implements plugin.PluginServer.
func (s *service) Arrange(_ context.Context, r *plugin.ArrangeRequest) (*plugin.ArrangeReply, error) {
	engine, err := s.running()
	if err != nil {
		return nil, err
	}
	if err := engine.Arrange(takeMade(r.Made)); err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	return &plugin.ArrangeReply{}, nil
}

// Start implements plugin.PluginServer.
func (s *service) Start(ctx context.Context, _ *plugin.StartRequest) (*plugin.StartReply, error) {
	engine, err := s.running()
	if err != nil {
		return nil, err
	}
	err = engine.Start(ctx)
	var wrong *tree.LinkError
	switch {
	case errors.As(err, &wrong):
		return &plugin.StartReply{Error: sendError(*wrong)}, nil
	case err != nil:
		return nil, err
	}
	return &plugin.StartReply{}, nil
}

// Run implements plugin.PluginServer.
func (s *service) Run(context.Context, *plugin.RunRequest) (*plugin.RunReply, error) {
	engine, err := s.running()
	if err != nil {
		return nil, err
	}
	engine.Run()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ran = s.engine == engine
	return &plugin.RunReply{}, nil
}

// Stop implements plugin.PluginServer.
func (s *service) Stop(ctx context.Context, _ *plugin.StopRequest) (*plugin.StopReply, error) {
	defer s.end()
	engine, err := s.running()
	if err != nil {
		return &plugin.StopReply{}, nil
	}
	if err := engine.Stop(ctx); err != nil {
		return &plugin.StopReply{Error: err.Error()}, nil
	}
	return &plugin.StopReply{}, nil
}

// Link implements plugin.PluginServer.
func (s *service) Link(stream grpc.BidiStreamingServer[plugin.Frame, plugin.Frame]) error {
	line, cut := serveStream(stream)
	link, ran := newLink(line), make(chan error, 1)
	if err := s.take(link, ran); err != nil {
		return err
	}
	select {
	case err := <-ran:
		return err
	case <-cut:
		return status.Error(codes.Aborted, "the link was cut")
	}
}

// accept runs the links of cores that connect to the socket, until it is
// closed.
func (s *service) accept(sockets net.Listener) {
	for {
		conn, err := sockets.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil: // too many open files
			time.Sleep(acceptPause)
			continue
		}
		go func() {
			line, err := acceptSocket(conn.(*net.UnixConn))
			if err == nil {
				if err = s.take(newLink(line), make(chan error, 1)); err != nil {
					line.Cut()
				}
			}
			if err != nil {
				_ = conn.Close()
			}
		}()
	}
}

// take ends the link that there was and runs another in its place.
func (s *service) take(link *Link, ran chan<- error) error {
	s.linking.Lock()
	defer s.linking.Unlock()
	s.mu.Lock()
	engine, core, old, oldEnded := s.engine, s.core, s.link, s.ended
	s.mu.Unlock()
	if done(s.stopped) {
		return errEnding
	}
	if engine == nil {
		return status.Error(codes.FailedPrecondition, "nothing was made yet")
	}
	if old != nil {
		old.Cut()
		<-oldEnded
	}
	ended := make(chan struct{})
	s.mu.Lock()
	s.linked, s.link, s.ended = true, link, ended
	s.alone.Stop()
	s.mu.Unlock()
	remote := engine.Remote("")
	remote.Up(link, core)
	go func() {
		err := link.Run(remote)
		remote.Down()
		s.left(link)
		close(ended)
		ran <- err
	}()
	return nil
}

// left begins the time that the process lives on without a core.
func (s *service) left(link *Link) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.link != link {
		return
	}
	s.link = nil
	switch {
	case s.lasting || done(s.stopped):
	case !s.ran:
		s.desert()
	case s.grace <= 0:
		s.end()
	default:
		s.alone.Reset(s.grace)
	}
}

// close ends what Stop has not ended.
func (s *service) close(ctx context.Context) {
	s.end()
	if engine, err := s.running(); err == nil {
		_ = engine.Stop(ctx)
	}
}

// unlink waits until the core has closed the link, and cuts it when ctx is
// done.
func (s *service) unlink(ctx context.Context) {
	s.mu.Lock()
	link, ended := s.link, s.ended
	s.mu.Unlock()
	if link == nil {
		return
	}
	select {
	case <-ended:
	case <-ctx.Done():
		link.Cut()
		<-ended
	}
}
