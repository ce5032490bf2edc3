package stdout_test

import (
	"bufio"
	"log/slog"
	"os"
	"testing"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/logmods/stdout"
	"github.com/jabberii/server/plugins/sdk/entry"
)

type env struct{ module.Env }

func (env) Log() *slog.Logger { return slog.New(slog.DiscardHandler) }

func TestEntriesAreWritten(t *testing.T) {
	h, err := stdout.Module.New(env{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	real := os.Stdout
	defer func() { os.Stdout = real }()
	os.Stdout = w

	p := &packet.Packet{Kind: packet.Log, Name: entry.Formatted, Body: entry.Body("a < b")}
	if v, err := h.Handle(t.Context(), p); v != packet.Claim || err != nil {
		t.Errorf("got %v, %v, want claim", v, err)
	}
	if line, err := bufio.NewReader(r).ReadString('\n'); line != "a < b\n" || err != nil {
		t.Errorf("wrote %q, %v", line, err)
	}

	r.Close()
	if v, err := h.Handle(t.Context(), p); v != packet.Pass || err != nil {
		t.Errorf("nobody reads: got %v, %v, want pass", v, err)
	}
	if v, why := h.(module.Explainer).Explain(t.Context(), p); v != packet.Pass || why != "cannot write to stdout now" {
		t.Errorf("explained as %v, %s", v, why)
	}
}
