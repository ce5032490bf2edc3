// Pass is a service that does nothing: a link of a chain, to measure what a
// link costs. As a shared object (jabberd plugin build) it runs where load puts
// it, as a program it is a plugin with a process of its own.
package main

import (
	"context"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sdk"
)

// Module is the block type pass.
var Module = module.Define("pass", "Passes every packet on.", module.On(packet.Normal, packet.Session),
	func(module.Env, struct{}) (packet.Handler, error) {
		return packet.HandlerFunc(func(context.Context, *packet.Packet) (packet.Verdict, error) { return packet.Pass, nil }), nil
	})

func main() { sdk.Serve(Module) }
