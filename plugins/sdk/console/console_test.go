package console_test

import (
	"bufio"
	"errors"
	"os"
	"strconv"
	"testing"

	"github.com/jabberii/server/plugins/sdk/console"
)

func pipe(t *testing.T) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close(); w.Close() })
	return r, w
}

func TestStreams(t *testing.T) {
	r, w := pipe(t)
	defer func(out, err *os.File) { os.Stdout, os.Stderr = out, err }(os.Stdout, os.Stderr)
	for name, c := range map[string]struct {
		stream *console.Stream
		set    func(t *testing.T)
		err    error
	}{
		"own stdout":     {console.Stdout(), func(*testing.T) { os.Stdout = w }, nil},
		"own stderr":     {console.Stderr(), func(*testing.T) { os.Stderr = w }, nil},
		"handed stdout":  {console.Stdout(), func(t *testing.T) { hand(t, console.StdoutVar, w) }, nil},
		"handed stderr":  {console.Stderr(), func(t *testing.T) { hand(t, console.StderrVar, w) }, nil},
		"nothing handed": {console.Stdout(), func(t *testing.T) { t.Setenv("JABBERD_PROCESS", "x") }, console.ErrNone},
		"no number":      {console.Stdout(), func(t *testing.T) { t.Setenv(console.StdoutVar, "x") }, strconv.ErrSyntax},
	} {
		t.Run(name, func(t *testing.T) {
			c.set(t)
			for range 2 { // again after Close
				_, err := c.stream.Write([]byte(name + "\n"))
				if !errors.Is(err, c.err) {
					t.Fatalf("got %v, want %v", err, c.err)
				}
				if err != nil {
					continue
				}
				if line, err := bufio.NewReader(r).ReadString('\n'); line != name+"\n" {
					t.Errorf("read %q, %v", line, err)
				}
				if err := c.stream.Close(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	if _, err := w.Write([]byte("still open")); err != nil {
		t.Error(err)
	}
}

func hand(t *testing.T, variable string, f *os.File) {
	t.Setenv(variable, strconv.Itoa(int(f.Fd())))
	t.Setenv("JABBERD_PROCESS", "logmods")
}
