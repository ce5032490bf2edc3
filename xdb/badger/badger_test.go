package badger_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sdk/xdb"
	"github.com/jabberii/server/xdb/badger"
	"github.com/jabberii/server/xdb/conformance"
)

func opener(sync bool) conformance.Opener {
	return func(dir string) (xdb.Backend, func() error, error) {
		s, err := badger.Open(dir, badger.Options{Sync: sync, Cache: 1 << 20})
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
	const args = `{"path":"xdb","durability":"process"}`
	h, err := badger.Module.New(e, []byte(args))
	if err != nil {
		t.Fatal(err)
	}
	get := packet.Packet{Kind: packet.XDB, To: "ann@localhost", Name: "get", Type: "get", NS: "n", Body: []byte("<item key='k'/>")}
	if _, err := h.Handle(t.Context(), &get); err == nil {
		t.Error("answered before it was started")
	}
	if err := h.(module.Starter).Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	put := packet.Packet{Kind: packet.XDB, To: "ann@localhost", Name: "put", Type: "set", NS: "n", Body: []byte("<put key='k'>v</put>")}
	if v, err := h.Handle(t.Context(), &put); v != packet.Claim || err != nil {
		t.Fatal(v, err)
	}
	if v, err := h.Handle(t.Context(), &get); v != packet.Claim || err != nil || !strings.Contains(string(e.answer.Body), ">v<") {
		t.Errorf("got %v, %v, %s", v, err, e.answer.Body)
	}
	if v, why := h.(module.Explainer).Explain(t.Context(), &get); v != packet.Claim || why != "badger at xdb answers get" {
		t.Errorf("explains %v, %q", v, why)
	}
	if _, err := os.Stat(filepath.Join(e.data, "xdb", "MANIFEST")); err != nil {
		t.Error(err)
	}

	second, err := badger.Module.New(e, []byte(args))
	if err != nil {
		t.Fatal(err)
	}
	err = second.(module.Starter).Start(t.Context())
	if want := "open " + filepath.Join(e.data, "xdb") + ": another process uses it"; err == nil || err.Error() != want {
		t.Errorf("a second one says %v, want %s", err, want)
	}
	if err := second.(io.Closer).Close(); err != nil {
		t.Error(err)
	}

	ctx, stop := context.WithCancel(t.Context())
	ran := make(chan error)
	go func() { ran <- h.(module.Runner).Run(ctx) }()
	stop()
	if err := <-ran; err != nil {
		t.Errorf("run: %v", err)
	}
	if err := h.(io.Closer).Close(); err != nil {
		t.Error(err)
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
		`{"path":"x","gc_interval":"1ms"}`:   "gc_interval",
	} {
		_, err := badger.Module.New(&env{}, []byte(args))
		var bad *module.ArgError
		if !errors.As(err, &bad) || bad.Path[0] != want {
			t.Errorf("%s: got %v, want a complaint about %s", args, err, want)
		}
	}
}

func TestOpenReports(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := badger.Open(file, badger.Options{Cache: 1 << 20})
	if err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("got %v", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
