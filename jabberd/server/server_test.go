package server_test

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/jabberd/server"
	"github.com/jabberii/server/jabberd/tree"
	"github.com/jabberii/server/jabberd/wire"
)

func ask(name string) *packet.Packet {
	return &packet.Packet{Kind: packet.XDB, Name: name, To: "ann@example.org", From: "test"}
}

func TestAQuestionGoesThroughTwoProcesses(t *testing.T) {
	b := newBench(t)
	s := b.start(b.plan(xdb()))
	answer, err := s.Ask(t.Context(), ask("get"))
	if err != nil {
		t.Fatal(err)
	}
	st := s.Status()
	if answer.Name != "hello" || answer.Lang != fmt.Sprint(pid(t, st, "marker")) ||
		answer.Attrs != fmt.Sprintf(" pid='%d'", pid(t, st, "teller")) {
		t.Errorf("answer %+v, status %+v", answer, st)
	}
	var reject *packet.Reject
	if _, err := s.Ask(t.Context(), ask("refuse")); !errors.As(err, &reject) || reject.Condition != "not-allowed" {
		t.Errorf("refused with %v", err)
	}
	if _, err := s.Ask(t.Context(), ask("panic")); !errors.As(err, &reject) || reject.Condition != "internal-server-error" {
		t.Errorf("panic answered with %v", err)
	}
	if got := s.Status(); pid(t, got, "teller") != pid(t, st, "teller") {
		t.Error("a panic in a handler ended its process")
	}
}

func TestLinkedModulesNeedNoProcess(t *testing.T) {
	b := newBench(t)
	plan := b.plan(xdb())
	plan.Programs = server.Linked(modules())
	s := b.start(plan)
	answer, err := s.Ask(t.Context(), ask("get"))
	if err != nil || answer.Attrs != fmt.Sprintf(" pid='%d'", os.Getpid()) {
		t.Errorf("answer %+v, %v", answer, err)
	}
	if n := len(s.Status().Processes); n != 0 {
		t.Errorf("%d processes", n)
	}
}

func TestCommandsReachTheRunningServer(t *testing.T) {
	b := newBench(t)
	s := b.start(b.plan(xdb()))
	c := b.client()
	st, err := c.Status(t.Context())
	if err != nil || st.PID != os.Getpid() || pid(t, st, "teller") != pid(t, s.Status(), "teller") {
		t.Fatalf("status %+v, %v", st, err)
	}
	answer, err := c.Ask(t.Context(), ask("get"))
	if err != nil || answer.Name != "hello" {
		t.Errorf("answer %+v, %v", answer, err)
	}
	var reject *packet.Reject
	if _, err := c.Ask(t.Context(), ask("refuse")); !errors.As(err, &reject) || reject.Condition != "not-allowed" {
		t.Errorf("refused with %v", err)
	}
	report, err := c.Explain(t.Context(), ask("get"))
	if err != nil || len(report.Sections) != 1 || len(report.Sections[0].Steps) != 2 {
		t.Fatalf("report %+v, %v", report, err)
	}
	if step := report.Sections[0].Steps[0]; step.Process != "marker" || step.Why != "marks with its pid" || !step.Asked {
		t.Errorf("step %+v", step)
	}
	info, err := os.Stat(filepath.Join(b.dir, "d", server.SocketName))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the socket: %v, %v", info.Mode(), err)
	}
	if _, err := server.Dial(filepath.Join(b.dir, "none")).Status(t.Context()); err == nil || !strings.Contains(err.Error(), "no server answers") {
		t.Errorf("no server: %v", err)
	}
}

func TestOneServerADataFolder(t *testing.T) {
	b := newBench(t)
	b.start(b.plan(xdb()))
	if _, err := server.Start(t.Context(), b.plan(xdb())); err == nil || !strings.Contains(err.Error(), "runs already") {
		t.Errorf("a second one: %v", err)
	}
	if _, err := server.Check(t.Context(), b.plan(xdb())); err != nil {
		t.Errorf("a check beside it: %v", err)
	}
}

func TestAFileInThePlaceOfTheSocket(t *testing.T) {
	b := newBench(t)
	plan := b.plan(xdb())
	plan.Socket = filepath.Join(b.dir, "precious")
	if err := os.WriteFile(plan.Socket, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := server.Start(t.Context(), plan); err == nil || !strings.Contains(err.Error(), "is no socket") {
		t.Errorf("started with %v", err)
	}
	if _, err := os.Stat(plan.Socket); err != nil {
		t.Error(err)
	}
}

func TestADeepDataFolder(t *testing.T) {
	b := newBench(t)
	plan := b.plan(xdb())
	plan.Data = filepath.Join(b.dir, strings.Repeat("deep/", 20))
	plan.Socket = filepath.Join(b.dir, "s")
	s := b.start(plan)
	if _, err := s.Ask(t.Context(), ask("get")); err != nil {
		t.Error(err)
	}
}

func TestAllThatIsWrongIsReported(t *testing.T) {
	b := newBench(t)
	bad := func(count int) module.Section {
		return module.Section{ID: fmt.Sprint("bad", count), Kinds: module.On(packet.Normal), Chain: []module.Link{
			attach("there"), link("emit", fmt.Sprint("p", count), reportArgs{Count: count})}}
	}
	for name, run := range map[string]func(server.Plan) error{
		"start": func(p server.Plan) error { _, err := server.Start(t.Context(), p); return err },
		"check": func(p server.Plan) error { _, err := server.Check(t.Context(), p); return err },
	} {
		var wrong server.LinkErrors
		if err := run(b.plan(bad(-1), bad(1), bad(-2))); !errors.As(err, &wrong) || len(wrong) != 2 {
			t.Fatalf("%s: %v", name, err)
		}
		want := tree.LinkRef{Section: 2, Link: 1}
		if wrong[1].LinkRef != want || len(wrong[1].Path) != 1 || wrong[1].Path[0] != "count" || wrong[1].Text != "is below 0" {
			t.Errorf("%s: %+v", name, wrong)
		}
	}
}

func TestABlockThatDoesNotStart(t *testing.T) {
	b := newBench(t)
	section := module.Section{ID: "s", Kinds: module.On(packet.Normal), Chain: []module.Link{
		attach("there"), link("collect", "", reportArgs{To: filepath.Join(b.dir, "nobody")})}}
	var wrong server.LinkErrors
	if _, err := server.Start(t.Context(), b.plan(section)); !errors.As(err, &wrong) || wrong[0].LinkRef != (tree.LinkRef{Section: 0, Link: 1}) {
		t.Fatalf("started with %v", err)
	}
	section.Chain[1].Optional = true
	b.start(b.plan(section))
}

func TestAProcessIsOneProgram(t *testing.T) {
	b := newBench(t)
	two := program()
	two.Name, two.Env = "other", []string{"X=1"}
	_, errs := server.Describe(t.Context(), []wire.Program{program(), two})
	if len(errs) == 0 || !strings.Contains(errs[0].Error(), "both have a module") {
		t.Errorf("two programs with the same modules: %v", errs)
	}
	if _, err := server.Start(t.Context(), b.plan(module.Section{ID: "s", Kinds: module.On(packet.Normal), Chain: []module.Link{link("nothing", "", nil)}})); err == nil || !strings.Contains(err.Error(), `no module "nothing"`) {
		t.Errorf("an unknown module: %v", err)
	}
}

func TestAForkHasProcessesOfItsOwn(t *testing.T) {
	b := newBench(t)
	forked := xdb()
	forked.Chain[1].Process, forked.Chain[2].Process = "", ""
	forked.Chain = append(forked.Chain[:2:2], module.Link{Module: "fork", Args: []byte("{}")}, forked.Chain[2])
	s := b.start(b.plan(forked))
	answer, err := s.Ask(t.Context(), ask("get"))
	if err != nil {
		t.Fatal(err)
	}
	st := s.Status()
	if answer.Lang != fmt.Sprint(pid(t, st, "test")) || answer.Attrs != fmt.Sprintf(" pid='%d'", pid(t, st, "test.store")) {
		t.Errorf("answer %+v, status %+v", answer, st.Processes)
	}
}

func TestProgramsThatCannotBeDescribed(t *testing.T) {
	sum := sha256.Sum256([]byte("something else"))
	text, err := filepath.Abs("server.go")
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		program wire.Program
		want    string
	}{
		"not there":      {wire.Program{Name: "x", Path: "/nowhere/x"}, "no such file"},
		"not a program":  {wire.Program{Name: "x", Path: text}, "is no program: nobody may execute it"},
		"says why":       {program("TEST_FAIL=broken"), "exit status 3: it is broken"},
		"prints no JSON": {wire.Program{Name: "x", Path: "/bin/echo"}, "prints no description"},
		"wrong checksum": {wire.Program{Name: "x", Path: os.Args[0], Checksum: "sha256:" + hex.EncodeToString(sum[:])}, "has the checksum sha256:"},
		"nobody there":   {wire.Program{Name: "x", Attach: "unix:/nowhere/socket"}, "no plugin answers at unix:/nowhere/socket"},
		"no address":     {wire.Program{Name: "x", Attach: "tcp:1"}, "is no address of a plugin"},
	} {
		if _, err := c.program.Describe(t.Context()); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

func TestProgramsThatDoNotComeUp(t *testing.T) {
	b := newBench(t)
	runtime, err := wire.OpenRuntime(filepath.Join(b.dir, "d"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = runtime.Close() }()
	for name, c := range map[string]struct {
		program wire.Program
		want    string
	}{
		"later protocol":  {program("TEST_VERSION=9"), os.Args[0] + " offers plugin protocol 9, this jabberd accepts 1: jabberd is too old for it"},
		"earlier":         {program("TEST_VERSION=0"), "offers plugin protocol 0, this jabberd accepts 1: the program needs a newer version"},
		"says why":        {program("TEST_FAIL=broken"), "ended before it served: exit status 3: it is broken"},
		"no plugin":       {wire.Program{Name: "x", Path: "/bin/echo", Args: []string{"hi"}}, `/bin/echo`},
		"wrong checksum":  {wire.Program{Name: "x", Path: os.Args[0], Checksum: "sha256:00"}, "has the checksum sha256:"},
		"not a program":   {wire.Program{Name: "x", Path: "/etc/passwd"}, "is no program: nobody may execute it"},
		"nobody attached": {wire.Program{Name: "x", Attach: "unix:/nowhere/socket"}, "no such file"},
	} {
		p, err := runtime.Start(t.Context(), wire.Launch{Process: "x", Program: c.program, Plan: "p", Core: 1})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
		if p != nil {
			p.Kill()
		}
	}
}

func TestAVerifiedProgramRuns(t *testing.T) {
	b := newBench(t)
	file, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(file)
	verified := program()
	verified.Checksum = "sha256:" + hex.EncodeToString(sum[:])
	programs, errs := server.Describe(t.Context(), []wire.Program{verified})
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	plan := b.plan(xdb())
	plan.Programs = programs
	s := b.start(plan)
	if _, err := s.Ask(t.Context(), ask("get")); err != nil {
		t.Error(err)
	}
}

func TestLogsArriveWithTheirLevel(t *testing.T) {
	b := newBench(t)
	logs := module.Section{ID: "logs", Kinds: module.On(packet.Log), Chain: []module.Link{attach("*"), link("journal", "logger", reportArgs{To: b.to})}}
	s := b.start(b.plan(xdb(), logs))
	if _, err := s.Ask(t.Context(), ask("log")); err != nil {
		t.Fatal(err)
	}
	want := map[string]bool{"debug store: a detail": true, "error store: a fault": true, "warn jabberd: written by hand": true}
	for len(want) > 0 {
		got := b.next()
		for w := range want {
			if strings.HasPrefix(got, w) {
				delete(want, w)
			}
		}
	}
	kill(t, pid(t, s.Status(), "teller"))
	for !strings.Contains(b.next(), "process died: signal: killed") {
	}
}

func TestStopLeavesNothingBehind(t *testing.T) {
	b := newBench(t)
	s := b.start(b.plan(xdb()))
	st := s.Status()
	b.stop(s)
	for _, p := range st.Processes {
		if err := syscall.Kill(p.PID, 0); err == nil {
			t.Errorf("process %s is still there", p.Name)
		}
	}
	left, _ := filepath.Glob(filepath.Join(b.dir, "d", "run", "*"))
	if len(left) != 1 || filepath.Base(left[0]) != "lock" {
		t.Errorf("left behind: %q", left)
	}
	if _, err := os.Stat(filepath.Join(b.dir, "d", server.SocketName)); err == nil {
		t.Error("the socket for commands is still there")
	}
}

func TestStopIsQuick(t *testing.T) {
	b := newBench(t)
	s := b.start(b.plan(xdb()))
	began := time.Now()
	b.stop(s)
	if d := time.Since(began); d > 5*time.Second {
		t.Errorf("took %v", d)
	}
}
