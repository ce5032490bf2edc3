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

// TestSharedObject builds a service as a shared object, and a program that loads
// it: with the same flags, and with others.
func TestSharedObject(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("SKIP: shared objects are tested on Linux only")
	}
	dir := t.TempDir()
	host, right, wrong, empty := filepath.Join(dir, "host"), filepath.Join(dir, "right.so"), filepath.Join(dir, "wrong.so"), filepath.Join(dir, "empty.so")
	build(t, "-o", host, "./testdata/host")
	build(t, "-buildmode=plugin", "-o", right, "./testdata/service")
	build(t, "-buildmode=plugin", "-tags=other", "-gcflags=github.com/jabberii/server/jabberd/...=-l", "-o", wrong, "./testdata/service")
	if err := os.WriteFile(empty, []byte("not a shared object"), 0o644); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(host, right).CombinedOutput()
	if err != nil || string(out) != "greedy text true <nil>\n" {
		t.Errorf("a matching one: %v, %s", err, out)
	}
	out, err = exec.Command(host, wrong).CombinedOutput()
	for _, want := range []string{wrong, "does not fit this program", "-gcflags=", "jabberd plugin build"} {
		if err == nil || !strings.Contains(string(out), want) {
			t.Errorf("one with other flags: %v, %s does not say %q", err, out, want)
		}
	}
	if out, err = exec.Command(host, empty).CombinedOutput(); err == nil || !strings.Contains(string(out), empty) {
		t.Errorf("none at all: %v, %s", err, out)
	}
}

func build(t *testing.T, args ...string) {
	t.Helper()
	cmd := exec.Command("go", append([]string{"build"}, args...)...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build %v: %v\n%s", args, err, out)
	}
}

func TestReadme(t *testing.T) { configtest.Readme(t, load.With(memory.Module)) }
