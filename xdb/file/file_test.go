package file_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sdk/xdb"
	"github.com/jabberii/server/xdb/conformance"
	"github.com/jabberii/server/xdb/file"
)

func opener(sync bool) conformance.Opener {
	return func(dir string) (xdb.Backend, func() error, error) {
		s, err := file.Open(dir, file.Options{Sync: sync, Cache: 1 << 20, MaxSize: 64 << 20})
		return s, s.Close, err
	}
}

var openers = map[string]conformance.Opener{"process": opener(false), "disk": opener(true)}

func TestMain(m *testing.M) { conformance.Main(m, openers) }

func TestConformance(t *testing.T) { conformance.RunDurable(t, opener(false)) }

func TestKilled(t *testing.T) { conformance.Killed(t, openers) }

// env is what a section lends to the handler.
type env struct {
	module.Env
	data   string
	answer packet.Packet
}

func (e *env) Path(name string) string { return filepath.Join(e.data, name) }
func (e *env) Log() *slog.Logger       { return slog.New(slog.DiscardHandler) }
func (e *env) Answer(_ context.Context, _, answer *packet.Packet) error {
	e.answer = *answer
	return nil
}

func TestModule(t *testing.T) {
	e := &env{data: t.TempDir()}
	h, err := file.Module.New(e, []byte(`{"path":"xdb"}`))
	if err != nil {
		t.Fatal(err)
	}
	put := packet.Packet{Kind: packet.XDB, To: "ann@localhost", Name: "put", Type: "set", NS: "n", Body: []byte("<put key='k'>v</put>")}
	if _, err := h.Handle(t.Context(), &put); err == nil {
		t.Error("answered before it was started")
	}
	if err := h.(module.Starter).Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if v, err := h.Handle(t.Context(), &put); v != packet.Claim || err != nil {
		t.Fatal(v, err)
	}
	get := packet.Packet{Kind: packet.XDB, To: "ann@localhost", Name: "get", Type: "get", NS: "n", Body: []byte("<item key='k'/>")}
	if v, err := h.Handle(t.Context(), &get); v != packet.Claim || err != nil || !strings.Contains(string(e.answer.Body), ">v<") {
		t.Errorf("got %v, %v, %s", v, err, e.answer.Body)
	}
	if v, why := h.(module.Explainer).Explain(t.Context(), &get); v != packet.Claim || why != "file at xdb answers get" {
		t.Errorf("explains %v, %q", v, why)
	}
	second, err := file.Module.New(e, []byte(`{"path":"xdb"}`))
	if err != nil {
		t.Fatal(err)
	}
	err = second.(module.Starter).Start(t.Context())
	if want := "open " + filepath.Join(e.data, "xdb") + ": another process uses it"; err == nil || err.Error() != want {
		t.Errorf("a second one says %v, want %s", err, want)
	}
	for _, h := range []packet.Handler{h, second} {
		if err := h.(io.Closer).Close(); err != nil {
			t.Error(err)
		}
	}
	if _, err := h.Handle(t.Context(), &put); err == nil {
		t.Error("answered after it was closed")
	}
	if err := second.(module.Starter).Start(t.Context()); err != nil {
		t.Errorf("after the first was closed: %v", err)
	}
	if err := second.(io.Closer).Close(); err != nil {
		t.Error(err)
	}
}

func TestArguments(t *testing.T) {
	for args, want := range map[string]string{
		`{}`:                                 "path",
		`{"path":""}`:                        "path",
		`{"path":"x","durability":"mostly"}`: "durability",
		`{"path":"x","cache":10}`:            "cache",
		`{"path":"x","max_size":10}`:         "max_size",
	} {
		_, err := file.Module.New(&env{}, []byte(args))
		var bad *module.ArgError
		if !errors.As(err, &bad) || bad.Path[0] != want {
			t.Errorf("%s: got %v, want a complaint about %s", args, err, want)
		}
	}
}

func BenchmarkStore(b *testing.B) {
	for name, sync := range map[string]bool{"process": false, "disk": true} {
		b.Run(name, func(b *testing.B) {
			conformance.Bench(b, func(dir string) (xdb.Backend, func() error, error) {
				s, err := file.Open(dir, file.Options{Sync: sync, Cache: 8 << 20, MaxSize: 64 << 20}) // as by default
				return s, s.Close, err
			})
		})
	}
}
