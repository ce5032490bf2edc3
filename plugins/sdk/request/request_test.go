package request_test

import (
	"context"
	"errors"
	"testing"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sdk/request"
	"github.com/jabberii/server/plugins/sdk/sdktest"
	"github.com/jabberii/server/plugins/xmpp/stanza"
)

func TestIs(t *testing.T) {
	body := []byte("<x xmlns='urn:x'/>")
	for name, x := range map[string]struct {
		p             packet.Packet
		host, account bool
	}{
		"a host":            {packet.Packet{Name: "iq", Type: "get", To: "example.org", Body: body}, true, false},
		"an account":        {packet.Packet{Name: "iq", Type: "set", To: "ann@example.org", Body: body}, false, true},
		"a session":         {packet.Packet{Name: "iq", Type: "get", To: "ann@example.org/x", Body: body}, false, false},
		"an answer":         {packet.Packet{Name: "iq", Type: "result", To: "example.org", Body: body}, false, false},
		"a message":         {packet.Packet{Name: "message", To: "example.org", Body: body}, false, false},
		"of a connection":   {packet.Packet{Kind: packet.Session, Name: "iq", Type: "get", To: "example.org", Body: body}, false, false},
		"nothing asked for": {packet.Packet{Name: "iq", Type: "get", To: "example.org"}, false, false},
	} {
		if _, ok := request.ToHost(&x.p); ok != x.host {
			t.Errorf("%s: to a host %v", name, ok)
		}
		if _, ok := request.ToAccount(&x.p); ok != x.account {
			t.Errorf("%s: to an account %v", name, ok)
		}
	}
	p := packet.Packet{Name: "iq", Type: "get", ID: "7", From: "ann@example.org/x", To: "ann@example.org"}
	if r := request.Result(&p, body); !request.IsOwn(&p) || r.To != p.From || r.From != p.To || r.ID != "7" || r.Type != "result" {
		t.Errorf("%+v", r)
	}
}

func TestReject(t *testing.T) {
	var reject *packet.Reject
	if err := request.Reject(&stanza.Error{Condition: stanza.Forbidden, Text: "no"}); !errors.As(err, &reject) || reject.Condition != "forbidden" || reject.Text != "no" {
		t.Errorf("%v", err)
	}
	plain := errors.New("plain")
	if err := request.Reject(plain); err != plain {
		t.Errorf("%v", err)
	}
}

// asking asks another host whatever it is sent a message about, within Handle,
// and sends on what it is told.
var asking = module.Define("asking", "Asks.", module.On(packet.Normal, packet.Session), func(env module.Env, _ struct{}) (packet.Handler, error) {
	a := request.NewAsker(env)
	return packet.HandlerFunc(func(ctx context.Context, p *packet.Packet) (packet.Verdict, error) {
		switch {
		case a.Take(p):
			return packet.Claim, nil
		case p.Name == "iq" && p.Type == "get" && packet.Resource(p.To) == "": // its own question
			return packet.Claim, env.Deliver(ctx, request.Result(p, p.Body))
		case p.Name != "message":
			return packet.Pass, nil
		}
		answer, err := a.Request(ctx, &packet.Packet{To: p.Type, Type: "get", Body: p.Body})
		text := ""
		var reject *packet.Reject
		switch {
		case errors.As(err, &reject):
			text = reject.Condition
		case err != nil:
			return packet.Pass, err
		default:
			text = string(answer.Body)
		}
		return packet.Claim, env.Deliver(ctx, &packet.Packet{To: p.From, From: p.To, Name: "message", Body: []byte(text)})
	}), nil
})

var nothing = module.Define("nothing", "Stores nothing.", module.On(packet.XDB), func(module.Env, struct{}) (packet.Handler, error) {
	return packet.HandlerFunc(func(context.Context, *packet.Packet) (packet.Verdict, error) { return packet.Pass, nil }), nil
})

// A module asks within Handle and has the answer there, also one that is an
// error; an answer that nobody waits for goes nowhere.
func TestAsker(t *testing.T) {
	plan := sdktest.Users([]module.Module{asking}, nothing, sdktest.Block("asking", `{}`))
	sdktest.Both(t, plan, func(t *testing.T, h *sdktest.Harness) {
		for whom, want := range map[string]string{sdktest.Domain: "<x xmlns='urn:x'/>", "ann@example.org/gone": ""} {
			h.Send(&packet.Packet{Name: "message", Type: whom, From: "boss@elsewhere", To: sdktest.Domain, Body: []byte("<x xmlns='urn:x'/>")})
			p := h.Next()
			if want == "" { // the request has reached a sink, which answers with an error
				reply := stanza.Error{Condition: stanza.ItemNotFound}
				h.Deliver(&packet.Packet{Name: "iq", Type: "error", ID: "another", From: p.To, To: p.From})
				h.Deliver(&packet.Packet{Name: "iq", Type: "error", ID: p.ID, From: p.To, To: p.From, Body: reply.Append(nil)})
				p, want = h.Next(), "item-not-found"
			}
			if p.To != "boss@elsewhere" || string(p.Body) != want {
				t.Errorf("%s: %+v %s, want %s", whom, p, p.Body, want)
			}
		}
		if left := h.Received(); len(left) > 0 {
			t.Errorf("also %+v", left)
		}
	})
}
