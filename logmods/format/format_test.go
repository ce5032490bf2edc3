package format_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/logmods/format"
	"github.com/jabberii/server/plugins/sdk/entry"
)

func warning() *packet.Packet {
	return &packet.Packet{
		Kind: packet.Log, Type: "warn", Host: "example.org", From: "c2s", Name: entry.Name,
		Attrs: " time='2026-03-01T12:30:00.2503Z' a='1'", Body: entry.Body("a <b> & c"),
	}
}

func TestFormat(t *testing.T) {
	for name, c := range map[string]struct{ args, want string }{
		"default":      {`{"utc":true}`, "2026-03-01T12:30:00Z warn example.org c2s: a <b> & c a=1"},
		"text":         {`{"text":"%h %l: %s"}`, "example.org warn: a <b> & c"},
		"milliseconds": {`{"utc":true,"text":"%t","time":"milliseconds"}`, "2026-03-01T12:30:00.250Z"},
		"microseconds": {`{"utc":true,"text":"%t","time":"microseconds"}`, "2026-03-01T12:30:00.250300Z"},
		"clock":        {`{"utc":true,"text":"%t","time":"clock"}`, "12:30:00"},
		"json":         {`{"utc":true,"json":true}`, `{"level":"warn","time":"2026-03-01T12:30:00Z","host":"example.org","from":"c2s","message":"a <b> & c","a":"1"}`},
	} {
		t.Run(name, func(t *testing.T) {
			h, err := format.Module.New(nil, json.RawMessage(c.args))
			if err != nil {
				t.Fatal(err)
			}
			p, q := warning(), warning()
			before := string(p.Body)
			body := p.Body
			v, err := h.Handle(t.Context(), p)
			if v != packet.Pass || err != nil || p.Name != entry.Formatted {
				t.Errorf("got %v, %v, name %q", v, err, p.Name)
			}
			if got := string(entry.AppendLine(nil, p)); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
			if string(body) != before {
				t.Error("the body was written to")
			}
			if v, why := h.(module.Explainer).Explain(t.Context(), q); v != packet.Pass || !strings.HasSuffix(why, c.want) {
				t.Errorf("explained as %v, %s", v, why)
			}
		})
	}
}

func TestArguments(t *testing.T) {
	for args, want := range map[string]string{
		`{"text":"%x"}`:      "text",
		`{"time":"century"}`: "time",
		`{"json":"yes"}`:     "json",
	} {
		_, err := format.Module.New(nil, []byte(args))
		var bad *module.ArgError
		if !errors.As(err, &bad) || bad.Path[0] != want {
			t.Errorf("%s: got %v, want an error at %s", args, err, want)
		}
	}
}
