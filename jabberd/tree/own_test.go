package tree_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/jabberd/tree"
)

// answering returns a handler that answers with a word.
func answering(word string) handle {
	return func(ctx context.Context, env module.Env, p *packet.Packet) (packet.Verdict, error) {
		return packet.Claim, env.Answer(ctx, p, &packet.Packet{Name: word})
	}
}

// TestTheServerItselfAnswers has a process ask that has the storage for all
// hosts: what is asked of the server goes to the core all the same.
func TestTheServerItselfAnswers(t *testing.T) {
	both(t, func(t *testing.T, at func(string) string) {
		r := newRig(t, map[string]handle{"store": answering("store")})
		r.own = func(env module.Env) packet.Handler {
			return packet.HandlerFunc(func(ctx context.Context, p *packet.Packet) (packet.Verdict, error) {
				if p.Name != "get" {
					return packet.Pass, nil
				}
				return answering("server")(ctx, env, p)
			})
		}
		r.section(normal("s", packet.XDB), []string{"*", "*.alt"}, at("store")).start()
		ask := func(to, name string) (*packet.Packet, error) {
			return r.env("store").Ask(t.Context(), &packet.Packet{To: to, From: "test", Name: name, Type: "get"})
		}
		for _, to := range []string{packet.ServerHost, "a@" + packet.ServerHost} {
			if answer, err := ask(to, "get"); err != nil || answer.Name != "server" {
				t.Errorf("%s: %+v, %v", to, answer, err)
			}
		}
		for _, to := range []string{"x", "a." + packet.ServerHost, "alt"} {
			if answer, err := ask(to, "get"); err != nil || answer.Name != "store" {
				t.Errorf("%s: %+v, %v", to, answer, err)
			}
		}
		var reject *packet.Reject
		if answer, err := ask(packet.ServerHost, "other"); !errors.As(err, &reject) || reject.Condition != "service-unavailable" {
			t.Errorf("%+v, %v", answer, err)
		}
		if err := r.env("store").Attach(packet.ServerHost); err == nil || !strings.Contains(err.Error(), "server's own") {
			t.Errorf("attached: %v", err)
		}
	})
}

func TestNobodyElseAnswersForTheServer(t *testing.T) {
	both(t, func(t *testing.T, at func(string) string) {
		r := newRig(t, map[string]handle{"store": answering("store")})
		r.section(normal("s", packet.XDB), []string{"*"}, at("store")).start()
		var reject *packet.Reject
		_, err := r.env("store").Ask(t.Context(), &packet.Packet{To: packet.ServerHost, From: "test", Name: "get", Type: "get"})
		if !errors.As(err, &reject) || reject.Condition != "service-unavailable" {
			t.Errorf("%v", err)
		}
	})
}

func TestTheServersHostIsRefusedInAPlan(t *testing.T) {
	r := newRig(t, map[string]handle{"store": answering("store")})
	r.section(normal("s", packet.XDB), []string{packet.ServerHost}, "store")
	r.launchCore()
	t.Cleanup(r.close)
	if _, wrong := r.core.Make(r.plan); len(wrong) != 1 || !strings.Contains(wrong[0].Text, "server's own") {
		t.Errorf("%v", wrong)
	}
	made, _ := r.core.Make(nil)
	made.Hosts = append(made.Hosts, tree.HostChange{Host: packet.ServerHost})
	if err := r.core.Arrange(made); err == nil {
		t.Error("a process has attached to the server's own host")
	}
}
