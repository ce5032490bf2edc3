package conf_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jabberii/server/basemods/accept"
	"github.com/jabberii/server/basemods/connect"
	runs "github.com/jabberii/server/basemods/exec"
	"github.com/jabberii/server/basemods/load"
	"github.com/jabberii/server/jabberd/config"
	"github.com/jabberii/server/jabberd/config/configtest"
	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/logmods/file"
	"github.com/jabberii/server/logmods/filter"
	"github.com/jabberii/server/logmods/format"
	"github.com/jabberii/server/logmods/stderr"
	"github.com/jabberii/server/logmods/to"
	"github.com/jabberii/server/plugins/builtin"
	"github.com/jabberii/server/xdb/badger"
	"github.com/jabberii/server/xdb/cache"
	namespaces "github.com/jabberii/server/xdb/filter"
)

// modules are those that the files name, beside host.
func modules() []module.Module {
	return []module.Module{
		load.With(builtin.Services()...),
		accept.Module, connect.Module, runs.Module,
		namespaces.Module, cache.Module, badger.Module, filter.Module, format.Module, file.Module, stderr.Module, to.Module,
	}
}

func TestFilesAreRight(t *testing.T) {
	for _, name := range files(t) {
		for _, isolation := range []string{"process", "none"} {
			vars := map[string]string{"host": "example.org", "data_dir": t.TempDir()}
			if name != "edge.hcl" {
				vars["isolation"] = isolation
			}
			t.Run(name+" "+isolation, func(t *testing.T) { configtest.Check(t, name, vars, modules()) })
		}
	}
}

func TestFilesAreFormatted(t *testing.T) {
	for _, name := range files(t) {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if out, _, diags := config.Format(name, text); diags.HasErrors() || !bytes.Equal(out, text) {
			t.Errorf("%s is not in its layout; jabberd fmt gives it one", name)
		}
	}
}

func files(t *testing.T) []string {
	names, err := filepath.Glob("*.hcl")
	if err != nil || len(names) < 5 {
		t.Fatalf("%v, found %q", err, names)
	}
	return names
}

func TestBotAnswers(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("there is no python3")
	}
	cmd := exec.Command(python, "bot.py")
	cmd.Stdin = strings.NewReader(`<presence from="a" to="b"/>` + "\n" +
		`<message from="ann@x/1" to="echo@bot" type="chat"><body>1 &lt; 2</body></message>` + "\n" +
		`<message from="ann@x/1" to="echo@bot" type="error"><body>no</body></message>` + "\n" +
		`<message xmlns="jabber:client" from='o"b' to="d">` + "\n" + `<active/><body>two</body></message>` + "\n")
	out, err := cmd.Output()
	want := `<message to="ann@x/1" from="echo@bot" type='chat'><body>You said: 1 &lt; 2</body></message>` + "\n" +
		`<message to='o"b' from="d" type='chat'><body>You said: two</body></message>` + "\n"
	if err != nil || string(out) != want {
		t.Errorf("%v, got\n%s\nwant\n%s", err, out, want)
	}
}
