package server

import (
	"context"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sdk/halt"
	"github.com/jabberii/server/plugins/sdk/request"
	"github.com/jabberii/server/plugins/sdk/setting"
	"github.com/jabberii/server/plugins/sdk/xdb"
)

// own is the handler of packet.ServerHost: storage answers questions, answers to what
// the server itself has asked go to who waits for them, and orders to end are taken from
// who may give them.
type own struct {
	env      module.Env
	settings *xdb.Server
	asker    *request.Asker
	halt     func(context.Context, halt.Order) error
}

func newOwn(env module.Env, settings *setting.Table, halt func(context.Context, halt.Order) error) *own {
	return &own{env, xdb.Serve(env, settings, "the server itself"), request.NewAskerOf(env, packet.ServerHost), halt}
}

// Handle takes questions to the server as storage, answers to its requests, and orders.
func (o *own) Handle(ctx context.Context, p *packet.Packet) (packet.Verdict, error) {
	switch {
	case p.Kind == packet.XDB:
		return o.settings.Handle(ctx, p)
	case o.asker.Take(p):
		return packet.Claim, nil
	}
	order, mine, err := halt.Parse(p)
	switch {
	case !mine || o.halt == nil:
		return packet.Pass, nil
	case !o.mayHalt(p):
		return packet.Pass, packet.Refuse("forbidden", "")
	case err != nil:
		return packet.Pass, err
	}
	if err := o.halt(ctx, order); err != nil {
		return packet.Pass, err
	}
	return packet.Claim, o.env.Deliver(ctx, request.Result(p, nil))
}

// mayHalt reports whether an order comes from the server's commands, or from a host with
// sessions, in whose name nobody can send but the modules in its chain.
func (o *own) mayHalt(p *packet.Packet) bool {
	if packet.Local(p.From) != "" {
		return false
	}
	host := packet.Domain(p.From)
	return host == packet.ServerHost || o.env.Serves(packet.Session, host)
}

// Explain says what Handle would do.
func (o *own) Explain(ctx context.Context, p *packet.Packet) (packet.Verdict, string) {
	if p.Kind == packet.XDB {
		return o.settings.Explain(ctx, p)
	}
	switch _, mine, err := halt.Parse(p); {
	case !mine || o.halt == nil:
		return packet.Pass, "the server itself takes answers to its commands, and orders to end"
	case err != nil || !o.mayHalt(p):
		return packet.Refuses, "it may not have the server end"
	}
	return packet.Claim, "the server ends"
}
