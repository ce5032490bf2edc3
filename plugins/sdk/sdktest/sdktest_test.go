package sdktest_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/jabberd/server"
	"github.com/jabberii/server/plugins/sdk/sdktest"
)

type greetArgs struct {
	Text string `json:"text" default:"hello"`
}

var greeter = module.Define("greeter", "Greets who writes.", module.On(packet.Normal, packet.XDB),
	func(env module.Env, a greetArgs) (packet.Handler, error) {
		if a.Text == "" {
			return nil, module.BadArg("text", "is empty")
		}
		return &greet{env, a.Text}, nil
	})

type greet struct {
	env  module.Env
	text string
}

func (g *greet) Handle(ctx context.Context, p *packet.Packet) (packet.Verdict, error) {
	switch {
	case p.Kind == packet.XDB:
		return packet.Claim, g.env.Answer(ctx, p, &packet.Packet{Name: "answer", Body: []byte(g.text)})
	case p.Type == "refused":
		return packet.Pass, packet.Refuse("not-allowed", "no greeting")
	case p.Type == "passed":
		return packet.Pass, nil
	}
	g.env.Log().Info("greeting " + p.From)
	return packet.Claim, g.env.Deliver(ctx, &packet.Packet{To: p.From, From: p.To, Name: "message", Body: []byte(g.text)})
}

func plan(args string) sdktest.Plan {
	return sdktest.Plan{
		Modules: []module.Module{greeter},
		Sections: []module.Section{
			sdktest.Section("greet", packet.Normal, sdktest.Host("greet.example.org"), sdktest.Block("greeter", args)),
			sdktest.Section("store", packet.XDB, sdktest.Host("*"), sdktest.Block("greeter", args)),
			sdktest.Sinks("example.org", packet.Normal),
		},
	}
}

func TestBoth(t *testing.T) {
	sdktest.Both(t, plan(`{"text":"hi"}`), func(t *testing.T, h *sdktest.Harness) {
		for range 2 {
			p := packet.Packet{To: "greet.example.org", From: "ann@example.org", Name: "message"}
			if o := h.Deliver(&p); o.Result != packet.Claimed {
				t.Errorf("ended %+v", o)
			}
			if got := h.Next(); got.To != "ann@example.org" || string(got.Body) != "hi" {
				t.Errorf("greeted with %+v", got)
			}
			if e := h.Logged("greeting ann"); e.Type != "info" || !strings.Contains(e.Attrs, "module='greeter'") {
				t.Errorf("logged %+v", e)
			}
			p.Type = "refused"
			if o := h.Deliver(&p); o.Result != packet.Refused || o.Reason == nil || o.Reason.Condition != "not-allowed" {
				t.Errorf("ended %+v, %v", o, o.Reason)
			}
			bounce := h.Next()
			if bounce.Type != "error" || bounce.To != "ann@example.org" {
				t.Errorf("bounced as %+v", bounce)
			}
			if more := h.Received(); len(more) > 0 {
				t.Errorf("also received %+v", more)
			}
			answer, err := h.Ask(&packet.Packet{Name: "get", To: "ann@example.org"})
			if err != nil || string(answer.Body) != "hi" {
				t.Errorf("answer %+v, %v", answer, err)
			}
			if r := h.Explain(&p); len(r.Sections) != 1 || r.Sections[0].ID != "greet" {
				t.Errorf("explained as %+v", r)
			}
			h.Restart()
		}
	})
}

func TestRefusedPlans(t *testing.T) {
	for _, wired := range []bool{false, true} {
		var wrong server.LinkErrors
		if _, err := sdktest.Try(t, plan(`{"text":""}`), wired); !errors.As(err, &wrong) || len(wrong) != 2 || wrong[0].Path[0] != "text" {
			t.Errorf("wired %v: %v", wired, err)
		}
	}
}
