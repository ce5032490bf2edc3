// Package configtest checks what is written about modules: that the reference
// in a README is what the module says of itself, and that the examples load.
//
//	func TestReadme(t *testing.T) { configtest.Readme(t, cache.Module, badger.Module) }
//
// It is for tests only, which is why a module may import it there and nowhere
// else.
package configtest

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/jabberii/server/jabberd/config"
	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
)

// The reference stands between these lines of a README.
const (
	Begin = "<!-- reference -->"
	End   = "<!-- end of reference -->"
)

// Readme checks README.md in the folder of the test. Its reference has to be
// that of m; with UPDATE=1 in the environment it is written. Each hcl fence is
// a configuration of m, others and host, which has to be right, without
// warnings; an environment variable that it asks for is set.
func Readme(t testing.TB, m module.Module, others ...module.Module) {
	t.Helper()
	readme(t, m, append([]module.Module{m}, others...))
}

// ReadmeOfService is Readme for a service, which examples load by its name.
func ReadmeOfService(t testing.TB, service module.Module, others ...module.Module) {
	t.Helper()
	load := module.Module{Name: "load", Doc: "Starts a service.", Label: "name of the service", Services: []module.Module{service}}
	readme(t, service, append([]module.Module{load}, others...))
}

func readme(t testing.TB, m module.Module, modules []module.Module) {
	t.Helper()
	raw, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	text := string(raw)
	if err := m.Check(); err != nil {
		t.Error(err)
	}
	checkReference(t, text, config.Reference(m))
	fences := Fences(text)
	if len(fences) == 0 {
		t.Error("README.md has no example: a fence that begins with ```hcl")
	}
	for _, fence := range fences {
		checkExample(t, fence, modules)
	}
}

func checkReference(t testing.TB, text, want string) {
	t.Helper()
	want = "\n\n" + want + "\n"
	before, rest, found := strings.Cut(text, Begin)
	got, after, closed := strings.Cut(rest, End)
	switch {
	case !found || !closed:
		t.Errorf("README.md has no place for the reference: a line %s and a line %s", Begin, End)
	case got == want:
	case os.Getenv("UPDATE") != "":
		if err := os.WriteFile("README.md", []byte(before+Begin+want+End+after), 0o644); err != nil {
			t.Error(err)
		}
	default:
		t.Errorf("the reference in README.md is stale; UPDATE=1 writes it. It should be:%s", want)
	}
}

// A Fence is an example in a text.
type Fence struct {
	Line int // of its first line, from 1
	Text string
}

// Fences returns the hcl fences of a text in markdown.
func Fences(text string) (list []Fence) {
	var open *Fence
	for i, line := range strings.SplitAfter(text, "\n") {
		switch trimmed := strings.TrimSpace(line); {
		case open != nil && trimmed == "```":
			list, open = append(list, *open), nil
		case open != nil:
			open.Text += line
		case trimmed == "```hcl":
			open = &Fence{Line: i + 2}
		}
	}
	return list
}

// checkExample checks a fence. Its lines keep their numbers.
func checkExample(t testing.TB, fence Fence, modules []module.Module) {
	name := filepath.Join(t.TempDir(), "README.md")
	if err := os.WriteFile(name, []byte(strings.Repeat("\n", fence.Line-1)+fence.Text), 0o600); err != nil {
		t.Fatal(err)
	}
	Check(t, name, nil, modules)
}

// Check checks the configuration in a file: it has to be right, without
// warnings. A stand-in for host is added if it is not among modules.
// Environment variables that the file asks for are set.
func Check(t testing.TB, name string, vars map[string]string, modules []module.Module) {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	for _, match := range regexp.MustCompile(`\benv\("([A-Za-z0-9_]+)"\)`).FindAllSubmatch(text, -1) {
		t.Setenv(string(match[1]), "set by the test, and long enough")
	}
	has := false
	for _, m := range modules {
		has = has || m.Name == "host"
	}
	if !has {
		modules = append([]module.Module{host()}, modules...)
	}
	catalog := config.Catalog{Modules: modules}
	f, diags := config.Load(name, vars, catalog)
	diags = append(diags, f.Check(f.Make(context.Background(), catalog))...)
	if len(diags) > 0 {
		var out strings.Builder
		if err := f.Print(&out, diags, false); err != nil {
			t.Fatal(err)
		}
		t.Errorf("%s", out.String())
	}
}

// host is a stand-in for the module of that name.
func host() module.Module {
	type args struct {
		Name string `json:"label" label:"host name"`
	}
	kinds := module.On(packet.Normal, packet.Session, packet.XDB, packet.Log)
	m := module.Define("host", "Attaches the section to a host.", kinds, func(env module.Env, a args) (packet.Handler, error) {
		return packet.HandlerFunc(func(context.Context, *packet.Packet) (packet.Verdict, error) { return packet.Pass, nil }), env.Attach(a.Name)
	})
	m.Passive = true
	return m
}
