package privacy_test

import (
	"context"
	"testing"

	"github.com/jabberii/server/jabberd/config/configtest"
	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
	gate "github.com/jabberii/server/plugins/privacy"
	stored "github.com/jabberii/server/plugins/sdk/privacy"
	"github.com/jabberii/server/plugins/sdk/sdktest"
	"github.com/jabberii/server/plugins/sdk/xdb"
	"github.com/jabberii/server/plugins/xmpp/privacy"
	"github.com/jabberii/server/xdb/memory"
)

const (
	ann = "ann@example.org"
	ask = "<vCard xmlns='vcard-temp'/>"
)

func TestReadme(t *testing.T) { configtest.ReadmeOfService(t, gate.Module, memory.Module) }

func plan() sdktest.Plan {
	return sdktest.Users([]module.Module{gate.Module}, memory.Module, sdktest.Block("privacy", `{}`))
}

// lists writes the default list of ann, and a contact of hers.
func lists(t *testing.T, h *sdktest.Harness, rules ...privacy.Rule) {
	t.Helper()
	store := xdb.New(h.Env(), "test")
	old, err := stored.Read(t.Context(), store, ann)
	if err != nil {
		t.Fatal(err)
	}
	var now privacy.Lists
	if len(rules) > 0 {
		now = now.With(privacy.List{Name: "mine", Rules: rules})
		now.Default = "mine"
	}
	if err := stored.Write(t.Context(), store, ann, old, now); err != nil {
		t.Fatal(err)
	}
	value := "<item xmlns='jabber:iq:roster' jid='carl@elsewhere' subscription='both'><group>Friends</group></item>"
	if _, err := store.Put(t.Context(), ann, "roster", "carl@elsewhere", []byte(value)); err != nil {
		t.Fatal(err)
	}
}

func TestKeepsAway(t *testing.T) {
	sdktest.Both(t, plan(), func(t *testing.T, h *sdktest.Harness) {
		const passed, away = "passed " + ask, "error service-unavailable"
		rule := func(m privacy.Match, value string, s privacy.Stanza) privacy.Rule {
			return privacy.Rule{Match: m, Value: value, Deny: true, Order: 1, Stanzas: s}
		}
		for _, x := range []struct {
			name  string
			rules []privacy.Rule
			from  string
			want  string
		}{
			{"no lists", nil, "eve@elsewhere/x", passed},
			{"blocked", []privacy.Rule{rule(privacy.JID, "eve@elsewhere", privacy.All)}, "eve@elsewhere/x", away},
			{"somebody else", []privacy.Rule{rule(privacy.JID, "eve@elsewhere", privacy.All)}, "carl@elsewhere/x", passed},
			{"messages only", []privacy.Rule{rule(privacy.JID, "eve@elsewhere", privacy.Message)}, "eve@elsewhere/x", passed},
			{"strangers", []privacy.Rule{rule(privacy.Subscription, "none", privacy.IQ)}, "eve@elsewhere/x", away},
			{"no stranger", []privacy.Rule{rule(privacy.Subscription, "none", privacy.IQ)}, "carl@elsewhere/x", passed},
			{"a group", []privacy.Rule{rule(privacy.Group, "Friends", privacy.IQ)}, "carl@elsewhere/x", away},
			{"oneself", []privacy.Rule{rule(privacy.Everybody, "", privacy.All)}, ann + "/phone", passed},
			{"one's server", []privacy.Rule{rule(privacy.Everybody, "", privacy.All)}, "example.org", passed},
		} {
			lists(t, h, x.rules...)
			if got := h.IQ(x.from, ann, "get", ask); got != x.want {
				t.Errorf("%s: %s, want %s", x.name, got, x.want)
			}
			p := packet.Packet{Name: "iq", Type: "get", ID: "1", From: x.from, To: ann, Body: []byte(ask)}
			if s := h.Explain(&p).Sections[0].Steps[0]; (s.Verdict == "refuse") != (x.want == away) {
				t.Errorf("%s: explained as %s: %s", x.name, s.Verdict, s.Why)
			}
		}
		// What strangers are refused as well is left to whoever knows it: an answer
		// of another kind would tell that one is blocked.
		lists(t, h, rule(privacy.JID, "eve@elsewhere", privacy.All))
		for payload, kind := range map[string]string{
			"<query xmlns='jabber:iq:last'/>": "get", "<query xmlns='jabber:iq:private'/>": "get", "<vCard xmlns='vcard-temp'/>": "set",
		} {
			if got := h.IQ("eve@elsewhere/x", ann, kind, payload); got != "passed "+payload {
				t.Errorf("%s of somebody who is blocked: %s", payload, got)
			}
		}
		if got := h.IQ("eve@elsewhere/x", "example.org", "get", ask); got != passed {
			t.Errorf("to the host: %s", got)
		}
	})
}

// What has nothing to do with it costs nothing.
func TestMessagesCostNothing(t *testing.T) {
	h, err := gate.Module.New(env{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	p := packet.Packet{Name: "message", From: "eve@elsewhere/x", To: ann}
	if n := testing.AllocsPerRun(100, func() { h.Handle(context.Background(), &p) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

type env struct{ module.Env }

func (env) Section() string { return "users" }
