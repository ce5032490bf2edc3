package server_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/jabberd/server"
	"github.com/jabberii/server/jabberd/wire"
	"github.com/jabberii/server/plugins/sdk/confine"
)

// The test binary is all the processes of these tests: the plugin programs,
// and a core that can be killed.
func TestMain(m *testing.M) {
	switch {
	case len(os.Args) > 1 && os.Args[1] == confine.Word:
		os.Exit(confine.Main(os.Args[2:]))
	case os.Getenv("JABBERD_PLUGIN") != "" || strings.HasSuffix(strings.Join(os.Args, " "), " describe"):
		if at := os.Getenv("TEST_FAIL"); at != "" {
			fmt.Fprintln(os.Stderr, "it is "+at)
			os.Exit(3)
		}
		if v := os.Getenv("TEST_VERSION"); v != "" {
			fmt.Printf("1|%s|unix|/nowhere|grpc|\n", v)
			select {}
		}
		if trace := os.Getenv("TEST_TRACE"); trace != "" {
			_ = os.WriteFile(trace, nil, 0o600)
		}
		os.Exit(wire.Main(os.Args[1:], modules()))
	case os.Getenv("TEST_CORE") != "":
		runCore(os.Getenv("TEST_CORE"))
	default:
		os.Exit(m.Run())
	}
}

func modules() []module.Module {
	return []module.Module{
		module.Define("emit", "Sends numbered packets.", module.On(packet.Normal), newEmit),
		module.Define("collect", "Reports each packet.", module.On(packet.Normal), newCollect),
		module.Define("drive", "Sends and takes back.", module.On(packet.Session), newDrive),
		module.Define("turn", "Sends back.", module.On(packet.Normal, packet.Session), newTurn),
		module.Define("mark", "Marks a packet.", module.On(packet.Normal, packet.XDB), newMark),
		module.Define("curious", "Asks before it explains.", module.On(packet.Normal), newCurious),
		module.Define("tell", "Answers with what it is.", module.On(packet.XDB), newTell),
		{Name: "host", Doc: "Attaches.", Kinds: module.On(packet.Normal, packet.Session, packet.XDB, packet.Log), Label: "host", Passive: true, New: newHost},
		{Name: "fork", Doc: "Forks.", Kinds: module.On(packet.Normal, packet.XDB), Passive: true, New: func(module.Env, []byte) (packet.Handler, error) { return nil, nil }},
		module.Define("peek", "Tries things.", module.On(packet.XDB), newPeek),
		module.Define("hear", "Reports SIGHUP.", module.On(packet.XDB), newHear),
		module.Define("journal", "Reports entries.", module.On(packet.Log), newJournal),
	}
}

func newHost(env module.Env, raw []byte) (packet.Handler, error) {
	var args struct {
		Label string `json:"label"`
	}
	if err := json.Unmarshal(raw, &args); err != nil {
		return nil, err
	}
	return nil, env.Attach(args.Label)
}

// A reporter sends lines to the test.
type reporter struct{ conn net.Conn }

func newReporter(path string) (*reporter, error) {
	conn, err := net.Dial("unixgram", path)
	return &reporter{conn}, err
}

func (r *reporter) say(format string, args ...any) { fmt.Fprintf(r.conn, format, args...) }

type reportArgs struct {
	To    string `json:"to"`
	Count int    `json:"count"`
	Fatal string `json:"fatal"`
}

// keys is how many order keys the packets of emit have, in turn.
const keys = 16

// emit sends Count packets to the host "there", and says when all have ended.
type emit struct {
	env module.Env
	reportArgs
}

func newEmit(env module.Env, a reportArgs) (packet.Handler, error) {
	if a.Count < 0 {
		return nil, module.BadArg("count", "is below 0")
	}
	return &emit{env, a}, nil
}

func (e *emit) Handle(context.Context, *packet.Packet) (packet.Verdict, error) {
	return packet.Claim, nil
}

func (e *emit) Run(ctx context.Context) error {
	report, err := newReporter(e.To)
	if err != nil {
		return err
	}
	var ended, claimed atomic.Int64
	done := make(chan struct{})
	source := e.env.Source(module.SourceConfig{Window: 100, Settled: func(outcomes []packet.Outcome) {
		for _, o := range outcomes {
			if o.Result == packet.Claimed {
				claimed.Add(1)
			}
			if ended.Add(1) == int64(e.Count) {
				close(done)
			}
		}
	}})
	for i := range e.Count {
		p := packet.Packet{Kind: packet.Normal, Name: "message", To: fmt.Sprintf("x%d@there", i%keys), From: "x@here", ID: strconv.Itoa(i), Body: []byte("<body/>")}
		if err := source.Deliver(ctx, &p, uint64(i)); err != nil {
			return nil
		}
	}
	select {
	case <-done:
		report.say("settled %d of %d", claimed.Load(), e.Count)
	case <-ctx.Done():
	}
	<-ctx.Done()
	return nil
}

// collect reports the numbers of packets. It dies of the one with ID Fatal.
type collect struct {
	env module.Env
	reportArgs
	report *reporter
}

func newCollect(env module.Env, a reportArgs) (packet.Handler, error) {
	return &collect{env: env, reportArgs: a}, nil
}

func (c *collect) Start(context.Context) (err error) {
	c.report, err = newReporter(c.To)
	return err
}

func (c *collect) Handle(_ context.Context, p *packet.Packet) (packet.Verdict, error) {
	if p.ID == c.Fatal && c.Fatal != "" {
		go panic("struck by " + p.ID)
		select {}
	}
	again := ""
	if p.Flags&packet.Redelivered != 0 {
		again = " again"
	}
	c.report.say("got %s%s", p.ID, again)
	return packet.Claim, nil
}

type mark struct{}

func newMark(module.Env, struct{}) (packet.Handler, error) { return mark{}, nil }

func (mark) Handle(_ context.Context, p *packet.Packet) (packet.Verdict, error) {
	p.Lang = strconv.Itoa(os.Getpid())
	return packet.Pass, nil
}

func (mark) Explain(context.Context, *packet.Packet) (packet.Verdict, string) {
	return packet.Pass, "marks with its pid"
}

type tell struct {
	env module.Env
	tellArgs
}

type tellArgs struct {
	Word string `json:"word" default:"hello"`
	To   string `json:"to"`
}

func newTell(env module.Env, a tellArgs) (packet.Handler, error) {
	if a.Word == "hangs when it is made" {
		return nil, a.hang()
	}
	return tell{env, a}, nil
}

// hang says that it has come here, and stays.
func (a tellArgs) hang() error {
	report, err := newReporter(a.To)
	if err != nil {
		return err
	}
	report.say("hangs")
	select {}
}

func (t tell) Start(context.Context) error {
	switch t.Word {
	case "hangs when it starts":
		return t.hang()
	case "dies at the start":
		go panic("born to die")
		select {}
	}
	return nil
}

func (t tell) Handle(ctx context.Context, p *packet.Packet) (packet.Verdict, error) {
	switch p.Name {
	case "panic":
		panic("asked to")
	case "log":
		t.env.Log().Debug("a detail")
		t.env.Log().Error("a fault", "code", 7)
		fmt.Fprintln(os.Stderr, "written by hand")
	case "refuse":
		return packet.Pass, packet.Refuse("not-allowed", "no")
	}
	return packet.Claim, t.env.Answer(ctx, p, &packet.Packet{Name: t.Word, Lang: p.Lang, Attrs: " pid='" + strconv.Itoa(os.Getpid()) + "'"})
}

type journal struct {
	reportArgs
	report *reporter
}

func newJournal(_ module.Env, a reportArgs) (packet.Handler, error) {
	return &journal{reportArgs: a}, nil
}

func (j *journal) Start(context.Context) (err error) {
	j.report, err = newReporter(j.To)
	return err
}

func (j *journal) Handle(_ context.Context, p *packet.Packet) (packet.Verdict, error) {
	j.report.say("%s %s: %s%s", p.Type, p.From, p.Body, p.Attrs)
	return packet.Claim, nil
}

// A bench is what a test stands on: a folder, and reports from processes.
type bench struct {
	t       *testing.T
	dir     string
	to      string
	reports chan string
	log     chan string
}

func newBench(t *testing.T) *bench {
	t.Helper()
	dir, err := os.MkdirTemp("", "jd") // t.TempDir is too long for sockets
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{t: t, dir: dir, to: filepath.Join(dir, "r"), reports: make(chan string, 100000), log: make(chan string, 1000)}
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: b.to, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		buf := make([]byte, 64<<10)
		for {
			n, err := conn.Read(buf)
			if err != nil {
				return
			}
			b.reports <- string(buf[:n])
		}
	}()
	t.Cleanup(func() {
		_ = conn.Close()
		_ = os.RemoveAll(dir)
	})
	return b
}

// next waits for a report.
func (b *bench) next() string {
	b.t.Helper()
	select {
	case r := <-b.reports:
		return r
	case <-time.After(30 * time.Second):
		b.t.Fatal("nothing was reported for 30 s")
		return ""
	}
}

// logged waits for a log entry with a text.
func (b *bench) logged(text string) {
	b.t.Helper()
	for late := time.After(30 * time.Second); ; {
		select {
		case entry := <-b.log:
			if strings.Contains(entry, text) {
				return
			}
		case <-late:
			b.t.Fatalf("%q was not logged for 30 s", text)
		}
	}
}

func link(name, process string, args any) module.Link {
	raw, _ := json.Marshal(args)
	return module.Link{Module: name, Process: process, Args: raw, Place: "test.hcl:1"}
}

func attach(host string) module.Link {
	return module.Link{Module: "host", Label: host, Args: json.RawMessage(`{"label":"` + host + `"}`)}
}

func program(env ...string) wire.Program {
	// A program with the race detector would sleep a second before it ends.
	return wire.Program{Name: "test", Path: os.Args[0], Env: append(env, "GORACE=atexit_sleep_ms=0")}
}

// xdb is a section that answers, behind a mark in a process of its own.
func xdb() module.Section {
	return module.Section{ID: "store", Kinds: module.On(packet.XDB), Chain: []module.Link{
		attach("*"), link("mark", "marker", struct{}{}), link("tell", "teller", struct{}{})}}
}

func (b *bench) plan(sections ...module.Section) server.Plan {
	b.t.Helper()
	programs, errs := server.Describe(b.t.Context(), []wire.Program{program()})
	if len(errs) > 0 {
		b.t.Fatal(errors.Join(errs...))
	}
	return server.Plan{Programs: programs, Sections: sections, Data: filepath.Join(b.dir, "d"), Fallback: func(p *packet.Packet) {
		select {
		case b.log <- fmt.Sprintf("%s %s: %s%s", p.Type, p.From, p.Body, p.Attrs):
		default:
		}
	}}
}

func (b *bench) start(plan server.Plan) *server.Server {
	b.t.Helper()
	s, err := server.Start(b.t.Context(), plan)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { b.stop(s) })
	return s
}

func (b *bench) stop(s *server.Server) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := s.Stop(ctx); err != nil {
		b.t.Error(err)
	}
}

func pid(t *testing.T, st server.Status, process string) int {
	t.Helper()
	for _, p := range st.Processes {
		if p.Name == process {
			return p.PID
		}
	}
	t.Fatalf("there is no process %s in %+v", process, st)
	return 0
}

func kill(t *testing.T, pid int) {
	t.Helper()
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
}

// runCore runs a server in this process as the plan on a file says, until it is
// killed or interrupted.
func runCore(file string) {
	var plan struct {
		Sections []module.Section
		Data     string
		Grace    time.Duration
	}
	b, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(b, &plan)
	}
	if err != nil {
		panic(err)
	}
	programs, errs := server.Describe(context.Background(), []wire.Program{program()})
	if len(errs) > 0 {
		panic(errors.Join(errs...))
	}
	processes := map[string]server.Process{"test": {OrphanGrace: plan.Grace}}
	for _, s := range plan.Sections {
		for _, l := range s.Chain {
			processes[l.Process] = server.Process{OrphanGrace: plan.Grace}
		}
	}
	s, err := server.Start(context.Background(), server.Plan{
		Programs: programs, Sections: plan.Sections, Data: plan.Data, Processes: processes,
		Fallback: func(p *packet.Packet) { fmt.Fprintf(os.Stderr, "core: %s: %s%s\n", p.Type, p.Body, p.Attrs) },
	})
	if err != nil {
		panic(err)
	}
	fmt.Println("up")
	end := make(chan os.Signal, 1)
	signal.Notify(end, os.Interrupt)
	<-end
	if err := s.Stop(context.Background()); err != nil {
		panic(err)
	}
}

// core starts a core in a process of its own and waits until it is up.
func (b *bench) core(grace time.Duration, sections ...module.Section) *exec.Cmd {
	b.t.Helper()
	cmd, out := b.beginCore(grace, sections...)
	if n, err := out.Read(make([]byte, 10)); err != nil || n == 0 {
		b.t.Fatalf("the core does not come up: %v", err)
	}
	return cmd
}

// beginCore starts a core in a process of its own. out says when it is up.
func (b *bench) beginCore(grace time.Duration, sections ...module.Section) (cmd *exec.Cmd, out io.Reader) {
	b.t.Helper()
	raw, err := json.Marshal(map[string]any{"Sections": sections, "Data": filepath.Join(b.dir, "d"), "Grace": grace})
	if err != nil {
		b.t.Fatal(err)
	}
	file := filepath.Join(b.dir, "plan.json")
	if err := os.WriteFile(file, raw, 0o600); err != nil {
		b.t.Fatal(err)
	}
	cmd = exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "TEST_CORE="+file, "GORACE=atexit_sleep_ms=0")
	cmd.Stderr = os.Stderr
	if out, err = cmd.StdoutPipe(); err != nil {
		b.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return cmd, out
}

func (b *bench) client() *server.Client {
	return server.Dial(filepath.Join(b.dir, "d", server.SocketName))
}
