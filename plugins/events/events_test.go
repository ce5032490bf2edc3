package events_test

import (
	"context"
	"strings"
	"testing"

	"github.com/jabberii/server/jabberd/config/configtest"
	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/logmods/file"
	"github.com/jabberii/server/logmods/filter"
	"github.com/jabberii/server/logmods/format"
	"github.com/jabberii/server/plugins/events"
	"github.com/jabberii/server/plugins/sdk/entry"
	"github.com/jabberii/server/plugins/sdk/sdktest"
)

func TestReadme(t *testing.T) {
	configtest.ReadmeOfService(t, events.Module, file.Module, filter.Module, format.Module)
}

func TestTells(t *testing.T) {
	takes := module.Define("takes", "", module.On(packet.Normal, packet.Session), func(module.Env, struct{}) (packet.Handler, error) {
		return packet.HandlerFunc(func(context.Context, *packet.Packet) (packet.Verdict, error) { return packet.Claim, nil }), nil
	})
	plan := sdktest.Plan{
		Modules: []module.Module{events.Module, filter.Module, takes},
		Sections: []module.Section{
			sdktest.Service("users", sdktest.Host("example.org"), sdktest.Block("events", `{"stanzas":["message"],"body":true}`), sdktest.Block("takes", `{}`)),
			sdktest.Section("log", packet.Log, sdktest.Host("*"), sdktest.Block("filter", `{"event":["mess*"]}`), sdktest.Sink()),
		},
	}
	sdktest.Both(t, plan, func(t *testing.T, h *sdktest.Harness) {
		h.Deliver(&packet.Packet{To: "ann@example.org", From: "bob@example.org", Name: "iq", Type: "get", ID: "0"})
		h.Deliver(&packet.Packet{To: "ann@example.org", From: "bob@example.org", Name: "message", Type: "chat", ID: "1", Body: []byte("<body>hi</body>")})
		h.Deliver(&packet.Packet{Kind: packet.Session, Host: "example.org", From: "ann@example.org/a", To: "bob@example.net", Name: "message", ID: "2"})
		for _, want := range []map[string]string{
			{"event": "message", "way": "to", "sender": "bob@example.org", "receiver": "ann@example.org", "kind": "chat", "stanza": "1", "bytes": "15", "body": "<body>hi</body>"},
			{"event": "message", "way": "from", "sender": "ann@example.org/a", "receiver": "bob@example.net", "stanza": "2", "bytes": "0"},
		} {
			p := h.Next()
			if p.Branch() != "example.org" {
				t.Errorf("the entry is of host %q", p.Branch())
			}
			for name, value := range want {
				if got := entry.Value(p, name); got != value {
					t.Errorf("%s is %q, want %q", name, got, value)
				}
			}
		}
	})
}

func TestWrongStanza(t *testing.T) {
	if _, err := events.Module.New(nil, []byte(`{"stanzas":["letter"]}`)); err == nil || !strings.Contains(err.Error(), `"letter" is no stanza`) {
		t.Error(err)
	}
}
