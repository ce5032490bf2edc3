package config_test

import (
	"context"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"

	"github.com/jabberii/server/jabberd/config"
)

var update = flag.Bool("update", false, "write what comes out into the golden files")

// A golden file has a configuration in main.hcl, with the files it includes,
// "--var NAME=VALUE" lines in vars and "NAME=VALUE" lines in env; and what has to
// come of it in output: the complaints, or the warnings and the tree.
func TestGolden(t *testing.T) {
	cases, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(cases) == 0 {
		t.Fatal("no cases", err)
	}
	wrong := 0
	for _, name := range cases {
		if strings.HasPrefix(filepath.Base(name), "bad_") {
			wrong++
		}
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) { golden(t, name) })
	}
	if wrong < 30 {
		t.Errorf("%d wrong configurations, want 30", wrong)
	}
}

func golden(t *testing.T, name string) {
	abs, err := filepath.Abs(name)
	if err != nil {
		t.Fatal(err)
	}
	a, err := txtar.ParseFile(abs)
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	vars, want := map[string]string{}, ""
	for _, f := range a.Files {
		switch f.Name {
		case "output":
			want = string(f.Data)
		case "vars":
			for _, line := range strings.Split(strings.TrimSpace(string(f.Data)), "\n") {
				k, v, _ := strings.Cut(strings.TrimPrefix(line, "--var "), "=")
				vars[k] = v
			}
		case "env":
			for _, line := range strings.Split(strings.TrimSpace(string(f.Data)), "\n") {
				k, v, _ := strings.Cut(line, "=")
				t.Setenv(k, v)
			}
		default:
			write(t, f.Name, string(f.Data))
		}
	}
	got := run(t, vars)
	if got == want {
		return
	}
	if !*update {
		t.Fatalf("got\n%s\nwant\n%s", got, want)
	}
	last := &a.Files[len(a.Files)-1]
	if last.Name != "output" {
		a.Files = append(a.Files, txtar.File{Name: "output"})
		last = &a.Files[len(a.Files)-1]
	}
	last.Data = []byte(got)
	if err := os.WriteFile(abs, txtar.Format(a), 0o644); err != nil {
		t.Fatal(err)
	}
}

// run checks main.hcl as jabberd check does, and prints its tree if it is right.
func run(t *testing.T, vars map[string]string) string {
	modules := catalog()
	f, diags := config.Load("main.hcl", vars, modules)
	made := f.Make(context.Background(), modules)
	diags = append(diags, f.Check(made)...)
	diags = append(diags, f.CheckFiles()...)
	var out strings.Builder
	if err := f.Print(&out, diags, false); err != nil {
		t.Fatal(err)
	}
	if !diags.HasErrors() {
		if err := f.PrintTree(&out, made, true); err != nil {
			t.Fatal(err)
		}
	}
	return out.String()
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
