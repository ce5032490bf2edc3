package wire

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"
	goplugin "github.com/hashicorp/go-plugin"
	"github.com/hashicorp/go-plugin/runner"
	"google.golang.org/grpc"
	"google.golang.org/grpc/status"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/tree"
	"github.com/jabberii/server/jabberd/wire/plugin"
)

// A Launch is what a process is started from.
type Launch struct {
	Process string // what the plan calls it
	Program Program
	Plan    string            // digest of the plan that it is for
	Core    uint64            // identity of the core that starts it
	Env     []string          // its environment beside the program's
	Line    func(line string) // takes what it writes to standard error; nil drops it
}

// A Process is a plugin process as the core sees it. Its methods may be called
// from many goroutines.
type Process struct {
	launch  Launch
	runtime *Runtime
	client  *goplugin.Client // nil if it was attached to
	body    body             // likewise
	conn    *grpc.ClientConn
	rpc     plugin.PluginClient
	id      uint64
	socket  string // for links without gRPC; "" is none
	old     bool   // it was found running, made by the same plan
	made    tree.Made

	killed     sync.Once
	how, words string
}

// body is the process itself.
type body interface {
	runner.AttachedRunner
	pid() int
	signal(s syscall.Signal) error
	obituary() (how, words string)
}

// startTime is how long a program may take to say where it listens.
const startTime = 30 * time.Second

// Start starts a process, or, if one runs that an earlier core has started for
// the same plan, takes that over ([Process.Found]).
func (r *Runtime) Start(ctx context.Context, l Launch) (*Process, error) {
	if l.Program.Attach != "" {
		return r.attach(ctx, l)
	}
	if rec, ok := r.read(l.Process); ok {
		if p, err := r.takeOver(ctx, l, rec); err == nil {
			return p, nil
		}
		r.end(rec)
	}
	return r.launch(ctx, l)
}

func (r *Runtime) launch(ctx context.Context, l Launch) (*Process, error) {
	exe, err := l.Program.open()
	if err != nil {
		return nil, err
	}
	c := &child{exe: exe, line: l.Line, exited: make(chan struct{})}
	config := clientConfig()
	config.StartTimeout = startTime
	config.UnixSocketConfig = &goplugin.UnixSocketConfig{TempDir: r.sockets(l.Program)}
	config.RunnerFunc = func(_ hclog.Logger, spec *exec.Cmd, dir string) (runner.Runner, error) {
		c.dir = dir
		c.cmd = exe.command(context.Background(), l.Program.Args)
		c.cmd.Env = append(append(append([]string{}, l.Program.Env...), l.Env...), processVar+"="+l.Process)
		c.cmd.Env = append(c.cmd.Env, spec.Env...)
		handConsole(c.cmd)
		return c, l.Program.confine(c.cmd, dir)
	}
	config.GRPCDialOptions = dialOptions(func(ctx context.Context, _ string) (net.Conn, error) {
		return dialPeer(ctx, filepath.Join(c.dir, socketFile), c.pid())
	})
	p := &Process{launch: l, runtime: r, client: goplugin.NewClient(config), body: c}
	stop := context.AfterFunc(ctx, func() { _ = c.Kill(ctx) })
	_, err = p.client.Start()
	stop()
	if err != nil {
		err = startError(l.Program, c, err)
		p.Kill()
		return nil, err
	}
	if err := p.dispense(ctx); err != nil {
		p.Kill()
		return nil, err
	}
	start, err := startOf(c.pid())
	if err == nil {
		err = r.write(l.Process, record{
			PID: c.pid(), Start: start, Socket: filepath.Join(c.dir, "socket"), ID: p.id, Program: l.Program.Path, Plan: l.Plan})
	}
	if err != nil {
		p.Kill()
		return nil, err
	}
	return p, nil
}

func clientConfig() *goplugin.ClientConfig {
	return &goplugin.ClientConfig{
		HandshakeConfig:  goplugin.HandshakeConfig{MagicCookieKey: cookieName, MagicCookieValue: cookieValue},
		VersionedPlugins: map[int]goplugin.PluginSet{Protocol: {"plugin": dispenser{}}},
		AllowedProtocols: []goplugin.Protocol{goplugin.ProtocolGRPC},
		SkipHostEnv:      true,
		Logger:           hclog.NewNullLogger(),
	}
}

// startError says why a process did not come up, in the words that help most.
func startError(p Program, c *child, err error) error {
	if v, ok := c.offered(); ok && v != Protocol {
		return &VersionError{Path: p.Path, Offered: []uint32{v}}
	}
	if c.ID() == "" {
		return fmt.Errorf("start %s: %w", p.Path, err)
	}
	select {
	case <-c.exited:
		how, words := c.obituary()
		if words != "" {
			how += ": " + words
		}
		return fmt.Errorf("%s ended before it served: %s", p.Path, how)
	case <-time.After(lingering): // its output ends a little before itself
	}
	if _, ok := c.offered(); !ok && len(c.shook.kept) > 0 {
		return fmt.Errorf("%s is no plugin: it wrote %q", p.Path, c.shook.kept[:min(len(c.shook.kept), 80)])
	}
	return fmt.Errorf("start %s: %w", p.Path, err)
}

// dispenser is what go-plugin asks for the service Plugin.
type dispenser struct {
	goplugin.NetRPCUnsupportedPlugin
}

func (dispenser) GRPCServer(*goplugin.GRPCBroker, *grpc.Server) error {
	return errors.New("the core is no plugin")
}

func (dispenser) GRPCClient(_ context.Context, _ *goplugin.GRPCBroker, conn *grpc.ClientConn) (any, error) {
	return conn, nil
}

// dispense connects to the process that go-plugin has started or found.
func (p *Process) dispense(ctx context.Context) error {
	client, err := p.client.Client()
	if err != nil {
		return fmt.Errorf("connect to %s: %w", p.launch.Program.Path, err)
	}
	conn, err := client.Dispense("plugin")
	if err != nil {
		return err
	}
	p.conn = conn.(*grpc.ClientConn)
	return p.describe(ctx)
}

// describe exchanges versions and identities.
func (p *Process) describe(ctx context.Context) error {
	p.rpc = plugin.NewPluginClient(p.conn)
	ctx, cancel := context.WithTimeout(ctx, describeTime)
	defer cancel()
	d, err := p.rpc.Describe(ctx, &plugin.DescribeRequest{Protocols: []uint32{Protocol}, Id: p.launch.Core, Version: SDK})
	if err != nil {
		return fmt.Errorf("ask %s for a description: %w", p.launch.Program.where(), plain(err))
	}
	if _, err := p.launch.Program.accept(d); err != nil {
		return err
	}
	if d.Id == 0 {
		return fmt.Errorf("%s has no identity", p.launch.Program.where())
	}
	p.id, p.socket = d.Id, d.Socket
	p.old, p.made = d.Plan != "" && d.Plan == p.launch.Plan && d.Made != nil, takeMade(d.Made)
	return nil
}

// takeOver connects to a process that an earlier core has started.
func (r *Runtime) takeOver(ctx context.Context, l Launch, rec record) (*Process, error) {
	if rec.Plan != l.Plan || rec.Program != l.Program.Path {
		return nil, errors.New("it was started for something else")
	}
	f, err := find(rec)
	if err != nil {
		return nil, err
	}
	config := clientConfig()
	config.Reattach = &goplugin.ReattachConfig{
		Protocol: goplugin.ProtocolGRPC, ProtocolVersion: Protocol, Pid: rec.PID,
		Addr:         &net.UnixAddr{Name: rec.Socket, Net: "unix"},
		ReattachFunc: func() (runner.AttachedRunner, error) { return f, nil },
	}
	config.Plugins = config.VersionedPlugins[Protocol]
	config.GRPCDialOptions = dialOptions(func(ctx context.Context, _ string) (net.Conn, error) {
		return dialPeer(ctx, rec.Socket, rec.PID)
	})
	p := &Process{launch: l, runtime: r, client: goplugin.NewClient(config), body: f}
	if err := p.dispense(ctx); err != nil {
		return nil, err
	}
	if p.id != rec.ID || !p.old {
		return nil, errors.New("it is not the one that was started")
	}
	return p, nil
}

// end ends the process of a record, if it is there.
func (r *Runtime) end(rec record) {
	if f, err := find(rec); err == nil {
		_ = f.Kill(context.Background())
		<-f.exited
	}
	_ = os.RemoveAll(filepath.Dir(rec.Socket))
}

// EndOthers ends processes of an earlier core that are not in the plan.
func (r *Runtime) EndOthers(plan func(process string) bool) {
	for _, name := range r.processes() {
		if plan(name) {
			continue
		}
		if rec, ok := r.read(name); ok {
			r.end(rec)
		}
		r.remove(name)
	}
}

// attach connects to a process that somebody else has started.
func (r *Runtime) attach(ctx context.Context, l Launch) (*Process, error) {
	path, err := l.Program.socket()
	if err != nil {
		return nil, err
	}
	p := &Process{launch: l, runtime: r}
	if p.conn, err = connect(path, 0); err != nil {
		return nil, err
	}
	if err := p.describe(ctx); err != nil {
		_ = p.conn.Close()
		return nil, err
	}
	p.old = false // whatever it was made from, it is made anew
	return p, nil
}

// ID returns the identity of the process, which it keeps for its life.
func (p *Process) ID() uint64 { return p.id }

// PID returns the process id, 0 if it is not known.
func (p *Process) PID() int {
	if p.body == nil {
		return 0
	}
	return p.body.pid()
}

// Found reports whether the process was there already, with handlers made
// from the same plan, and what it had made. It only needs a link.
func (p *Process) Found() (tree.Made, bool) { return p.made, p.old }

// Make makes the handlers of the process.
func (p *Process) Make(ctx context.Context, sections []module.Section, data string, grace time.Duration) (tree.Made, []tree.LinkError, error) {
	r, err := p.rpc.Make(ctx, &plugin.MakeRequest{
		Process: p.launch.Process, Plan: p.launch.Plan, Sections: each(sections, sendSection),
		Data: data, OrphanGrace: int64(grace),
	})
	if err != nil {
		return tree.Made{}, nil, p.failed("make", err)
	}
	made, wrong := takeMade(r.Made), each(r.Errors, takeError)
	if err := within(sections, made, wrong); err != nil {
		return tree.Made{}, nil, p.failed("make", err)
	}
	return made, wrong, nil
}

// Arrange tells the process what all have made.
func (p *Process) Arrange(ctx context.Context, all tree.Made) error {
	_, err := p.rpc.Arrange(ctx, &plugin.ArrangeRequest{Made: sendMade(all)})
	return p.failed("arrange", err)
}

// Open starts the handlers of the process. The error is a *tree.LinkError if
// it is about one of them.
func (p *Process) Open(ctx context.Context) error {
	r, err := p.rpc.Start(ctx, &plugin.StartRequest{})
	if err != nil {
		return p.failed("start", err)
	}
	if r.Error != nil {
		wrong := takeError(r.Error)
		return &wrong
	}
	return nil
}

// Run lets the handlers of the process work.
func (p *Process) Run(ctx context.Context) error {
	_, err := p.rpc.Run(ctx, &plugin.RunRequest{})
	return p.failed("run", err)
}

// Profile has the process measure itself; see [Profile].
func (p *Process) Profile(ctx context.Context, kind string, d time.Duration) ([]byte, error) {
	r, err := p.rpc.Profile(ctx, &plugin.ProfileRequest{Kind: kind, Duration: int64(d)})
	if err != nil {
		return nil, p.failed("profile", err)
	}
	return r.Profile, nil
}

// Stop asks the process to end its work within ctx and then itself. The link
// should be closed after that, and Kill called in any case.
func (p *Process) Stop(ctx context.Context) error {
	r, err := p.rpc.Stop(ctx, &plugin.StopRequest{})
	if err != nil {
		return p.failed("stop", err)
	}
	if r.Error != "" {
		return p.failed("stop", errors.New(r.Error))
	}
	return nil
}

// Answers asks the process for a sign of life within a time. Under a debugger
// it need not give one.
func (p *Process) Answers(ctx context.Context, within time.Duration) bool {
	if p.client == nil {
		return true
	}
	late, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	_, err := p.rpc.Describe(late, &plugin.DescribeRequest{Protocols: []uint32{Protocol}, Id: p.launch.Core, Version: SDK})
	return err == nil || late.Err() == nil || ctx.Err() != nil
}

// Link opens the link to the process. It lives until ctx is done.
func (p *Process) Link(ctx context.Context) (*Link, error) {
	line, err := p.line(ctx)
	if err != nil {
		return nil, p.failed("link", err)
	}
	return newLink(line), nil
}

func (p *Process) line(ctx context.Context) (Line, error) {
	if p.socket == "" {
		return dialStream(ctx, p.conn, &plugin.Plugin_ServiceDesc.Streams[0], plugin.Plugin_Link_FullMethodName)
	}
	pid := 0
	if p.body != nil {
		pid = p.body.pid()
	}
	return dialSocket(ctx, p.socket, pid)
}

// End waits until the process, which was stopped, has ended, and kills it when
// ctx is done.
func (p *Process) End(ctx context.Context) {
	if p.body != nil {
		select {
		case <-p.Exited():
		case <-ctx.Done():
		}
	}
	p.Kill()
}

// Kill makes sure that the process has ended and returns how it did: the
// status, and its last words. Whoever was attached to is only let go of.
func (p *Process) Kill() (how, words string) {
	p.killed.Do(p.kill)
	return p.how, p.words
}

func (p *Process) kill() {
	if p.client == nil {
		_ = p.conn.Close()
		p.how = "detached"
		return
	}
	_ = p.body.Kill(context.Background())
	_ = p.body.Wait(context.Background())
	p.how, p.words = p.body.obituary()
	p.client.Kill() // the rest is go-plugin's: its goroutines and the folder
	if f, ok := p.body.(*foundling); ok {
		if rec, ok := p.runtime.read(p.launch.Process); ok {
			_ = os.RemoveAll(filepath.Dir(rec.Socket))
		}
		f.close()
	}
	p.runtime.remove(p.launch.Process)
}

// Exited is closed when the process has ended. It is nil, and so never ready,
// for one that was attached to.
func (p *Process) Exited() <-chan struct{} {
	switch b := p.body.(type) {
	case *child:
		return b.exited
	case *foundling:
		return b.exited
	}
	return nil
}

func (p *Process) failed(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s process %s: %w", what, p.launch.Process, plain(err))
}

// plain returns the text of an error without gRPC's words around it.
func plain(err error) error {
	if s, ok := status.FromError(err); ok {
		return errors.New(s.Message())
	}
	return err
}
