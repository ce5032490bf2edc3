package object_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"testing"

	"github.com/jabberii/server/plugins/sdk/object"
)

const server = "github.com/jabberii/server"

// info is a build of a main module with other modules, each as "PATH VERSION"
// or "PATH VERSION => PATH VERSION", and settings as "NAME=VALUE".
func info(main string, modules, set []string) *debug.BuildInfo {
	b := &debug.BuildInfo{GoVersion: "go1.26.8", Main: debug.Module{Path: main, Version: "(devel)"}}
	for _, m := range modules {
		word := strings.Fields(m)
		dep := &debug.Module{Path: word[0], Version: word[1]}
		if len(word) > 3 {
			dep.Replace = &debug.Module{Path: word[3]}
		}
		if len(word) > 4 {
			dep.Replace.Version = word[4]
		}
		b.Deps = append(b.Deps, dep)
	}
	for _, s := range set {
		name, value, _ := strings.Cut(s, "=")
		b.Settings = append(b.Settings, debug.BuildSetting{Key: name, Value: value})
	}
	return b
}

func TestDifferences(t *testing.T) {
	const text = "golang.org/x/text"
	older := info("example.org/mine", nil, nil)
	older.GoVersion = "go1.26.1"
	for name, c := range map[string]struct {
		program, object *debug.BuildInfo
		want            []object.Difference
	}{
		"nothing": {info(server, []string{text + " v0.43.0"}, []string{"-race=true"}), info("example.org/mine", []string{text + " v0.43.0"}, []string{"-race=true"}), nil},
		"toolchain": {info(server, nil, nil), older, []object.Difference{
			{What: "toolchain", Found: "go1.26.1", Needed: "go1.26.8"}}},
		"settings": {info(server, nil, []string{"-trimpath=true", "GOAMD64=v1"}), info("example.org/mine", nil, []string{"-race=true", "GOAMD64=v3"}), []object.Difference{
			{What: "-race", Found: "true"}, {What: "-trimpath", Needed: "true"}, {What: "GOAMD64", Found: "v3", Needed: "v1"}}},
		"settings of the linker": {info(server, nil, []string{"-buildmode=exe", "-ldflags=-s", "vcs.revision=1"}), info("example.org/mine", nil, []string{"-buildmode=plugin"}), nil},
		"a dependency": {info(server, []string{text + " v0.43.0"}, nil), info("example.org/mine", []string{text + " v0.44.0"}, nil), []object.Difference{
			{What: text, Found: "v0.44.0", Needed: "v0.43.0"}}},
		"a dependency of one only":     {info(server, []string{text + " v0.43.0"}, nil), info("example.org/mine", []string{"golang.org/x/net v0.1.0"}, nil), nil},
		"a dependency in its place":    {info(server, []string{text + " v0.43.0"}, nil), info("example.org/mine", []string{text + " v0.43.0 => example.org/text v1.0.0"}, nil), []object.Difference{{What: text, Found: "example.org/text@v1.0.0", Needed: "v0.43.0"}}},
		"a dependency from a folder":   {info(server, []string{text + " v0.43.0"}, nil), info("example.org/mine", []string{text + " v0.43.0 => ../text"}, nil), []object.Difference{{What: text, Found: "(devel)", Needed: "v0.43.0"}}},
		"the server from a folder":     {info(server, nil, nil), info("example.org/mine", []string{server + " v0.1.0 => ../server"}, nil), nil},
		"the server of the same build": {info(server, nil, nil), info(server, nil, nil), nil},
	} {
		t.Run(name, func(t *testing.T) {
			if got := object.Differences(c.program, c.object); !slices.Equal(got, c.want) {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
	program := info(server, nil, nil)
	program.Main.Version = "v1.2.0"
	want := []object.Difference{{What: server, Found: "v1.1.0", Needed: "v1.2.0"}}
	if got := object.Differences(program, info("example.org/mine", []string{server + " v1.1.0"}, nil)); !slices.Equal(got, want) {
		t.Errorf("the server of another version: got %v", got)
	}
}

func TestMismatchSaysWhatToDo(t *testing.T) {
	err := &object.MismatchError{Path: "mine.so", Differences: []object.Difference{
		{What: "toolchain", Found: "go1.26.1", Needed: "go1.26.8"}, {What: "-trimpath", Needed: "true"},
		{What: "golang.org/x/text", Found: "v0.44.0", Needed: "v0.43.0"}}}
	const want = "mine.so does not fit this program: it was built with go1.26.1, this program with go1.26.8; " +
		"it was built without -trimpath=true, this program with it; it has golang.org/x/text v0.44.0, this program v0.43.0; " +
		"in its module run: go get golang.org/x/text@v0.43.0, then build it with: jabberd plugin build"
	if err.Error() != want {
		t.Errorf("got  %s\nwant %s", err, want)
	}
}

// TestBuildRefuses builds for this test's own program what cannot be built.
func TestBuildRefuses(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	empty, foreign := t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(foreign, "go.mod"), []byte("module example.org/mine\n\ngo 1.26.0\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	text := filepath.Join(empty, "text")
	if err := os.WriteFile(text, []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		build object.Build
		want  string
	}{
		"no program":       {object.Build{Program: text, Folder: empty}, "how " + text + " was built"},
		"no module":        {object.Build{Program: self, Folder: empty}, "is in no module: it needs a go.mod that requires " + server},
		"no sources":       {object.Build{Program: self, Folder: foreign, Source: empty}, "the sources of " + server + " are needed"},
		"no folder":        {object.Build{Program: self, Folder: filepath.Join(empty, "none")}, "no such file"},
		"not to be loaded": {object.Build{Program: self, Folder: "../../../basemods/load/testdata/service", Try: func(_ context.Context, file string) error { return errors.New("no: " + filepath.Base(file)) }}, "cannot be loaded: no: out.so.new"},
	} {
		t.Run(name, func(t *testing.T) {
			c.build.Output = filepath.Join(t.TempDir(), "out.so")
			var said strings.Builder
			c.build.Stdout, c.build.Stderr = &said, &said
			err := c.build.Run(t.Context())
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want ...%s...\n%s", err, c.want, &said)
			}
			if left, _ := filepath.Glob(c.build.Output + "*"); len(left) > 0 {
				t.Errorf("%q are left", left)
			}
		})
	}
}
