package file_test

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/logmods/file"
	"github.com/jabberii/server/plugins/sdk/entry"
)

// env is a section with a data folder.
type env struct {
	module.Env
	folder string
	log    *strings.Builder
}

func (e env) Path(name string) string { return filepath.Join(e.folder, name) }
func (e env) Log() *slog.Logger       { return slog.New(slog.NewTextHandler(e.log, nil)) }

type handler interface {
	packet.Handler
	module.Starter
	module.Runner
	io.Closer
}

func open(t *testing.T, e env, args string) handler {
	t.Helper()
	h, err := file.Module.New(e, []byte(args))
	if err != nil {
		t.Fatal(err)
	}
	f := h.(handler)
	if err := f.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func folder(t *testing.T) env { return env{folder: t.TempDir(), log: new(strings.Builder)} }

func write(t *testing.T, h packet.Handler, lines ...string) {
	t.Helper()
	for _, line := range lines {
		p := &packet.Packet{Kind: packet.Log, Name: entry.Formatted, Body: entry.Body(line)}
		if v, err := h.Handle(t.Context(), p); v != packet.Claim || err != nil {
			t.Fatalf("%s: got %v, %v, want claim", line, v, err)
		}
	}
}

// files returns what the files hold whose names start with x.log, by time; the
// one that is written to is the last.
func files(t *testing.T, dir string) (names, texts []string) {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(dir, "x.log*"))
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(all, func(a, b string) int {
		if len(a) == len(b) || filepath.Base(a) != "x.log" && filepath.Base(b) != "x.log" {
			return strings.Compare(a, b)
		}
		return len(b) - len(a)
	})
	for _, path := range all {
		b, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return files(t, dir) // compressed or removed since it was listed
		}
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(path, ".gz") {
			z, err := gzip.NewReader(strings.NewReader(string(b)))
			if err != nil {
				t.Fatal(err)
			}
			if b, err = io.ReadAll(z); err != nil {
				t.Fatal(err)
			}
		}
		names, texts = append(names, filepath.Base(path)), append(texts, string(b))
	}
	return names, texts
}

func want(t *testing.T, dir string, texts ...string) {
	t.Helper()
	if names, got := files(t, dir); !slices.Equal(got, texts) {
		t.Errorf("files %q hold %q, want %q", names, got, texts)
	}
}

func TestEntriesAreInTheFileWhenClaimed(t *testing.T) {
	e := folder(t)
	h := open(t, e, `{"path":"log/x.log","mode":"0600"}`)
	write(t, h, "a", "b")
	want(t, e.Path("log"), "a\nb\n")
	info, err := os.Stat(e.Path("log/x.log"))
	if err != nil || info.Mode() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if v, why := h.(module.Explainer).Explain(t.Context(), &packet.Packet{}); v != packet.Claim || !strings.Contains(why, "x.log") {
		t.Errorf("explained as %v, %s", v, why)
	}
	h.Close()
	write(t, open(t, e, `{"path":"log/x.log"}`), "c")
	want(t, e.Path("log"), "a\nb\nc\n")
}

func TestRotationBySize(t *testing.T) {
	e := folder(t)
	h := open(t, e, `{"path":"x.log","size":8}`)
	write(t, h, "aaa", "bbb", "c", "longer than that", "d")
	want(t, e.folder, "aaa\nbbb\n", "c\n", "longer than that\n", "d\n")
}

func TestRotationByAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // begins at midnight UTC
		e := folder(t)
		h := open(t, e, `{"path":"x.log","age":"1h","size":0}`)
		write(t, h, "a")
		time.Sleep(time.Hour - time.Second)
		write(t, h, "b")
		time.Sleep(time.Second)
		write(t, h, "c")
		time.Sleep(5 * time.Hour)
		write(t, h, "d")
		want(t, e.folder, "a\nb\n", "c\n", "d\n")
	})
}

func TestAgeCountsAcrossRestarts(t *testing.T) {
	e := folder(t)
	if err := os.WriteFile(e.Path("x.log"), []byte("old\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	long := time.Now().Add(-49 * time.Hour)
	if err := os.Chtimes(e.Path("x.log"), long, long); err != nil {
		t.Fatal(err)
	}
	write(t, open(t, e, `{"path":"x.log","age":"1d"}`), "new")
	want(t, e.folder, "old\n", "new\n")
}

// run runs h until the condition holds.
func run(t *testing.T, h module.Runner, until func() bool) {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), 10*time.Second)
	defer stop()
	done := make(chan error, 1)
	go func() { done <- h.Run(ctx) }()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !until() {
		select {
		case <-tick.C:
		case err := <-done:
			t.Fatalf("ended too early: %v", err)
		}
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestOldFilesAreCompressedAndRemoved(t *testing.T) {
	e := folder(t)
	h := open(t, e, `{"path":"x.log","size":1,"keep":2,"compress":true}`)
	for _, name := range []string{"x.log.bak", "x.log.20010101T000000.000Z.1.tmp"} {
		if err := os.WriteFile(e.Path(name), []byte("?"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	dawn := time.Unix(1e9, 0)
	if err := os.Chtimes(e.Path("x.log.20010101T000000.000Z.1.tmp"), dawn, dawn); err != nil {
		t.Fatal(err)
	}
	write(t, h, "a", "b", "c", "d")
	var names, texts []string
	run(t, h, func() bool {
		names, texts = files(t, e.folder)
		return len(names) == 4 && strings.HasSuffix(names[0], ".gz") && strings.HasSuffix(names[1], ".gz")
	})
	if names[2] != "x.log.bak" || !slices.Equal(texts, []string{"b\n", "c\n", "?", "d\n"}) {
		t.Errorf("files %q hold %q", names, texts)
	}
	info, err := os.Stat(e.Path(names[0]))
	if err != nil || info.Mode() != 0o640 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

func TestHangupOpensTheFileAnew(t *testing.T) {
	e := folder(t)
	h := open(t, e, `{"path":"x.log","compress":true}`)
	write(t, h, "a")
	if err := os.Rename(e.Path("x.log"), e.Path("moved")); err != nil {
		t.Fatal(err)
	}
	aside := e.Path("x.log.20260101T000000.000Z")
	if err := os.WriteFile(aside, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	sent := false
	run(t, h, func() bool {
		if _, err := os.Stat(aside); err == nil || sent {
			_, err := os.Stat(e.Path("x.log"))
			return err == nil
		}
		sent = true // it is compressed, so that the signal is waited for
		if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		return false
	})
}

func TestFileThatWasMovedAwayIsBegunAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := folder(t)
		h := open(t, e, `{"path":"x.log"}`)
		write(t, h, "a")
		for _, text := range []string{"a\nb\n", "c\nd\n"} {
			write(t, h, text[2:3])
			if err := os.Rename(e.Path("x.log"), e.Path("moved")); err != nil {
				t.Fatal(err)
			}
			if b, err := os.ReadFile(e.Path("moved")); string(b) != text {
				t.Errorf("moved %q, %v, want %q", b, err, text)
			}
			time.Sleep(time.Second)
			write(t, h, "c")
		}
		want(t, e.folder, "c\n")
	})
}

func TestTwoSectionsAndOneFile(t *testing.T) {
	e := folder(t)
	one, two := open(t, e, `{"path":"x.log","size":8}`), open(t, e, `{"path":"x.log","size":8}`)
	write(t, one, "aaa")
	write(t, two, "bbb")
	write(t, one, "ccc", "ddd")
	write(t, two, "eee", "fff")
	_, texts := files(t, e.folder)
	if all := strings.Join(texts, ""); len(all) != 24 || strings.Count(all, "\n") != 6 {
		t.Errorf("files hold %q", texts)
	}
}

func TestRotationThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := folder(t)
		name := strings.Repeat("x", 240) // with a time behind it, too long for a name
		h := open(t, e, fmt.Sprintf(`{"path":%q,"size":4}`, name))
		write(t, h, "aaa", "bbb", "ccc")
		if n := strings.Count(e.log.String(), "cannot be rotated"); n != 1 {
			t.Errorf("%d reports: %s", n, e.log)
		}
		time.Sleep(time.Minute)
		write(t, h, "ddd")
		if n := strings.Count(e.log.String(), "cannot be rotated"); n != 2 {
			t.Errorf("%d reports after a minute: %s", n, e.log)
		}
		if b, err := os.ReadFile(e.Path(name)); string(b) != "aaa\nbbb\nccc\nddd\n" {
			t.Errorf("the file holds %q, %v", b, err)
		}
	})
}

func TestFileThatCannotBeOpened(t *testing.T) {
	e := folder(t)
	if err := syscall.Mkfifo(e.Path("x.log"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(e.Path("f"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for path, text := range map[string]string{"x.log": "is no file", ".": "is no file", "f/x.log": "not a directory"} {
		h, err := file.Module.New(e, fmt.Appendf(nil, `{"path":%q}`, path))
		if err != nil {
			t.Fatal(err)
		}
		if err := h.(module.Starter).Start(t.Context()); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%s: got %v, want ...%s", path, err, text)
		}
	}
}

func TestFullDisk(t *testing.T) {
	if _, err := os.Stat("/dev/full"); errors.Is(err, fs.ErrNotExist) {
		t.Skip("this system has no /dev/full")
	}
	e := folder(t)
	if err := os.Symlink("/dev/full", e.Path("x.log")); err != nil {
		t.Fatal(err)
	}
	h := open(t, e, `{"path":"x.log","size":1}`)
	for range 3 {
		if v, err := h.Handle(t.Context(), &packet.Packet{Kind: packet.Log, Body: []byte("x")}); v != packet.Pass || err != nil {
			t.Errorf("got %v, %v, want pass", v, err)
		}
	}
	if n := strings.Count(e.log.String(), "no space left"); n != 1 {
		t.Errorf("%d reports: %s", n, e.log)
	}
	if err := os.Remove(e.Path("x.log")); err != nil {
		t.Fatal(err)
	}
	if err := h.(interface{ Close() error }).Close(); err != nil {
		t.Error(err)
	}
	write(t, h, "y")
	want(t, e.folder, "y\n")
}

func TestArguments(t *testing.T) {
	for args, want := range map[string]string{
		`{}`:                           "path",
		`{"path":""}`:                  "path",
		`{"path":"x","mode":"rw"}`:     "mode",
		`{"path":"x","mode":"4755"}`:   "mode",
		`{"path":"x","age":"1ms"}`:     "age",
		`{"path":"x","keep":-1}`:       "keep",
		`{"path":"x","size":"plenty"}`: "size",
	} {
		_, err := file.Module.New(folder(t), []byte(args))
		var bad *module.ArgError
		if !errors.As(err, &bad) || bad.Path[0] != want {
			t.Errorf("%s: got %v, want an error at %s", args, err, want)
		}
	}
}

func BenchmarkHandle(b *testing.B) {
	e := env{folder: b.TempDir(), log: new(strings.Builder)}
	h, err := file.Module.New(e, []byte(`{"path":"x.log","size":"100MiB","keep":1}`))
	if err != nil {
		b.Fatal(err)
	}
	p := &packet.Packet{Kind: packet.Log, Name: entry.Name, Type: "info", From: "c2s", Attrs: " module='c2s' place='conf/x.hcl:12'", Body: []byte(strings.Repeat("x", 100))}
	b.ReportAllocs()
	for b.Loop() {
		if v, _ := h.Handle(b.Context(), p); v != packet.Claim {
			b.Fatal("not written")
		}
	}
}
