// A service in a shared object: it claims every message and logs it.
package main

import (
	"context"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
)

// Module is what load looks for.
var Module = module.Define("greedy", "Claims every message.", module.On(packet.Normal), newGreedy)

type args struct {
	Text string `json:"text" default:"mine" doc:"What is logged."`
}

func newGreedy(env module.Env, a args) (packet.Handler, error) {
	return packet.HandlerFunc(func(_ context.Context, p *packet.Packet) (packet.Verdict, error) {
		env.Log().Info(a.Text, "id", p.ID)
		return packet.Claim, nil
	}), nil
}

func main() {}
