package filter_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/logmods/filter"
	"github.com/jabberii/server/plugins/sdk/entry"
)

// env is a section that keeps what is delivered.
type env struct {
	module.Env
	delivered chan *packet.Packet
}

func (e env) Section() string { return "errors" }

func (e env) Deliver(_ context.Context, p *packet.Packet) error {
	e.delivered <- p
	return nil
}

func start(t *testing.T, args string) (packet.Handler, env) {
	t.Helper()
	e := env{delivered: make(chan *packet.Packet, 10)}
	h, err := filter.Module.New(e, []byte(args))
	if err != nil {
		t.Fatal(err)
	}
	return h, e
}

func TestConditions(t *testing.T) {
	for name, c := range map[string]struct {
		args string
		p    packet.Packet
		want packet.Verdict
		why  string
	}{
		"nothing asked":      {`{}`, packet.Packet{Type: "debug"}, packet.Pass, "kept"},
		"level kept":         {`{"level":"warn"}`, packet.Packet{Type: "warn"}, packet.Pass, "kept"},
		"level above":        {`{"level":"warn"}`, packet.Packet{Type: "error"}, packet.Pass, "kept"},
		"level below":        {`{"level":"warn"}`, packet.Packet{Type: "info"}, packet.Skip, `level "info" is below warn`},
		"unknown is an info": {`{"level":"warn"}`, packet.Packet{Type: "notice"}, packet.Skip, "below"},
		"type in the list":   {`{"type":["record","warn"]}`, packet.Packet{Type: "record"}, packet.Pass, "kept"},
		"type not":           {`{"type":["record","warn"]}`, packet.Packet{Type: "error"}, packet.Skip, `type "error"`},
		"both":               {`{"level":"warn","type":["info"]}`, packet.Packet{Type: "info"}, packet.Skip, "below"},
		"host":               {`{"host":["Example.ORG"]}`, packet.Packet{Host: "example.org"}, packet.Pass, "kept"},
		"host of the writer": {`{"host":["example.org"]}`, packet.Packet{From: "example.org"}, packet.Pass, "kept"},
		"host below":         {`{"host":["*.example.org"]}`, packet.Packet{Host: "a.example.org"}, packet.Pass, "kept"},
		"other host":         {`{"host":["*.example.org"]}`, packet.Packet{Host: "example.org"}, packet.Skip, `host "example.org"`},
		"any host":           {`{"host":["*"]}`, packet.Packet{}, packet.Pass, "kept"},
	} {
		t.Run(name, func(t *testing.T) {
			h, _ := start(t, c.args)
			c.p.Kind = packet.Log
			got, err := h.Handle(t.Context(), &c.p)
			if err != nil || got != c.want {
				t.Errorf("got %v, %v, want %v", got, err, c.want)
			}
			got, why := h.(module.Explainer).Explain(t.Context(), &c.p)
			if got != c.want || !strings.Contains(why, c.why) {
				t.Errorf("explained as %v, %s", got, why)
			}
		})
	}
}

func TestRateIsKeptAndTheRestCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, e := start(t, `{"level":"info","rate":3}`)
		ctx, stop := context.WithCancel(t.Context())
		ran := make(chan error)
		go func() { ran <- h.(module.Runner).Run(ctx) }()

		count := map[packet.Verdict]int{}
		for range 10 {
			v, _ := h.Handle(ctx, &packet.Packet{Kind: packet.Log, Host: "example.org", Type: "info"})
			count[v]++
		}
		if count[packet.Pass] != 3 || count[packet.Claim] != 7 {
			t.Errorf("verdicts %v, want 3 passed, 7 claimed", count)
		}
		if v, _ := h.Handle(ctx, &packet.Packet{Kind: packet.Log, Type: "debug"}); v != packet.Skip {
			t.Errorf("an entry that is not wanted: %v, want skip", v)
		}

		began := time.Now()
		note := <-e.delivered
		if took := time.Since(began); took != time.Second {
			t.Errorf("the note came after %v", took)
		}
		if entry.Text(note) != "7 entries dropped" || note.Section != "errors" || note.Host != "example.org" || note.Kind != packet.Log || note.Attrs != " dropped='7'" {
			t.Errorf("note is %+v", note)
		}
		for range 4 { // is beyond the rate, and must pass
			if v, _ := h.Handle(ctx, note); v != packet.Pass {
				t.Errorf("the note: %v, want pass", v)
			}
		}

		for range 4 {
			h.Handle(ctx, &packet.Packet{Kind: packet.Log, Host: "example.org", Type: "info"})
		}
		if note = <-e.delivered; entry.Text(note) != "1 entry dropped" {
			t.Errorf("second note says %q", entry.Text(note))
		}
		stop()
		if err := <-ran; err != nil {
			t.Error(err)
		}
	})
}

func TestArguments(t *testing.T) {
	for args, want := range map[string]string{
		`{"level":"fatal"}`:      "level",
		`{"host":["a.*.b"]}`:     "host",
		`{"rate":-1}`:            "rate",
		`{"type":"error"}`:       "type",
		`{"levels":["no such"]}`: "levels",
	} {
		_, err := filter.Module.New(env{}, json.RawMessage(args))
		var bad *module.ArgError
		if !errors.As(err, &bad) || bad.Path[0] != want {
			t.Errorf("%s: got %v, want an error at %s", args, err, want)
		}
	}
}
