package command_test

import (
	"context"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"

	"github.com/jabberii/server/basemods/accept"
	"github.com/jabberii/server/basemods/host"
	"github.com/jabberii/server/basemods/load"
	"github.com/jabberii/server/jabberd/cli"
	"github.com/jabberii/server/jabberd/command"
	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
	logfilter "github.com/jabberii/server/logmods/filter"
	"github.com/jabberii/server/logmods/format"
	"github.com/jabberii/server/logmods/stdout"
	"github.com/jabberii/server/plugins/c2s"
	"github.com/jabberii/server/plugins/sm"
	"github.com/jabberii/server/xdb/cache"
	"github.com/jabberii/server/xdb/filter"
	"github.com/jabberii/server/xdb/memory"
)

var update = flag.Bool("update", false, "write what comes out into the golden files")

// A stranger is the handler of a third party's module that explains nothing.
func stranger(module.Env, struct{}) (packet.Handler, error) {
	return packet.HandlerFunc(func(context.Context, *packet.Packet) (packet.Verdict, error) {
		return packet.Pass, errors.New("nothing is to be handled")
	}), nil
}

// A faint handler panics when it is asked before it was started.
type faint struct{ packet.HandlerFunc }

func (faint) Explain(context.Context, *packet.Packet) (packet.Verdict, string) {
	panic("not started")
}

// A strict handler refuses all packets.
type strict struct{ packet.HandlerFunc }

func (strict) Explain(context.Context, *packet.Packet) (packet.Verdict, string) {
	return packet.Refuses, "not-allowed"
}

func modules() []module.Module {
	kinds := module.On(packet.Normal, packet.Session, packet.XDB, packet.Log)
	strange := func(name string, claims module.Claims) module.Module {
		m := module.Define(name, "Of a third party.", kinds, stranger)
		m.Claims = claims
		return m
	}
	return []module.Module{
		host.Module, accept.Module, load.With(c2s.Module, sm.Module), filter.Module, cache.Module, memory.Module,
		logfilter.Module, format.Module, stdout.Module,
		strange("tap", module.ClaimsNone), strange("shop", module.ClaimsSome), strange("hole", module.ClaimsAll),
		module.Define("faint", "Cannot explain.", kinds, func(module.Env, struct{}) (packet.Handler, error) { return faint{}, nil }),
		module.Define("strict", "Refuses.", kinds, func(module.Env, struct{}) (packet.Handler, error) { return strict{}, nil }),
	}
}

// jabberd runs a command line and returns all that it prints.
func jabberd(args ...string) (string, error) {
	root := command.Root(modules())
	var out strings.Builder
	root.SetOut(&out)
	root.SetErr(&out)
	root.SetArgs(args)
	err := root.ExecuteContext(context.Background())
	if err != nil && !errors.Is(err, cli.ErrComplaints) {
		out.WriteString("jabberd: " + err.Error() + "\n")
	}
	return out.String(), err
}

// TestExplainGolden has in each file a configuration, main.hcl, and a
// transcript: lines "$ jabberd ..." and what the command prints.
func TestExplainGolden(t *testing.T) {
	cases, err := filepath.Glob("testdata/explain/*.txtar")
	if err != nil || len(cases) == 0 {
		t.Fatal("no cases", err)
	}
	for _, name := range cases {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) { golden(t, name) })
	}
}

func golden(t *testing.T, name string) {
	name, err := filepath.Abs(name)
	if err != nil {
		t.Fatal(err)
	}
	a, err := txtar.ParseFile(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	var want *txtar.File
	for i := range a.Files {
		f := &a.Files[i]
		if f.Name == "transcript" {
			want = f
		} else if err := os.WriteFile(f.Name, f.Data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var got strings.Builder
	for _, line := range strings.Split(string(want.Data), "\n") {
		if c, ok := strings.CutPrefix(line, "$ jabberd "); ok {
			out, _ := jabberd(words(c)...)
			got.WriteString(line + "\n" + out)
		}
	}
	if got.String() == string(want.Data) {
		return
	}
	if !*update {
		t.Fatalf("got\n%s\nwant\n%s", got.String(), want.Data)
	}
	want.Data = []byte(got.String())
	if err := os.WriteFile(name, txtar.Format(a), 0o644); err != nil {
		t.Fatal(err)
	}
}

// words splits a command line at spaces that are not in single quotes.
func words(line string) (list []string) {
	for i, part := range strings.Split(line, "'") {
		if i%2 == 1 {
			list = append(list, part)
			continue
		}
		list = append(list, strings.Fields(part)...)
	}
	return list
}

// TestExplainLeavesNothing has a static answer open and write nothing.
func TestExplainLeavesNothing(t *testing.T) {
	t.Chdir(t.TempDir())
	text := "session \"c2s\" {\n  load \"c2s\" { listen = \"127.0.0.1:1\" }\n}\nservice \"s\" {\n  host \"x\" {}\n  load \"sm\" {}\n}\n"
	if err := os.WriteFile("main.hcl", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := jabberd("explain", "main.hcl", "--to", "a@x"); err != nil {
		t.Fatal(err, out)
	}
	if left, err := filepath.Glob("*"); err != nil || len(left) != 1 {
		t.Errorf("%v, there is %q", err, left)
	}
}

func TestExplainCompletion(t *testing.T) {
	for args, want := range map[string]string{
		"explain --kind |": "session\n", "explain --name |": "presence\n", "explain |": "hcl\n:8", "explain --to |": ":4",
	} {
		list := strings.Fields("__complete " + args)
		list[len(list)-1] = ""
		if out, err := jabberd(list...); err != nil || !strings.Contains(out, want) {
			t.Errorf("%s: %v %q", args, err, out)
		}
	}
}
