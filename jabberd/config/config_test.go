package config_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/hcl/v2"

	"github.com/jabberii/server/jabberd/config"
	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
)

// load loads text, which has to be right.
func load(t *testing.T, text string) *config.File {
	t.Helper()
	t.Chdir(t.TempDir())
	write(t, "main.hcl", text)
	f, diags := config.Load("main.hcl", nil, catalog())
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	return f
}

func TestLoadFillsSections(t *testing.T) {
	f := load(t, `
engine {
  stop_timeout = "1m"
  # the rest has its defaults
}
plugin "gateway" {
  path     = "./bin/gateway"
  checksum = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
  args     = ["-v"]
  env      = { TOKEN = "t" }
}
process "edge" {
  orphan_grace = "30s"
  memory_limit = "1GiB"
}
service "users" {
  timeout = "5s"
  queue   = 7
  process = "edge"
  host "example.org" {}
  load "sm" {
    timeout  = "1s"
    on_crash = "pass"
    offline { max = 5 }
  }
}
log "watch" {
  observe = true
  uplink {}
  tap {}
}
`)
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	e, p := f.Engine, f.Plugins[0]
	if e.StopTimeout.Std() != time.Minute || e.Isolation != "process" || e.DataDir != "data" || e.LogLevel != "info" {
		t.Errorf("engine %+v", e)
	}
	if p.Name != "gateway" || p.Path != filepath.Join(dir, "bin/gateway") || p.Args[0] != "-v" || p.Env["TOKEN"] != "t" || p.Place != "main.hcl:6" {
		t.Errorf("plugin %+v", p)
	}
	if q := f.Processes[0]; q.Name != "edge" || q.OrphanGrace.Std() != 30*time.Second || q.MemoryLimit != 1<<30 || q.Place != "main.hcl:12" {
		t.Errorf("process %+v", q)
	}
	got, err := json.Marshal(f.Sections)
	if err != nil {
		t.Fatal(err)
	}
	want := `[{"id":"users","kinds":["normal","session"],"place":"main.hcl:16","chain":[` +
		`{"module":"host","label":"example.org","args":{"label":"example.org"},"place":"main.hcl:20"},` +
		`{"module":"load","label":"sm","process":"edge","args":{"offline":{"max":5}},"place":"main.hcl:21","timeout":1000000000,"on_crash":"pass"}],` +
		`"timeout":5000000000,"queue":7},` +
		`{"id":"watch","kinds":["log"],"place":"main.hcl:27","chain":[{"module":"tap","args":{},"place":"main.hcl:30"}],"observe":true,"uplink":true}]`
	if string(got) != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestEnviron(t *testing.T) {
	f := load(t, `
process "p" {
  gomaxprocs   = 2
  memory_limit = "1KiB"
  env          = { B = "b", A = "a=b" }
}
process "q" { env = { GOMAXPROCS = "3" } }
process "r" {}
plugin "x" {
  path = "x"
  env  = { A = "" }
}
`)
	for i, want := range []string{"A=a=b B=b GOMAXPROCS=2 GOMEMLIMIT=1024", "GOMAXPROCS=3", ""} {
		if got := strings.Join(f.Processes[i].Environ(), " "); got != want {
			t.Errorf("process %d: got %q, want %q", i, got, want)
		}
	}
	if got := strings.Join(f.Plugins[0].Environ(), " "); got != "A=" {
		t.Errorf("plugin: got %q", got)
	}
}

func TestLabelOfAFileIsAbsolute(t *testing.T) {
	f := load(t, "normal \"n\" {\n  uplink {}\n  load \"./echo.so\" {}\n}\n")
	link := f.Sections[0].Chain[0]
	if !filepath.IsAbs(link.Label) || filepath.Base(link.Label) != "echo.so" {
		t.Errorf("label %q", link.Label)
	}
	if m, err := catalog().Find(f.Sections[0].Kinds, link); err != nil || m.Name != "echo" {
		t.Errorf("found %v, %v", m, err)
	}
}

func TestFind(t *testing.T) {
	for link, want := range map[string]string{"xdb cache": "cache", "log cache": "", "session load c2s": "c2s", "session load": "", "session load x": "",
		"normal load /x/echo.so": "echo", "normal load /x/y.so": "", "log no": "", "log filter": "filter", "xdb filter": "filter", "normal filter": ""} {
		words := append(strings.Fields(link), "")
		kind, _ := packet.ParseKind(words[0])
		m, err := catalog().Find(module.On(kind), module.Link{Module: words[1], Label: words[2]})
		if (err == nil) != (want != "") || err == nil && m.Name != want {
			t.Errorf("%s: got %v, %v", link, m, err)
		}
	}
}

func TestLocate(t *testing.T) {
	f := load(t, `log "l" {
  host "*" {}
  host { label = "x" }
  format {
    text = "t"
    rewrite "a" { to = "b" }
    rewrite "c" { to = "d" }
  }
}
normal "n" {
  uplink {}
  exec {
    command = ["a", "b"]
    env     = { A = "1", "B" = "2" }
  }
}
`)
	for _, c := range []struct {
		section string
		link    int
		path    string
		want    string
	}{
		{"l", 0, "label", "main.hcl:2,8-11"},
		{"l", 1, "label", "main.hcl:3,18-21"},
		{"l", 2, "text", "main.hcl:5,12-15"},
		{"l", 2, "rewrite.1.to", "main.hcl:7,24-27"},
		{"l", 2, "rewrite.1.label", "main.hcl:7,13-16"},
		{"l", 2, "rewrite.1.from", "main.hcl:7,5-16"},
		{"l", 2, "rewrite.7.to", "main.hcl:4,3-9"},
		{"l", 2, "rewrite.-1.to", "main.hcl:6,5-16"},
		{"l", 2, "rewrite", "main.hcl:6,5-16"},
		{"l", 2, "nothing.at.all", "main.hcl:4,3-9"},
		{"l", 2, "", "main.hcl:4,3-9"},
		{"n", 0, "command.1", "main.hcl:13,21-24"},
		{"n", 0, "command.2", "main.hcl:13,15-25"},
		{"n", 0, "env.A", "main.hcl:14,21-24"},
		{"n", 0, "env.B", "main.hcl:14,32-35"},
		{"n", 0, "env.C", "main.hcl:14,15-37"},
		{"n", 1, "x", "main.hcl:10,1-11"},
		{"n", -1, "x", "main.hcl:10,1-11"},
		{"none", 0, "x", "main.hcl:1,1-1"},
	} {
		var path []string
		if c.path != "" {
			path = strings.Split(c.path, ".")
		}
		if got := f.Locate(c.section, c.link, path).String(); got != c.want {
			t.Errorf("%s %d %s: got %s, want %s", c.section, c.link, c.path, got, c.want)
		}
	}
}

func TestRefused(t *testing.T) {
	f := load(t, "session \"s\" {\n  load \"c2s\" { listen = \":1\" }\n}\n")
	var out strings.Builder
	err := f.Print(&out, hcl.Diagnostics{
		f.Refused("s", 0, module.BadArg("listen", "the port is taken")),
		f.Refused("s", 0, errors.New("no luck")),
		f.Refused("s", 3, errors.New("no such link")),
		f.PluginFailed("p", errors.New("it died")),
	}, false)
	want := `Error: Plugin failed
  main.hcl:1:1, in session "s"
   1 | session "s" {
     | ^
  p: it died.

Error: Section refused
  main.hcl:1:1, in session "s"
   1 | session "s" {
     | ^^^^^^^^^^^
  no such link.

Error: Block refused
  main.hcl:2:3, in session "s"
   2 |   load "c2s" { listen = ":1" }
     |   ^^^^^^^^^^
  c2s: no luck.

Error: Wrong value
  main.hcl:2:25, in session "s"
   2 |   load "c2s" { listen = ":1" }
     |                         ^^^^
  listen: the port is taken.

4 errors
`
	if err != nil || out.String() != want {
		t.Errorf("%v, got\n%s", err, out.String())
	}
}

func TestPrintJSON(t *testing.T) {
	t.Chdir(t.TempDir())
	write(t, "main.hcl", "log \"l\" {\n  fle {}\n}\n")
	f, diags := config.Load("main.hcl", map[string]string{"x": "y"}, catalog())
	var out strings.Builder
	if err := f.PrintJSON(&out, diags); err != nil {
		t.Fatal(err)
	}
	var got []map[string]any
	if err := json.Unmarshal([]byte(out.String()), &got); err != nil || len(got) != 2 {
		t.Fatal(err, out.String())
	}
	if _, has := got[0]["file"]; has || got[0]["summary"] != "Unknown variable" {
		t.Errorf("got %v", got[0])
	}
	want := map[string]any{"severity": "error", "file": "main.hcl", "line": 2.0, "column": 3.0, "end_line": 2.0, "end_column": 6.0}
	for k, v := range want {
		if got[1][k] != v {
			t.Errorf("%s is %v, want %v", k, got[1][k], v)
		}
	}
	out.Reset()
	if err := f.PrintJSON(&out, nil); err != nil || out.String() != "[]\n" {
		t.Errorf("nothing to complain of is %q, %v", out.String(), err)
	}
}

func TestPrintColor(t *testing.T) {
	t.Chdir(t.TempDir())
	write(t, "main.hcl", "log \"l\" {\n  fle {}\n}\n")
	f, diags := config.Load("main.hcl", nil, catalog())
	var out strings.Builder
	if err := f.Print(&out, diags, true); err != nil || !strings.Contains(out.String(), "\x1b[1;31m^^^\x1b[0m") {
		t.Errorf("%v %q", err, out.String())
	}
}

// A control character in a file does not reach the terminal.
func TestPrintIsPlain(t *testing.T) {
	t.Chdir(t.TempDir())
	write(t, "main.hcl", "log \"l\" {\n  \"\x1b[2J\\u001b[2J\" = 1\n}\n")
	f, diags := config.Load("main.hcl", nil, catalog())
	var out strings.Builder
	if err := f.Print(&out, diags, false); err != nil || strings.Contains(out.String(), "\x1b") || len(diags) == 0 {
		t.Errorf("%v %q", err, out.String())
	}
}

func TestUnreadable(t *testing.T) {
	t.Chdir(t.TempDir())
	write(t, "folder/x", "")
	write(t, "main.json", "{}")
	write(t, "large.hcl", strings.Repeat("#", 1<<20+1))
	write(t, "includes.hcl", "include \"folder\" {}\n")
	for name, want := range map[string]string{
		"none.hcl":      "read none.hcl: no such file or directory",
		"folder":        "read folder: is a directory",
		"main.json":     "JSON keeps no order",
		"large.hcl":     "larger than 1048576 bytes",
		"includes.hcl":  "includes.hcl:1,9-17: Unreadable file; read folder: is a directory",
		"main.hcl/\x00": "read",
	} {
		f, diags := config.Load(name, nil, catalog())
		if f == nil || len(diags) != 1 || !strings.Contains(diags.Error(), want) {
			t.Errorf("%s: got %v", name, diags)
		}
	}
}

// What is nested beyond measure is refused, not a stack overflow.
func TestNesting(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, s := range []string{"(", "!", "[", "\"${", "1?1:", "-", "{a=", "f(", "1+", "a[", "a {\n", "x(!", "(!\n", "%{if 1}", "<<E\n${"} {
		text := "a = " + strings.Repeat(s, (1<<13)/len(s))
		if strings.HasPrefix(s, "a {") {
			text = text[4:]
		}
		write(t, "main.hcl", text)
		if _, diags := config.Load("main.hcl", nil, catalog()); len(diags) != 1 || diags[0].Summary != "Nested too deeply" {
			t.Errorf("%q many times: %v", s, diags)
		}
	}
	write(t, "main.hcl", "variable \"v\" { default = [] }\n")
	if _, diags := config.Read("main.hcl", map[string]string{"v": strings.Repeat("[", 1<<20)}); !strings.Contains(diags.Error(), "nested too deeply") {
		t.Errorf("got %v", diags)
	}
}

// A plugin that describes nonsense is named, and a file that uses it does not
// make it worse.
func TestBrokenModules(t *testing.T) {
	t.Chdir(t.TempDir())
	write(t, "main.hcl", "log \"l\" {\n  host \"*\" {}\n  broken { x = 1 }\n  file { path = \"x\" }\n}\n")
	c := catalog()
	c.Modules = append(c.Modules, module.Module{Name: "broken", Kinds: module.On(packet.Log), Args: []module.Arg{{Name: "timeout", Type: "strange"}}}, c.Modules[0])
	_, diags := config.Load("main.hcl", nil, c)
	if got := diags.Error(); len(diags) != 2 || !strings.Contains(got, "module broken: argument timeout") {
		t.Errorf("got %v", got)
	}
	if len(diags) == 2 && !strings.Contains(diags[1].Detail, "two modules of the name host") {
		t.Errorf("got %v", diags[1])
	}
}

// What cannot be known because a plugin failed is not reported again.
func TestIncompleteCatalog(t *testing.T) {
	t.Chdir(t.TempDir())
	write(t, "main.hcl", "log \"l\" {\n  host \"*\" {}\n  theirs { x = 1 }\n  load \"mine\" {}\n  file {}\n}\n")
	c := catalog()
	c.Incomplete = true
	if _, diags := config.Load("main.hcl", nil, c); len(diags) != 1 || !strings.Contains(diags.Error(), "file needs path") {
		t.Errorf("got %v", diags)
	}
}

// Read has everything that a server needs to start its plugins, even if there
// are mistakes elsewhere.
func TestReadWithMistakes(t *testing.T) {
	t.Chdir(t.TempDir())
	write(t, "main.hcl", "plugin \"p\" { path = \"p\" }\nengine { log_level = \"debug\" }\nnonsense {}\n")
	f, diags := config.Read("main.hcl", nil)
	if len(diags) != 1 || len(f.Plugins) != 1 || f.Engine.LogLevel != "debug" {
		t.Errorf("%v, %+v", diags, f)
	}
	if files := f.Files(); len(files) != 1 || files[0] != "main.hcl" {
		t.Errorf("files %q", files)
	}
}

func TestMakeStops(t *testing.T) {
	f := load(t, "log \"l\" {\n  host \"*\" {}\n  file { path = \"x\" }\n}\n")
	ctx, cancel := context.WithCancel(context.Background())
	if made := f.Make(ctx, catalog()); len(made) != 2 || made[0].Hosts[0] != "*" || made[1].Err != nil {
		t.Errorf("made %+v", made)
	}
	cancel()
	if made := f.Make(ctx, catalog()); len(made) != 0 {
		t.Errorf("made %+v after the end", made)
	}
	if made := f.Make(context.Background(), config.Catalog{}); len(made) != 2 || made[0].Err == nil {
		t.Errorf("made %+v of nothing", made)
	}
}

func TestBlocksDescribeThemselves(t *testing.T) {
	for _, m := range config.Blocks() {
		if m.Doc == "" {
			t.Errorf("%s has no doc", m.Name)
		}
		for _, a := range m.Args {
			if a.Doc == "" {
				t.Errorf("%s.%s has no doc", m.Name, a.Name)
			}
		}
	}
}

// Checking a farm's configuration takes no time that grows out of proportion.
func TestManySections(t *testing.T) {
	const n = 500
	var text strings.Builder
	for i := range n {
		fmt.Fprintf(&text, "normal \"n%d\" {\n  host \"h%d.example.org\" {}\n  farm {}\n}\n", i, i)
	}
	text.WriteString("normal \"tap\" {\n  host \"*\" {}\n  tap {}\n}\n")
	f := load(t, text.String())
	made := f.Make(context.Background(), catalog())
	diags := f.Check(made)
	var out strings.Builder
	if err := f.PrintTree(&out, made, false); err != nil || strings.Count(out.String(), "\n") != 3*(n+1)+1 {
		t.Errorf("%v, %d lines", err, strings.Count(out.String(), "\n"))
	}
	if len(diags) != 1 || len(diags[0].Detail) > 1000 {
		t.Errorf("%d complaints, %d bytes", len(diags), len(diags.Error()))
	}
}
