package load_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/jabberii/server/basemods/load"
	"github.com/jabberii/server/jabberd/config/configtest"
	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/builtin"
	"github.com/jabberii/server/plugins/sdk/object"
	"github.com/jabberii/server/plugins/sdk/sdktest"
	"github.com/jabberii/server/xdb/memory"
)

func TestServiceByName(t *testing.T) {
	plan := sdktest.Plan{
		Modules:  []module.Module{load.With(memory.Module)},
		Sections: []module.Section{sdktest.Section("x", packet.XDB, sdktest.Host("*"), sdktest.Labelled("load", "memory", `{}`))},
	}
	sdktest.Both(t, plan, func(t *testing.T, h *sdktest.Harness) {
		q := packet.Packet{Kind: packet.XDB, To: "ann@example.org", From: "test", Name: "put", Type: "set", NS: "n", Body: []byte("<put key='k'>v</put>")}
		if _, err := h.Ask(&q); err != nil {
			t.Fatal(err)
		}
	})
}

func TestUnknownService(t *testing.T) {
	m := load.With(memory.Module)
	for label, want := range map[string]string{
		"memroy":       `no service named "memroy"; there are memory`,
		"./nothing.so": "there is no file ./nothing.so",
	} {
		if _, err := m.Pick(label); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", label, err)
		}
	}
}

// TestSharedObject builds programs that load services, and services for them:
// as jabberd plugin build makes them, and as it does not.
func TestSharedObject(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("SKIP: shared objects are tested on Linux only")
	}
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	build(t, "", "-trimpath=false", "-o", at("host"), "./testdata/host")
	build(t, "", "-trimpath", "-o", at("trimmed"), "./testdata/host")
	own := thirdParty(t, at("own"))
	shared(t, at("host"), "./testdata/service", at("right.so"))
	shared(t, at("trimmed"), "./testdata/service", at("right-trimmed.so"))
	shared(t, at("host"), own, at("own.so"))
	shared(t, at("trimmed"), own, at("own-trimmed.so"))
	build(t, "", "-trimpath=false", "-buildmode=plugin", "-tags=other", "-gcflags=github.com/jabberii/server/jabberd/...=-l", "-o", at("flags.so"), "./testdata/service")
	build(t, own, "-trimpath", "-buildmode=plugin", "-o", at("paths.so"), ".")
	if err := os.WriteFile(at("text.so"), []byte("not a shared object"), 0o644); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		host, object string
		says         []string // of a refusal; nil is a service
	}{
		"of the server's module":            {"host", "right.so", nil},
		"the same, trimmed":                 {"trimmed", "right-trimmed.so", nil},
		"of its own module":                 {"host", "own.so", nil},
		"the same, also trimmed":            {"trimmed", "own-trimmed.so", nil},
		"trimmed for a program that is not": {"host", "own-trimmed.so", []string{"without", "-trimpath=true", "jabberd plugin build"}},
		"not trimmed for a program that is": {"trimmed", "own.so", []string{"built without -trimpath=true, this program with it"}},
		"other flags":                       {"host", "flags.so", []string{"does not fit this program", "-gcflags=github.com/jabberii/server/jabberd/...=-l, this program without", "-tags=other", "jabberd plugin build"}},
		"without the sources at their path": {"trimmed", "paths.so", []string{"its package github.com/jabberii/server/jabberd/", "other sources", "jabberd plugin build"}},
		"a program":                         {"host", "trimmed", []string{"no shared object", "-buildmode=exe", "plugin \"NAME\""}},
		"a text":                            {"host", "text.so", []string{"text.so is no Go shared object"}},
	} {
		t.Run(name, func(t *testing.T) {
			out, err := exec.Command(at(c.host), at(c.object)).CombinedOutput()
			if c.says == nil && (err != nil || string(out) != "greedy text true <nil>\n") {
				t.Errorf("%v, %s", err, out)
			}
			for _, want := range c.says {
				if err == nil || !strings.Contains(string(out), want) {
					t.Errorf("%v, %s does not say %q", err, out, want)
				}
			}
		})
	}
}

// thirdParty writes a Go module that requires this one, with the service of the
// tests, and returns its folder.
func thirdParty(t *testing.T, dir string) string {
	t.Helper()
	server, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	service, err := os.ReadFile("testdata/service/main.go")
	if err != nil {
		t.Fatal(err)
	}
	module := "module example.org/greedy\n\ngo 1.26.0\n\nrequire github.com/jabberii/server v0.0.0\n\nreplace github.com/jabberii/server => " + server + "\n"
	for name, text := range map[string][]byte{"go.mod": []byte(module), "main.go": service} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// shared makes a shared object as jabberd plugin build does.
func shared(t *testing.T, program, folder, output string) {
	t.Helper()
	var said strings.Builder
	b := object.Build{Program: program, Folder: folder, Output: output, Source: "../..", Stdout: &said, Stderr: &said}
	if err := b.Run(t.Context()); err != nil {
		t.Fatalf("%v\n%s", err, &said)
	}
}

func build(t *testing.T, dir string, args ...string) {
	t.Helper()
	cmd := exec.Command("go", append([]string{"build"}, args...)...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "CGO_ENABLED=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build %v: %v\n%s", args, err, out)
	}
}

func TestReadme(t *testing.T) { configtest.Readme(t, load.With(builtin.Services()...)) }
