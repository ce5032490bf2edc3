package host_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/jabberii/server/basemods/host"
	"github.com/jabberii/server/jabberd/config/configtest"
	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sdk/sdktest"
)

func at(name string) module.Link { return sdktest.Labelled("host", name, `{}`) }

func TestBranches(t *testing.T) {
	plan := sdktest.Plan{Modules: []module.Module{host.Module}}
	for id, names := range map[string][]string{
		"exact":  {"Example.ORG", "other.example.net."},
		"below":  {"*.xn--bcher-kva.de"},
		"others": {"*"},
	} {
		s := sdktest.Section(id, packet.Normal)
		for _, n := range names {
			s.Chain = append(s.Chain, at(n))
		}
		s.Chain = append(s.Chain, sdktest.Sink())
		plan.Sections = append(plan.Sections, s)
	}
	sdktest.Both(t, plan, func(t *testing.T, h *sdktest.Harness) {
		for to, want := range map[string]string{
			"ann@example.org":   "exact",
			"other.example.net": "exact",
			"a.bücher.de":       "below",
			"bücher.de":         "others",
			"a.example.org":     "others",
		} {
			r := h.Explain(&packet.Packet{Kind: packet.Normal, To: to, From: "x@y", Name: "message"})
			if len(r.Sections) != 1 || r.Sections[0].ID != want {
				t.Errorf("%s: %+v, want section %s", to, r, want)
			}
		}
	})
}

type env struct{ module.Env }

func (env) Attach(string) error { return nil }

func TestBadNames(t *testing.T) {
	for label, text := range map[string]string{
		"":                "is no host",
		"a.*.b":           "write a host, *.suffix or *",
		"ann@example.org": "is no host",
		"*.127.0.0.1":     "below an IP",
	} {
		raw, err := json.Marshal(map[string]string{"label": label})
		if err != nil {
			t.Fatal(err)
		}
		_, err = host.Module.New(env{}, raw)
		var bad *module.ArgError
		if !errors.As(err, &bad) || bad.Path[0] != "label" || !strings.Contains(bad.Text, text) {
			t.Errorf("%q: got %v, want an error at label with %q", label, err, text)
		}
	}
}

func TestReadme(t *testing.T) { configtest.Readme(t, host.Module, claims()) }

// claims stands for whatever else is in a section.
func claims() module.Module {
	type none struct{}
	return module.Define("stdout", "Claims.", module.On(packet.Log), func(module.Env, none) (packet.Handler, error) {
		return packet.HandlerFunc(nil), nil
	})
}
