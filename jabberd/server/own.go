package server

import (
	"context"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sdk/request"
	"github.com/jabberii/server/plugins/sdk/setting"
	"github.com/jabberii/server/plugins/sdk/xdb"
)

// own is the handler of packet.ServerHost: storage answers questions, and answers
// to what the server itself has asked go to who waits for them.
type own struct {
	settings *xdb.Server
	asker    *request.Asker
}

func newOwn(env module.Env, settings *setting.Table) *own {
	return &own{xdb.Serve(env, settings, "the server itself"), request.NewAskerOf(env, packet.ServerHost)}
}

// Handle takes questions to the server as storage, and answers to its requests.
func (o *own) Handle(ctx context.Context, p *packet.Packet) (packet.Verdict, error) {
	switch {
	case p.Kind == packet.XDB:
		return o.settings.Handle(ctx, p)
	case o.asker.Take(p):
		return packet.Claim, nil
	}
	return packet.Pass, nil
}

// Explain says what Handle would do.
func (o *own) Explain(ctx context.Context, p *packet.Packet) (packet.Verdict, string) {
	if p.Kind == packet.XDB {
		return o.settings.Explain(ctx, p)
	}
	return packet.Pass, "the server itself takes answers to its commands only"
}
