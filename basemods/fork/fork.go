// Package fork is the module that gives the rest of its chain processes of its
// own.
package fork

import (
	"context"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
)

// Module is fork {}. That links behind it run elsewhere is the doing of who
// arranges the processes; the module itself takes no packets.
var Module = define()

func define() module.Module {
	m := module.Define("fork", "Runs the rest of the chain in processes of its own, so that what happens there happens to nobody else.",
		module.On(packet.Normal, packet.Session, packet.XDB, packet.Log), New)
	m.Passive = true
	return m
}

// New makes the handler, which passes everything; no chain has it.
func New(module.Env, struct{}) (packet.Handler, error) {
	return packet.HandlerFunc(func(context.Context, *packet.Packet) (packet.Verdict, error) { return packet.Pass, nil }), nil
}
