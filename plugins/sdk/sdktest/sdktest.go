// Package sdktest tests modules in a real server.
//
// [Both] runs a test twice: once with the modules linked into the server and
// once with the server in between, behind gRPC on a unix socket, as they run
// in production. A module cannot tell, and neither should its test.
//
//	func TestGreets(t *testing.T) {
//		plan := sdktest.Plan{
//			Modules: []module.Module{greeter.Module},
//			Sections: []module.Section{
//				sdktest.Section("greet.example.org", packet.Normal, sdktest.Host("greet.example.org"), sdktest.Block("greeter", `{"text":"hello"}`)),
//				sdktest.Sinks("example.org", packet.Normal),
//			},
//		}
//		sdktest.Both(t, plan, func(t *testing.T, h *sdktest.Harness) {
//			if o := h.Deliver(&packet.Packet{To: "greet.example.org", From: "ann@example.org", Name: "message"}); o.Result != packet.Claimed {
//				t.Errorf("ended %+v", o)
//			}
//			if p := h.Next(); string(p.Body) != "<body>hello</body>" {
//				t.Errorf("greeted with %s", p.Body)
//			}
//		})
//	}
//
// Nothing in it sleeps: Deliver returns when the packet and all that it caused
// have ended, so that what a module sent is there.
package sdktest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/jabberd/server"
	"github.com/jabberii/server/jabberd/tree"
	"github.com/jabberii/server/jabberd/wire"
)

// patience is how long a test waits for what should come at once.
const patience = 30 * time.Second

// A Plan is what a test runs.
type Plan struct {
	Modules  []module.Module  // under test
	Sections []module.Section // what a configuration would say, in its order
}

// Section returns a section of a kind, or a service with Normal and Session.
func Section(id string, kind packet.Kind, chain ...module.Link) module.Section {
	return module.Section{ID: id, Kinds: []packet.Kind{kind}, Place: "test.hcl:1", Chain: chain}
}

// Service returns a service section: normal and session at once.
func Service(id string, chain ...module.Link) module.Section {
	s := Section(id, packet.Normal, chain...)
	s.Kinds = append(s.Kinds, packet.Session)
	return s
}

// Block returns a block of a module, with arguments as a JSON object.
func Block(name, args string) module.Link {
	return module.Link{Module: name, Args: json.RawMessage(args), Place: "test.hcl:2"}
}

// Labelled returns a block with a label, which reaches the module as the
// argument "label".
func Labelled(name, label, args string) module.Link {
	all := map[string]any{}
	if err := json.Unmarshal([]byte(args), &all); err != nil {
		panic(fmt.Sprintf("arguments of %s: %v", name, err)) // a mistake in the test
	}
	all["label"] = label
	raw, _ := json.Marshal(all)
	l := Block(name, string(raw))
	l.Label = label
	return l
}

// Host returns a block that attaches its section to a host.
func Host(host string) module.Link {
	return Labelled(hostName, host, `{}`)
}

// Sink returns a block that claims whatever reaches it, for [Harness.Next].
func Sink() module.Link { return Block(sinkName, `{}`) }

// Sinks returns a section that is a sink for a host.
func Sinks(host string, kind packet.Kind) module.Section {
	return Section("sink "+host, kind, Host(host), Sink())
}

// Both runs a test with the modules in the server's process, and again with
// them behind the wire.
func Both(t *testing.T, plan Plan, test func(*testing.T, *Harness)) {
	t.Helper()
	for name, wired := range map[string]bool{"linked": false, "wired": true} {
		t.Run(name, func(t *testing.T) {
			h := New(t, plan, wired)
			test(t, h)
		})
	}
}

// A Harness is a running server with the modules of a plan. Its methods fail
// the test if something does not come within 30 seconds.
type Harness struct {
	Data  string // the server's data folder, which is gone after the test
	Wired bool   // the modules are behind the wire

	t       testing.TB
	plan    Plan
	server  *server.Server
	ends    []func()
	env     chan module.Env
	own     module.Env
	source  module.Source
	tag     uint64
	sunk    *mailbox[packet.Packet]
	entries *mailbox[packet.Packet]

	mu       sync.Mutex
	outcomes map[uint64]chan packet.Outcome
}

// New starts a server for a plan, and stops it at the end of the test.
func New(t testing.TB, plan Plan, wired bool) *Harness {
	t.Helper()
	h, err := Try(t, plan, wired)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// Try is New for plans that may be refused: the error is what the server says.
func Try(t testing.TB, plan Plan, wired bool) (*Harness, error) {
	t.Helper()
	dir, err := os.MkdirTemp("", "sdktest") // TempDir of a test is too long for sockets
	if err != nil {
		t.Fatal(err)
	}
	h := &Harness{
		Data: filepath.Join(dir, "data"), Wired: wired, t: t, plan: plan, outcomes: map[uint64]chan packet.Outcome{},
		sunk: newMailbox[packet.Packet](), entries: newMailbox[packet.Packet](),
	}
	t.Cleanup(func() {
		h.stop()
		_ = os.RemoveAll(dir)
	})
	return h, h.start()
}

// start brings the server up and waits for the harness's own section.
func (h *Harness) start() error {
	h.env = make(chan module.Env, 1)
	programs, err := h.programs()
	if err != nil {
		return err
	}
	sections := append(slices.Clone(h.plan.Sections), Section(ownName, packet.Normal, Block(ownName, `{}`)))
	h.server, err = server.Start(context.Background(), server.Plan{Programs: programs, Sections: sections, Data: h.Data, Fallback: h.entries.put})
	if err != nil {
		return err
	}
	select {
	case h.own = <-h.env:
	case <-time.After(patience):
		return errors.New("the section of the test does not run")
	}
	h.source = h.own.Source(module.SourceConfig{Window: 1000, Settled: h.settled})
	return nil
}

// programs links the modules, or serves them on sockets to attach to: those
// under test apart from the harness's own, which reach into the test.
func (h *Harness) programs() (*server.Programs, error) {
	own := h.modules()
	if !h.Wired {
		return server.Linked(append(own, h.plan.Modules...)), nil
	}
	var list []wire.Program
	for name, modules := range map[string][]module.Module{"test": own, "plugin": h.plan.Modules} {
		path := filepath.Join(filepath.Dir(h.Data), name)
		listener, err := wire.Listen(path)
		if err != nil {
			return nil, err
		}
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			wire.ServeAttached(ctx, listener, modules, h.entries.put)
		}()
		h.ends = append(h.ends, func() {
			cancel()
			<-ended
		})
		list = append(list, wire.Program{Name: name, Attach: "unix:" + path})
	}
	programs, errs := server.Describe(context.Background(), list)
	return programs, errors.Join(errs...)
}

func (h *Harness) stop() {
	if h.server != nil {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := h.server.Stop(ctx); err != nil {
			h.t.Errorf("stop: %v", err)
		}
		h.server = nil
	}
	for _, end := range h.ends {
		end()
	}
	h.ends = nil
}

// Restart stops the server and starts it again with the same data.
func (h *Harness) Restart() {
	h.t.Helper()
	h.stop()
	if err := h.start(); err != nil {
		h.t.Fatal(err)
	}
}

// Send puts a packet into the tree as a source does, and returns where its
// outcome will be.
func (h *Harness) Send(p *packet.Packet) <-chan packet.Outcome {
	h.t.Helper()
	ended := make(chan packet.Outcome, 1)
	h.mu.Lock()
	h.tag++
	tag := h.tag
	h.outcomes[tag] = ended
	h.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := h.source.Deliver(ctx, p, tag); err != nil {
		h.t.Fatalf("deliver %s to %s: %v", p.Name, p.To, err)
	}
	return ended
}

// Deliver puts a packet into the tree and waits until it and all that it
// caused have ended.
func (h *Harness) Deliver(p *packet.Packet) packet.Outcome {
	h.t.Helper()
	select {
	case o := <-h.Send(p):
		return o
	case <-time.After(patience):
		h.t.Fatalf("%s to %s does not end", p.Name, p.To)
		return packet.Outcome{}
	}
}

func (h *Harness) settled(outcomes []packet.Outcome) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, o := range outcomes {
		if ended := h.outcomes[o.Tag]; ended != nil {
			delete(h.outcomes, o.Tag)
			ended <- o
		}
	}
}

// Ask puts a question to the tree's storage. An error answer is a
// *packet.Reject.
func (h *Harness) Ask(question *packet.Packet) (*packet.Packet, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return h.own.Ask(ctx, question)
}

// Explain says what the tree would do with a packet.
func (h *Harness) Explain(p *packet.Packet) tree.Report {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	r, err := h.server.Explain(ctx, p)
	if err != nil {
		h.t.Fatal(err)
	}
	return r
}

// Status is what the server says of itself.
func (h *Harness) Status() server.Status { return h.server.Status() }

// CopyAnew has a store copy what the stores before it have; see [Harness.Status].
func (h *Harness) CopyAnew(section string) {
	h.t.Helper()
	if err := h.server.CopyAnew(section); err != nil {
		h.t.Fatal(err)
	}
}

// Env is the environment of a section of the test's own, for what else a
// module may do.
func (h *Harness) Env() module.Env { return h.own }

// Next returns the next packet that reached a sink, and waits for it.
func (h *Harness) Next() *packet.Packet {
	h.t.Helper()
	p, ok := h.sunk.next(patience)
	if !ok {
		h.t.Fatal("nothing reaches a sink")
	}
	return &p
}

// Received returns all that reached sinks since, without waiting.
func (h *Harness) Received() []packet.Packet { return h.sunk.all() }

// Logged waits for a log entry whose text contains text and returns it: Type
// is the level, Body the text, Attrs the fields. Entries before it are gone.
func (h *Harness) Logged(text string) *packet.Packet {
	h.t.Helper()
	var others []string
	for {
		p, ok := h.entries.next(patience)
		if !ok {
			h.t.Fatalf("%q is not logged; what is:\n%s", text, strings.Join(others, "\n"))
		}
		if strings.Contains(string(p.Body), text) {
			return &p
		}
		others = append(others, fmt.Sprintf("%s %s", p.Type, p.Body))
	}
}
