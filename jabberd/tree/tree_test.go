package tree_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/jabberd/tree"
)

type handle = func(ctx context.Context, env module.Env, p *packet.Packet) (packet.Verdict, error)

// A rig is a server in one process, or a core with plugin processes that are
// joined by pipes. Handlers are functions by name; "PROCESS/NAME" runs in a
// process of its own.
type rig struct {
	t        *testing.T
	handlers map[string]handle
	hops     map[string]hop         // modules that say later how it ended
	finish   map[string]func() bool // makes handlers a module.Finisher
	core     *tree.Engine
	plugins  map[string]*tree.Engine
	plan     []module.Section
	own      func(module.Env) packet.Handler // of the core; nil is none
	taken    int64
	envs     sync.Map // name to module.Env
	fallback chan packet.Packet
	ids      uint64
	coreID   uint64
	pluginID map[string]uint64
	pipes    map[string][]*pipe
	made     tree.Made
	engines  []*tree.Engine // all that were started
}

func newRig(t *testing.T, handlers map[string]handle) *rig {
	r := &rig{t: t, handlers: handlers, plugins: map[string]*tree.Engine{}, pluginID: map[string]uint64{}, pipes: map[string][]*pipe{}, fallback: make(chan packet.Packet, 10000)}
	return r
}

// section adds a section: hosts, then links "NAME" or "PROCESS/NAME".
func (r *rig) section(s module.Section, hosts []string, links ...string) *rig {
	for i, l := range links {
		var process, name string
		if n, _ := fmt.Sscanf(l, "%1s/%s", &process, &name); n != 2 {
			process, name = "", l
		}
		link := module.Link{Module: name, Process: process, Place: l}
		if i == 0 && len(hosts) > 0 {
			s.Chain = append(s.Chain, module.Link{Module: "host", Process: process, Args: []byte(`{"names":["` + join(hosts, `","`) + `"]}`)})
		}
		s.Chain = append(s.Chain, link)
		if process != "" {
			r.plugins[process] = nil
		}
	}
	r.plan = append(r.plan, s)
	return r
}

// A finisher is a module.Finisher.
type finisher struct {
	packet.Handler
	finish func() bool
}

func (f finisher) Finish() bool { return f.finish() }

func join(list []string, with string) string {
	out := list[0]
	for _, s := range list[1:] {
		out += with + s
	}
	return out
}

func (r *rig) modules() []module.Module {
	type names struct {
		Names []string `json:"names"`
	}
	all := packet.NumKinds
	var kinds []packet.Kind
	for k := range all {
		kinds = append(kinds, k)
	}
	host := module.Define("host", "", kinds, func(env module.Env, a names) (packet.Handler, error) {
		for _, n := range a.Names {
			if err := env.Attach(n); err != nil {
				return nil, err
			}
		}
		return nil, nil
	})
	host.Passive = true
	list := []module.Module{host}
	for name, h := range r.handlers {
		list = append(list, module.Define(name, "", kinds, func(env module.Env, _ struct{}) (packet.Handler, error) {
			r.envs.Store(name, env)
			f := packet.HandlerFunc(func(ctx context.Context, p *packet.Packet) (packet.Verdict, error) { return h(ctx, env, p) })
			if finish := r.finish[name]; finish != nil {
				return finisher{f, finish}, nil
			}
			return f, nil
		}))
	}
	for name, h := range r.hops {
		list = append(list, module.Define(name, "", kinds, func(module.Env, struct{}) (packet.Handler, error) { return h, nil }))
	}
	return list
}

func (r *rig) engine(process string, core bool) *tree.Engine {
	r.ids++
	c := tree.Config{Process: process, ID: r.ids, Core: core, Modules: r.modules(), Fallback: func(p *packet.Packet) {
		select {
		case r.fallback <- *p:
		default:
		}
	}}
	if core {
		c.Own, c.Taken = r.own, r.taken
	}
	return tree.New(c)
}

// start makes and connects everything.
func (r *rig) start() *rig {
	r.launchCore()
	all, wrong := r.core.Make(r.plan)
	for name := range r.plugins {
		r.launch(name)
		made, w := r.plugins[name].Make(r.plan)
		wrong = append(wrong, w...)
		all.Join(made)
	}
	r.made = all
	for _, w := range wrong {
		r.t.Fatal(w.Error())
	}
	for name, e := range r.plugins {
		r.connect(name, e)
	}
	for _, e := range r.engines {
		if err := e.Arrange(all); err != nil {
			r.t.Fatal(err)
		}
		if err := e.Start(context.Background()); err != nil {
			r.t.Fatal(err)
		}
	}
	for _, e := range r.engines {
		e.Run()
	}
	r.t.Cleanup(r.close)
	return r
}

// close ends all engines that there were.
func (r *rig) close() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	for _, e := range r.engines {
		e.Stop(ctx)
	}
	for _, pipes := range r.pipes {
		for _, p := range pipes {
			p.close()
		}
	}
	r.engines, r.pipes = nil, map[string][]*pipe{}
}

// connect joins a plugin's engine, whose handlers have started, to the core.
func (r *rig) connect(name string, e *tree.Engine) {
	r.link(name, e)
	r.core.Remote(name).Open()
}

// link joins a plugin's engine to the core. Both know who the other is.
func (r *rig) link(name string, e *tree.Engine) {
	here, there := r.core.Remote(name), e.Remote("")
	up, down := newPipe(), newPipe()
	r.pipes[name] = []*pipe{up, down}
	there.Up(up, r.coreID)
	here.Up(down, r.pluginID[name])
	go up.run(here)
	go down.run(there)
}

// kill ends a plugin's process as kill -9 does, and starts it anew.
func (r *rig) kill(name string) {
	r.cut(name)
	r.restart(name)
}

// restart starts a process that was cut anew.
func (r *rig) restart(name string) {
	r.launch(name)
	e := r.plugins[name]
	e.Make(r.plan)
	e.Arrange(r.made)
	if err := e.Start(context.Background()); err != nil {
		r.t.Error(err)
	}
	e.Run()
	r.connect(name, e)
}

// cut ends the connection to a plugin's process.
func (r *rig) cut(name string) {
	for _, p := range r.pipes[name] {
		p.close()
	}
	r.core.Remote(name).Down()
}

// killCore ends the core and starts another, which finds the plugins alive.
func (r *rig) killCore() {
	for name := range r.plugins {
		for _, p := range r.pipes[name] {
			p.close()
		}
		r.plugins[name].Remote("").Down()
	}
	r.launchCore()
	r.core.Make(r.plan)
	r.core.Arrange(r.made)
	r.core.Start(context.Background())
	r.core.Run()
	for name, e := range r.plugins {
		r.connect(name, e)
	}
}

func (r *rig) launch(name string) {
	r.plugins[name] = r.engine(name, false)
	r.pluginID[name] = r.ids
	r.engines = append(r.engines, r.plugins[name])
}

func (r *rig) launchCore() {
	r.core = r.engine("", true)
	r.coreID = r.ids
	r.engines = append(r.engines, r.core)
}

func (r *rig) env(name string) module.Env {
	v, ok := r.envs.Load(name)
	if !ok {
		r.t.Fatalf("no handler %s", name)
	}
	return v.(module.Env)
}

// A pipe carries records to the other end on a goroutine of its own, as a
// connection does.
type pipe struct {
	mu      sync.Mutex
	queue   []func(*tree.Remote)
	waiting []func(*tree.Remote) // for Flush
	wake    chan struct{}
	closed  bool
	ended   chan struct{}
}

func newPipe() *pipe { return &pipe{wake: make(chan struct{}, 1), ended: make(chan struct{})} }

func (p *pipe) run(to *tree.Remote) {
	for range p.wake {
		p.mu.Lock()
		q := p.queue
		p.queue = nil
		closed := p.closed
		p.mu.Unlock()
		if closed {
			close(p.ended)
			return
		}
		for _, f := range q {
			f(to)
		}
		if !to.Rest(func() { go p.run(to) }) {
			return
		}
	}
}

// close cuts the pipe: what is on its way is lost.
func (p *pipe) close() {
	p.mu.Lock()
	p.closed, p.queue = true, nil
	p.mu.Unlock()
	p.poke()
	<-p.ended
}

// Flush lets through what was added since the last time.
func (p *pipe) Flush() {
	p.mu.Lock()
	due := len(p.waiting) > 0
	p.queue, p.waiting = append(p.queue, p.waiting...), nil
	p.mu.Unlock()
	if due {
		p.poke()
	}
}

func (p *pipe) FlushSoon() { p.Flush() }

func (p *pipe) SettleLater(s *tree.Settlement) { p.Settle(s) }
func (p *pipe) WalkLater(w *tree.Walk)         { p.Walk(w) }
func (p *pipe) CommitLater(c *tree.Commit)     { p.Commit(c) }

func (p *pipe) poke() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

func (p *pipe) add(f func(*tree.Remote)) {
	p.mu.Lock()
	p.waiting = append(p.waiting, f)
	p.mu.Unlock()
}

func (p *pipe) Walk(w *tree.Walk)         { c := *w; p.add(func(r *tree.Remote) { r.OnWalk(&c) }) }
func (p *pipe) Settle(s *tree.Settlement) { c := *s; p.add(func(r *tree.Remote) { r.OnSettle(&c) }) }
func (p *pipe) Host(h *tree.HostChange)   { c := *h; p.add(func(r *tree.Remote) { r.OnHost(&c) }) }
func (p *pipe) Explain(x *tree.Explain)   { c := *x; p.add(func(r *tree.Remote) { r.OnExplain(&c) }) }
func (p *pipe) Commit(c *tree.Commit) {
	d := tree.Commit{Stops: append([]tree.Stop(nil), c.Stops...), Deliveries: append([]tree.Delivery(nil), c.Deliveries...), Settled: c.Settled}
	p.add(func(r *tree.Remote) { r.OnCommit(&d) })
}

// A sink claims packets and tells of them.
func sink(to chan<- packet.Packet) handle {
	return func(_ context.Context, _ module.Env, p *packet.Packet) (packet.Verdict, error) {
		to <- *p
		return packet.Claim, nil
	}
}

func normal(id string, kinds ...packet.Kind) module.Section {
	if kinds == nil {
		kinds = module.On(packet.Normal)
	}
	return module.Section{ID: id, Kinds: kinds, Place: id + ".hcl:1"}
}

func message(from, to, id string) *packet.Packet {
	return &packet.Packet{Kind: packet.Normal, From: from, To: to, Name: "message", ID: id, Body: []byte("<body>" + id + "</body>")}
}

func receive(t *testing.T, from <-chan packet.Packet) packet.Packet {
	t.Helper()
	select {
	case p := <-from:
		return p
	case <-time.After(10 * time.Second):
		t.Fatal("nothing came")
		return packet.Packet{}
	}
}

// both runs a test with the links that are marked "p/" in this process, and in
// one of their own.
func both(t *testing.T, f func(t *testing.T, place func(string) string)) {
	t.Run("in process", func(t *testing.T) { f(t, func(l string) string { return l }) })
	t.Run("in two processes", func(t *testing.T) { f(t, func(l string) string { return "p/" + l }) })
}
