package cli_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/spf13/cobra"

	"github.com/jabberii/server/jabberd/cli"
	"github.com/jabberii/server/jabberd/config"
	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
)

type hostArgs struct {
	Name string `json:"label" label:"host name"`
}

type fileArgs struct {
	Path string `json:"path" required:"true" doc:"The file to write to."`
	Key  string `json:"key" secret:"true"`
}

func catalog() config.Catalog {
	quiet := packet.HandlerFunc(func(context.Context, *packet.Packet) (packet.Verdict, error) { return packet.Pass, nil })
	host := module.Define("host", "Attaches the section to a host. Any number of them may.", module.On(packet.Log), func(env module.Env, a hostArgs) (packet.Handler, error) {
		return quiet, env.Attach(a.Name)
	})
	host.Passive = true
	file := module.Define("file", "Appends entries to a file.", module.On(packet.Log), func(_ module.Env, a fileArgs) (packet.Handler, error) {
		if a.Path == "/" {
			return nil, module.BadArg("path", "a folder")
		}
		return quiet, nil
	})
	load := module.Module{Name: "load", Doc: "Starts a service.", Label: "name of the service", Services: []module.Module{
		module.Define("sm", "Sessions of users.", module.On(packet.Session), func(module.Env, struct{}) (packet.Handler, error) { return quiet, nil }),
	}}
	load.Services[0].XEPs = []module.XEP{
		{Number: 198, Name: "Stream Management", Version: "1.6.3"},
		{Number: 45, Name: "Multi-User Chat", Version: "1.35.5", Partial: true, Note: "no <rooms> & more"},
	}
	host.XEPs = []module.XEP{{Number: 198, Name: "Stream Management", Version: "1.0", Partial: true}}
	return config.Catalog{Modules: []module.Module{host, load, file}}
}

func server() cli.Server {
	return cli.Server{
		Describe: func(_ context.Context, f *config.File) (config.Catalog, hcl.Diagnostics) {
			c := catalog()
			for _, p := range f.Plugins {
				c.Incomplete = true
				return c, hcl.Diagnostics{f.PluginFailed(p.Name, errors.New("it is not there"))}
			}
			return c, nil
		},
		Make: func(ctx context.Context, f *config.File, modules config.Catalog) ([]config.Made, error) {
			return f.Make(ctx, modules), nil
		},
	}
}

// jabberd runs a command line and returns what it writes.
func jabberd(t *testing.T, s cli.Server, stdin string, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	root := &cobra.Command{Use: "jabberd", SilenceUsage: true, SilenceErrors: true}
	root.AddCommand(cli.Commands(s)...)
	var out, complaints bytes.Buffer
	root.SetIn(strings.NewReader(stdin))
	root.SetOut(&out)
	root.SetErr(&complaints)
	root.SetArgs(args)
	err = root.ExecuteContext(context.Background())
	return out.String(), complaints.String(), err
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o640); err != nil {
		t.Fatal(err)
	}
}

const right = `variable "level" {
  default     = "x"
  description = "of what"
}

log "l" {
  host "*" {}
  file {
    path = var.level
    key  = "hunter2"
  }
}
`

func TestCheck(t *testing.T) {
	t.Chdir(t.TempDir())
	write(t, "conf/jabberd.hcl", right)
	write(t, "bad.hcl", "log \"l\" {\n  host \"*\" {}\n  fiel {}\n}\n")
	write(t, "refused.hcl", "log \"l\" {\n  host \"*\" {}\n  file { path = \"/\" }\n}\n")
	write(t, "warned.hcl", "log \"l\" {\n  file { path = \"x\" }\n}\n")
	write(t, "plugin.hcl", "plugin \"theirs\" { path = \"x\" }\nlog \"l\" {\n  host \"*\" {}\n  theirs {}\n  file {}\n}\n")
	write(t, "syntax.hcl", "log {")
	for _, c := range []struct {
		name, args, out, err string
		fails                bool
	}{
		{"default file", "check", "conf/jabberd.hcl is right: 1 section in 1 file\n", "", false},
		{"variable", "check --var level=y", "is right", "", false},
		{"unknown variable", "check --var leval=y", "", `Did you mean "level"?`, true},
		{"malformed variable", "check --var level", "", "", true},
		{"mistake", "check bad.hcl", "", "bad.hcl:3:3", true},
		{"refused", "check refused.hcl", "", "refused.hcl:3:17", true},
		{"warning", "check warned.hcl", "warned.hcl is right", "Never reached", false},
		{"strict", "check warned.hcl --strict", "", "Never reached", true},
		{"json", "check bad.hcl --json", `"line": 3`, "", true},
		{"json of nothing", "check --json", "[]\n", "", false},
		{"no file", "check none.hcl", "", "read none.hcl: no such file", true},
		{"syntax", "check syntax.hcl", "", "syntax.hcl:1:", true},
		{"plugin", "check plugin.hcl", "", "2 errors", true},
		{"two files", "check a b", "", "", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			out, complaints, err := jabberd(t, server(), "", strings.Fields(c.args)...)
			if (err != nil) != c.fails || !strings.Contains(out, c.out) || c.out == "" && out != "" ||
				!strings.Contains(complaints, c.err) || c.err == "" && complaints != "" {
				t.Errorf("%v\nstdout %q\nstderr %q", err, out, complaints)
			}
		})
	}
}

func TestCheckWithoutMaking(t *testing.T) {
	t.Chdir(t.TempDir())
	write(t, "conf/jabberd.hcl", right)
	s := server()
	s.Make = func(context.Context, *config.File, config.Catalog) ([]config.Made, error) {
		return nil, errors.New("the program died")
	}
	if _, complaints, err := jabberd(t, s, "", "check"); !errors.Is(err, cli.ErrComplaints) || !strings.Contains(complaints, "the program died") {
		t.Errorf("%v %q", err, complaints)
	}
}

func TestTree(t *testing.T) {
	t.Chdir(t.TempDir())
	write(t, "conf/jabberd.hcl", right)
	out, _, err := jabberd(t, server(), "", "tree")
	want := "log\n  *\n    log \"l\"  conf/jabberd.hcl:6\n      file   conf/jabberd.hcl:8\n"
	if err != nil || out != want {
		t.Errorf("%v\n%s", err, out)
	}
	out, _, err = jabberd(t, server(), "", "tree", "--args", "--var", "level=deep")
	if err != nil || !strings.Contains(out, `path = "deep"`) || !strings.Contains(out, `key = "***"`) {
		t.Errorf("%v\n%s", err, out)
	}
	write(t, "bad.hcl", "x {}")
	if out, _, err := jabberd(t, server(), "", "tree", "bad.hcl"); !errors.Is(err, cli.ErrComplaints) || out != "" {
		t.Errorf("%v %q", err, out)
	}
}

func TestFmt(t *testing.T) {
	t.Chdir(t.TempDir())
	const ugly, pretty = "log \"l\" {\nfile { path=\"x\" }\n}", "log \"l\" {\n  file { path = \"x\" }\n}\n"
	write(t, "d/a.hcl", ugly)
	write(t, "d/e/b.hcl", pretty)
	write(t, "d/e/.c.hcl", ugly)
	write(t, "d/e/d.txt", ugly)
	write(t, "broken.hcl", "log {")
	if err := os.Symlink("d/a.hcl", "link.hcl"); err != nil {
		t.Fatal(err)
	}
	if out, _, err := jabberd(t, server(), "", "fmt", "--check", "d"); !errors.Is(err, cli.ErrComplaints) || out != "d/a.hcl\n" || text(t, "d/a.hcl") != ugly {
		t.Errorf("check: %v %q", err, out)
	}
	if out, complaints, err := jabberd(t, server(), "", "fmt", "broken.hcl", "link.hcl"); !errors.Is(err, cli.ErrComplaints) || out != "link.hcl\n" || !strings.Contains(complaints, "broken.hcl:1") {
		t.Errorf("broken: %v %q %q", err, out, complaints)
	}
	info, err := os.Lstat("link.hcl")
	if err != nil || info.Mode()&os.ModeSymlink == 0 || text(t, "d/a.hcl") != pretty || text(t, "d/e/.c.hcl") != ugly || text(t, "broken.hcl") != "log {" {
		t.Errorf("%v, the link is %v", err, info.Mode())
	}
	if info, err := os.Stat("d/a.hcl"); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("%v, the mode is %v", err, info.Mode())
	}
	if out, _, err := jabberd(t, server(), "", "fmt", "d"); err != nil || out != "" {
		t.Errorf("again: %v %q", err, out)
	}
	if out, _, err := jabberd(t, server(), ugly, "fmt", "-"); err != nil || out != pretty {
		t.Errorf("standard input: %v %q", err, out)
	}
	if _, _, err := jabberd(t, server(), "", "fmt", "none.hcl"); err == nil {
		t.Error("a file that is not there is no error")
	}
	if left, err := filepath.Glob("d/.fmt-*"); err != nil || len(left) > 0 {
		t.Errorf("%v, left behind %q", err, left)
	}
}

func text(t *testing.T, name string) string {
	t.Helper()
	raw, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func TestModules(t *testing.T) {
	t.Chdir(t.TempDir())
	out, _, err := jabberd(t, server(), "", "modules")
	for _, want := range []string{"host         log      Attaches the section to a host.\n", `  load "sm"  session  Sessions of users.`, "\nengine "} {
		if err != nil || !strings.Contains(out, want) {
			t.Errorf("%v, no %q in\n%s", err, want, out)
		}
	}
	out, _, err = jabberd(t, server(), "", "modules", "file")
	want := "# file\n\nAppends entries to a file.\n\nFor log sections.\n\n| argument | type | default | |\n|---|---|---|---|\n" +
		"| `path` | string | required | The file to write to. |\n| `key` | string |  | A secret: never shown. |\n"
	if err != nil || out != want {
		t.Errorf("%v\n%s", err, out)
	}
	for name, doc := range map[string]string{"sm": "sm", "load": "load", "engine": "engine", "section": "section", `load "sm"`: "sm", "load sm": "sm"} {
		if out, _, err := jabberd(t, server(), "", "modules", name); err != nil || !strings.HasPrefix(out, "# "+doc+"\n") || strings.Count(out, "\n# ") > 0 {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
	for _, name := range []string{"none", "load none", "file sm", "none sm"} {
		if _, _, err := jabberd(t, server(), "", "modules", name); err == nil || !strings.Contains(err.Error(), strconv.Quote(name)) {
			t.Errorf("a module that is not there: %v", err)
		}
	}
	var list []module.Module
	if out, _, err := jabberd(t, server(), "", "modules", "--json"); err != nil || json.Unmarshal([]byte(out), &list) != nil || list[0].Name != "host" || list[0].Kinds[0] != packet.Log {
		t.Errorf("%v\n%s", err, out)
	}
	write(t, "plugin.hcl", "plugin \"theirs\" { path = \"x\" }\n")
	if _, complaints, err := jabberd(t, server(), "", "modules", "--config", "plugin.hcl"); !errors.Is(err, cli.ErrComplaints) || !strings.Contains(complaints, "theirs: it is not there.") {
		t.Errorf("%v %q", err, complaints)
	}
}

func TestStandards(t *testing.T) {
	out, _, err := jabberd(t, server(), "", "modules", "--xeps")
	want := "XEP-0045  1.35.5  Multi-User Chat    sm        in part: no <rooms> & more\n" +
		"XEP-0198  1.6.3   Stream Management  host, sm  \n"
	if err != nil || out != want {
		t.Errorf("%v\n%s", err, out)
	}
	var list []module.Standard
	if out, _, err := jabberd(t, server(), "", "modules", "--xeps", "--json"); err != nil || json.Unmarshal([]byte(out), &list) != nil || list[1].Number != 198 || len(list[1].Modules) != 2 {
		t.Errorf("%v\n%s", err, out)
	}
	out, _, err = jabberd(t, server(), "", "modules", "--doap")
	for _, want := range []string{
		"<xmpp:xep rdf:resource='https://xmpp.org/extensions/xep-0045.html'/>\n        <xmpp:version>1.35.5</xmpp:version>\n        <xmpp:status>partial</xmpp:status>",
		"<xmpp:note>no &lt;rooms&gt; &amp; more</xmpp:note>",
		"<implements rdf:resource='https://xmpp.org/rfcs/rfc6120.html'/>",
	} {
		if err != nil || !strings.Contains(out, want) {
			t.Errorf("%v, no %q in\n%s", err, want, out)
		}
	}
}

func TestVersion(t *testing.T) {
	out, _, err := jabberd(t, server(), "", "version")
	if err != nil || !strings.HasPrefix(out, "jabberd ") || !strings.Contains(out, "go1.") {
		t.Errorf("%v %q", err, out)
	}
	var b struct{ Version, Go, Platform string }
	if out, _, err = jabberd(t, server(), "", "version", "--json"); err != nil || json.Unmarshal([]byte(out), &b) != nil || b.Go == "" || b.Platform == "" || b.Version == "" {
		t.Errorf("%v %q", err, out)
	}
}

func TestCompletion(t *testing.T) {
	t.Chdir(t.TempDir())
	write(t, "conf/jabberd.hcl", right)
	for args, want := range map[string]string{
		"__complete check --var |":  "level=\tof what\n",
		"__complete tree |":         "hcl\n:8",
		"__complete modules |":      "sm\tSessions of users.\n",
		"__complete modules file |": ":4",
		"__complete fmt |":          "hcl\n:8",
	} {
		list := strings.Fields(args)
		list[len(list)-1] = ""
		out, _, err := jabberd(t, server(), "", list...)
		if err != nil || !strings.Contains(out, want) {
			t.Errorf("%s: %v %q", args, err, out)
		}
	}
}
