package e2e_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jabberii/server/jabberd/config/configtest"
	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/jabberd/wire"
	"github.com/jabberii/server/xdb/memory"
)

// An example is a plugin of a third party, in plugins/examples.
type example struct {
	folder, plugin, program string
	make                    func(t *testing.T, source, dir string) // makes the program, as its README says
}

var examples = []example{
	{"greeter", "greeter", "greeter", makeGreeter},
	{"greeter-python", "greeter-python", "greeter.py", makeGreeterPython},
}

func makeGreeter(t *testing.T, source, dir string) {
	command(t, source, "go", "build", "-o", filepath.Join(dir, "greeter"), ".")
}

func makeGreeterPython(t *testing.T, source, dir string) {
	python, err := exec.Command("/usr/bin/python3", "-c", "import grpc, google.protobuf").CombinedOutput()
	if err != nil {
		t.Skipf("no gRPC for Debian's Python: %v\n%s", err, python)
	}
	stubs, err := exec.LookPath("grpc_python_plugin")
	if err != nil {
		t.Skip(err)
	}
	proto, err := filepath.Abs("../wire/plugin")
	if err != nil {
		t.Fatal(err)
	}
	command(t, dir, "protoc", "-I", proto, "--python_out=.", "--grpc_out=.", "--plugin=protoc-gen-grpc="+stubs, "plugin.proto")
	text, err := os.ReadFile(filepath.Join(source, "greeter.py"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "greeter.py"), text, 0o700); err != nil {
		t.Fatal(err)
	}
}

func command(t *testing.T, dir string, name string, args ...string) {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, out)
	}
}

// everyExample runs a test with each plugin, made in a folder of its own.
func everyExample(t *testing.T, test func(t *testing.T, x example, source, dir string)) {
	for _, x := range examples {
		t.Run(x.folder, func(t *testing.T) {
			source, err := filepath.Abs("../../plugins/examples/" + x.folder)
			if err != nil {
				t.Fatal(err)
			}
			dir, err := os.MkdirTemp("", "plugin") // t.TempDir is too long for sockets
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = os.RemoveAll(dir) })
			x.make(t, source, dir)
			test(t, x, source, dir)
		})
	}
}

// TestPluginOfItsOwn runs the tests that a third party has, in a module of its
// own that go test ./... does not see.
func TestPluginOfItsOwn(t *testing.T) {
	command(t, "../../plugins/examples/greeter", "go", "test", "-count=1", "./...")
}

// written is the configuration in the README of an example.
func written(t *testing.T, source string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(source, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	fences := configtest.Fences(string(text))
	if len(fences) != 1 {
		t.Fatalf("%s has %d examples", source, len(fences))
	}
	return fences[0].Text
}

// A probe is a section of the test's own in a running server: the test is the
// plugin, to which the server attaches.
type probe struct {
	env      chan module.Env
	answers  chan packet.Packet
	entries  chan packet.Packet
	answered func() // is called for each answer before it is claimed
}

func (p *probe) Handle(_ context.Context, x *packet.Packet) (packet.Verdict, error) {
	if x.Kind == packet.Log {
		p.entries <- *x
		return packet.Claim, nil
	}
	if p.answered != nil {
		p.answered()
	}
	p.answers <- *x
	return packet.Claim, nil
}

// serve serves the probe, and returns what the configuration says of it.
func (p *probe) serve(t *testing.T, dir string) string {
	t.Helper()
	path := filepath.Join(dir, "probe")
	listener, err := wire.Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	p.env, p.answers, p.entries = make(chan module.Env, 2), make(chan packet.Packet, 100000), make(chan packet.Packet, 100000)
	modules := []module.Module{
		module.Define("probe", "Is the test's own.", module.On(packet.Normal, packet.Log), func(env module.Env, _ struct{}) (packet.Handler, error) {
			return runningProbe{p, env}, nil
		}),
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		wire.ServeAttached(ctx, listener, modules, func(*packet.Packet) {})
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
	return fmt.Sprintf(`
variable "data_dir" { default = "data" }
engine { data_dir = var.data_dir }
plugin "probe" { attach = "unix:%s" }
normal "people" {
  host "example.org" {}
  probe {}
}
log "entries" {
  host "*" {}
  probe {}
}
`, path)
}

// A runningProbe is the probe in one of its sections.
type runningProbe struct {
	*probe
	own module.Env
}

func (p runningProbe) Run(ctx context.Context) error {
	if p.own.Kinds()[0] == packet.Normal {
		p.env <- p.own
	}
	<-ctx.Done()
	return nil
}

func await[T any](t *testing.T, c <-chan T, what string) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(30 * time.Second):
		t.Fatalf("no %s for 30 s", what)
	}
	return v
}

// logged waits for an entry with a level and a text.
func (p *probe) logged(t *testing.T, level, text string) *packet.Packet {
	t.Helper()
	for {
		e := await(t, p.entries, level+" entry "+text)
		if e.Type == level && strings.Contains(string(e.Body), text) {
			return &e
		}
	}
}

// configure writes a configuration and returns its name for start.
func configure(t *testing.T, dir, text string) string {
	t.Helper()
	name := filepath.Join(dir, "main.hcl")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	if name, err = filepath.Rel(root, name); err != nil {
		t.Fatal(err)
	}
	return name
}

// others are sections of the plugin with all defaults, and with two of its links
// that another process's stands between.
const others = `
normal "plain" {
  host "plain.localhost" {}
  greeter {}
}
normal "two" {
  greeter {
    words  = ["salut"]
    answer = "Salut {name}."
  }
  host "two.localhost" {}
  greeter {
    words  = ["hey", "salut"]
    answer = "Hey {name} {times}."
  }
}
`

// TestPluginAnswers runs the configuration of the README with the plugin that
// it names, verified by its checksum and confined as far as the kernel can.
func TestPluginAnswers(t *testing.T) {
	everyExample(t, func(t *testing.T, x example, source, dir string) {
		p := &probe{}
		program, err := os.ReadFile(filepath.Join(dir, x.program))
		if err != nil {
			t.Fatal(err)
		}
		path := fmt.Sprintf("path = %q", "./"+x.program)
		text := strings.Replace(written(t, source), path, fmt.Sprintf("%s\nchecksum = \"sha256:%x\"\nconfine {\nread = [\".\"]\nfiles = 200\noptional = true\n}", path, sha256.Sum256(program)), 1)
		r := start(t, configure(t, dir, text+others+p.serve(t, dir)), nil)
		env := await(t, p.env, "probe")
		for _, c := range []struct{ host, from, type_, body, want string }{
			{"greet.localhost", "ann@example.org/desk", "chat", "<body>Hello you</body>", "chat <body>Hello ann, this is greeting 1.</body>"},
			{"greet.localhost", "bob@example.org", "", "<body>moin</body><x xmlns='urn:x'/>", " <body>Hello bob, this is greeting 1.</body>"},
			{"greet.localhost", "ann@example.org/phone", "chat", "<body>well, MOIN!</body>", "chat <body>Hello ann, this is greeting 2.</body>"},
			{"greet.localhost", "a&b@example.org", "chat", "<body>&#x48;ello</body>", "chat <body>Hello a&amp;b, this is greeting 1.</body>"},
			{"greet.localhost", "ann@example.org", "chat", "<body>othello</body>", "error"},
			{"greet.localhost", "ann@example.org", "chat", "<body xmlns='urn:x'>hello</body>", "error"},
			{"greet.localhost", "ann@example.org/desk", "chat", "<body>hello</body>", "chat <body>Hello ann, this is greeting 3.</body>"},
			{"two.localhost", "ann@example.org", "", "<body>hey</body>", " <body>Hey ann 1.</body>"},
			{"two.localhost", "ann@example.org", "", "<body>salut</body>", " <body>Salut ann.</body>"},
			{"two.localhost", "ann@example.org", "", "<body>hello</body>", "error"},
			{"plain.localhost", "ann@example.org", "", "<body>hi</body>", " <body>Hello ann, this is greeting 1.</body>"},
		} {
			err := env.Deliver(t.Context(), &packet.Packet{
				Kind: packet.Normal, Name: "message", Type: c.type_, To: c.host, From: c.from, Body: []byte(c.body)})
			if err != nil {
				t.Fatal(err)
			}
			answer := await(t, p.answers, "answer")
			if got := answer.Type + " " + string(answer.Body); !strings.HasPrefix(got, c.want) || answer.To != c.from || answer.From != c.host {
				t.Errorf("%s from %s: answered %q to %s from %s", c.body, c.from, got, answer.To, answer.From)
			}
			if c.want == "error" {
				continue
			}
			e := p.logged(t, "info", "greeted")
			for _, want := range []string{"who='" + strings.ReplaceAll(packet.Bare(c.from), "&", "&amp;") + "'", "module='greeter'", "main.hcl:"} {
				if !strings.Contains(e.Attrs, want) {
					t.Errorf("logged with%s, not %s", e.Attrs, want)
				}
			}
		}
		for _, c := range []struct{ host, body, want string }{
			{"greet.localhost", "<body>moin</body>", `greeter +claim +answers "moin"`},
			{"greet.localhost", "<body>bye</body>", `greeter +pass +not a message with one of hello, moin`},
			{"greet.localhost", "<body>no end", `greeter +pass `},
			{"two.localhost", "<body>hey</body>", `greeter +pass .*\n +greeter +claim +answers "hey"`},
			{"two.localhost", "<body>salut</body>", `greeter +claim +answers "salut"\noutcome`},
		} {
			out := r.must("explain", "--to", c.host, "--from", "ann@example.org", "--body", c.body)
			if !regexp.MustCompile(c.want).MatchString(out) {
				t.Errorf("%s to %s is explained as\n%s", c.body, c.host, out)
			}
		}
	})
}

// TestPluginDies kills the plugin while it answers: each message is answered
// once, in order, and nothing is lost.
func TestPluginDies(t *testing.T) {
	const people, messages = 10, 2000
	everyExample(t, func(t *testing.T, x example, source, dir string) {
		p := &probe{}
		var pid, seen atomic.Int64
		p.answered = func() {
			if seen.Add(1) != messages/4 {
				return
			}
			if err := syscall.Kill(int(pid.Load()), syscall.SIGKILL); err != nil {
				t.Error(err)
			}
		}
		r := start(t, configure(t, dir, written(t, source)+p.serve(t, dir)), nil)
		pid.Store(int64(pidOf(t, r, x.plugin)))

		var claimed atomic.Int64
		settled := make(chan struct{}, messages)
		send := await(t, p.env, "probe").Source(module.SourceConfig{Window: 100, Settled: func(outcomes []packet.Outcome) {
			for _, o := range outcomes {
				if o.Result == packet.Claimed {
					claimed.Add(1)
				}
				settled <- struct{}{}
			}
		}})
		for i := range messages {
			m := packet.Packet{
				Kind: packet.Normal, Name: "message", To: "greet.localhost", From: fmt.Sprintf("p%d@example.org", i%people), Body: []byte("<body>hello</body>")}
			if err := send.Deliver(t.Context(), &m, uint64(i)); err != nil {
				t.Fatal(err)
			}
		}
		for range messages {
			await(t, settled, "outcome")
		}
		if n := claimed.Load(); n != messages {
			t.Errorf("%d of %d were claimed", n, messages)
		}
		count, told := regexp.MustCompile(`greeting (\d+)\.`), map[string][]int{}
		for range len(p.answers) {
			a := <-p.answers
			found := count.FindSubmatch(a.Body)
			if found == nil {
				t.Fatalf("answered %s", a.Body)
			}
			n, _ := strconv.Atoi(string(found[1]))
			if all := told[a.To]; len(all) > 0 && all[len(all)-1] >= n {
				t.Errorf("%s was told %d after %v", a.To, n, all)
			}
			told[a.To] = append(told[a.To], n)
		}
		twice := 0
		for who, all := range told {
			twice += all[len(all)-1] - len(all)
			if len(all) != messages/people {
				t.Errorf("%s has %d answers to %d messages", who, len(all), messages/people)
			}
		}
		t.Logf("figure: %s killed under traffic: %d messages, %d claimed and answered once and in order, %d counted twice by storage", x.plugin, messages, claimed.Load(), twice)
		if len(told) != people {
			t.Errorf("%d of %d were answered", len(told), people)
		}
		p.logged(t, "error", "process died")
		p.logged(t, "info", "process runs again")
		if twice > 0 { // else nothing was in its hands when it died
			p.logged(t, "warn", "greeted after a death")
		}
		if now := pidOf(t, r, x.plugin); int64(now) == pid.Load() {
			t.Error("the process is the one that was killed")
		}
	})
}

func pidOf(t *testing.T, r *running, process string) int {
	t.Helper()
	for _, p := range r.status().Processes {
		if p.Name == process {
			return p.PID
		}
	}
	t.Fatalf("there is no process %s", process)
	return 0
}

// TestPluginRefusesArguments shows what only the plugin knows to be wrong, and
// what its schema says, at the place in the file.
func TestPluginRefusesArguments(t *testing.T) {
	everyExample(t, func(t *testing.T, x example, source, dir string) {
		for _, c := range []struct{ name, old, new, place, text string }{
			{"a word", `"moin"]`, `"good day"]`, "9:14", `words: "good day" is no word.`},
			{"a placeholder", "{name}", "{nick}", "10:14", "answer: {nick} is neither {name} nor {times}."},
			{"a type", `["hello", "moin"]`, "{}", "9:14", "A list of texts is needed"},
			{"an unknown argument", "words ", "wodrs ", "9:5", `Did you mean "words"?`},
			{"an unknown block", "words ", "more {}\nwords ", "9:5", `greeter has no block "more"`},
			{"an unknown module", "  greeter {", "  greeting {", "8:3", `Did you mean "greeter"?`},
		} {
			file := configure(t, dir, strings.Replace(written(t, source), c.old, c.new, 1))
			cmd := exec.Command(filepath.Join(binaries(t), "jabberd"), "check", file)
			cmd.Dir = "../.."
			out, err := cmd.CombinedOutput()
			said := string(out)
			if err == nil || !strings.Contains(said, "main.hcl:"+c.place+`, in normal "greet"`) || !strings.Contains(said, c.text) || !strings.Contains(said, "\n1 error\n") {
				t.Errorf("%s: not %s %s: %v\n%s", c.name, c.place, c.text, err, out)
			}
		}
	})
}

// TestPluginsThatCannotBeAsked has each complaint at its plugin, once.
func TestPluginsThatCannotBeAsked(t *testing.T) {
	file := filepath.Join(t.TempDir(), "main.hcl")
	script := func(mode os.FileMode) string {
		name := filepath.Join(t.TempDir(), "text")
		if err := os.WriteFile(name, []byte("hello\n"), mode); err != nil {
			t.Fatal(err)
		}
		return name
	}
	text := fmt.Sprintf(`plugin "gone" { path = "/nowhere/gone" }
plugin "other" { path = "/bin/echo" }
plugin "mine" { attach = "tcp:1" }
plugin "xdb" { path = "/bin/echo" }
plugin "twice" { path = %q }
plugin "folder" { path = "/usr" }
plugin "text" { path = %q }
plugin "script" { path = %q }
`, filepath.Join(binaries(t), "xdb"), script(0o600), script(0o700))
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(filepath.Join(binaries(t), "jabberd"), "check", file).CombinedOutput()
	for _, want := range []string{
		"1:8, in plugin \"gone\"", "/nowhere/gone: no such file",
		"2:8, in plugin \"other\"", "/bin/echo describe prints no description but \"describe\\n\": ", "exec runs programs of any kind",
		"3:8, in plugin \"mine\"", "is no address of a plugin",
		"4:8, in plugin \"xdb\"", "a program of jabberd's own has this name",
		"5:8, in plugin \"twice\"", "xdb and twice both have a module",
		"6:8, in plugin \"folder\"", "/usr is no program: it is no file",
		"7:8, in plugin \"text\"", "is no program: nobody may execute it",
		"8:8, in plugin \"script\"", "[ERROR] execute ", "exec format error",
		"\n8 errors\n",
	} {
		if err == nil || !strings.Contains(string(out), want) {
			t.Errorf("no %q in %v\n%s", want, err, out)
		}
	}
}

// TestPluginsAreTheSame compares what the examples say of themselves with each
// other and with their READMEs.
func TestPluginsAreTheSame(t *testing.T) {
	described := map[string]string{}
	everyExample(t, func(t *testing.T, x example, source, dir string) {
		list, err := wire.Program{Name: x.plugin, Path: filepath.Join(dir, x.program)}.Describe(t.Context())
		if err != nil || len(list) != 1 {
			t.Fatalf("%v, %d modules", err, len(list))
		}
		described[x.folder] = fmt.Sprintf("%+v", list[0])
		list[0].New = func(module.Env, []byte) (packet.Handler, error) { return nil, nil }
		t.Chdir(source)
		configtest.Readme(t, list[0], memory.Module)
	})
	for name, d := range described {
		if d != described["greeter"] {
			t.Errorf("%s is\n%s\nand greeter\n%s", name, d, described["greeter"])
		}
	}
}

// TestSharedObjectOfItsOwnModule builds a service in a Go module of its own with
// jabberd plugin build, and has both kinds of servers load it.
func TestSharedObjectOfItsOwnModule(t *testing.T) {
	server, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	service, err := os.ReadFile("../../basemods/load/testdata/service/main.go")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, text := range map[string]string{
		"go.mod":  "module example.org/greedy\n\ngo 1.26.0\n\nrequire github.com/jabberii/server v0.0.0\n\nreplace github.com/jabberii/server => " + server + "\n",
		"main.go": string(service),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	command(t, dir, filepath.Join(binaries(t), "jabberd"), "plugin", "build", "-o", filepath.Join(dir, "greedy.so"), ".")
	file := configure(t, dir, `
variable "data_dir" {}
variable "isolation" {}
engine {
  data_dir  = var.data_dir
  isolation = var.isolation
}
normal "greedy" {
  host "greedy.example.org" {}
  load "./greedy.so" { text = "all mine" }
}
`)
	everyIsolation(t, func(t *testing.T, vars map[string]string) {
		r := start(t, file, vars)
		if out := r.must("explain", "--to", "greedy.example.org"); !strings.Contains(out, `load "`) || !strings.Contains(out, "greedy.so") {
			t.Errorf("explained as\n%s", out)
		}
	})
}
