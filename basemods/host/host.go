// Package host is the module that registers its section in the delivery tree:
// packets of a host take the section's branch.
package host

import (
	"context"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sdk/hosts"
)

type args struct {
	Name string `json:"label" label:"name of the host, \"*.suffix\" or \"*\""`
}

// Module is host "NAME" {}.
var Module = define()

func define() module.Module {
	m := module.Define("host", "Leads the packets of a host to its section.",
		module.On(packet.Normal, packet.Session, packet.XDB, packet.Log), New)
	m.Passive = true
	return m
}

// New attaches the section to the host. The handler passes everything; no chain
// has it.
func New(env module.Env, a args) (packet.Handler, error) {
	name, err := hosts.Prepare(a.Name)
	if err != nil {
		return nil, module.BadArg("label", "%v", err)
	}
	return packet.HandlerFunc(pass), env.Attach(name)
}

func pass(context.Context, *packet.Packet) (packet.Verdict, error) { return packet.Pass, nil }
