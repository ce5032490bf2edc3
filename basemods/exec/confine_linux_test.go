package exec_test

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/jabberii/server/plugins/sdk/confine"
	"github.com/jabberii/server/plugins/sdk/sdktest"
)

// The test binary is the stage of programs that are confined.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == confine.Word {
		os.Exit(confine.Main(os.Args[2:]))
	}
	os.Exit(m.Run())
}

// TestConfined runs a shell that tries to read and to write in the server's
// data folder.
func TestConfined(t *testing.T) {
	t.Parallel()
	const script = `cat "$DATA/secret" >/dev/null 2>&1 && echo "<message to='example.org'><body>read</body></message>"
		echo x 2>/dev/null >"$DATA/own/x" && echo "<message to='example.org'><body>wrote</body></message>"
		echo "<message to='example.org'><body>done</body></message>"
		cat`
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "own"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "secret"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	p := plan(t, with(map[string]any{"command": []string{"sh", "-c", script}}, []any{"env", map[string]string{"DATA": dir, "GORACE": "atexit_sleep_ms=0"},
		"confine", map[string]any{"write": []string{filepath.Join(dir, "own")}, "optional": true}}))
	sdktest.Both(t, p, func(t *testing.T, h *sdktest.Harness) {
		var said []string
		for len(said) == 0 || said[len(said)-1] != "<body>done</body>" {
			said = append(said, string(h.Next().Body))
		}
		want := 2
		if v, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION); errno != 0 || v < 1 {
			want = 3 // it may read, since it was optional
		}
		if len(said) != want || said[want-2] != "<body>wrote</body>" {
			t.Errorf("said %q", said)
		}
	})
}
