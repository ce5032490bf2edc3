// Package fact is for modules that have a host tell something of itself: which
// software it runs, what time it is. Who asks sends an IQ of type get with an
// empty payload; nothing can be set.
package fact

import (
	"context"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sdk/disco"
	"github.com/jabberii/server/plugins/sdk/request"
)

// A Handler answers what is asked of the hosts of its section, and has them say
// that it can be asked (XEP-0030). It stands before the session manager.
type Handler struct {
	Env  module.Env
	NS   string        // of the payload, and the feature
	What string        // what is told, for explanations: "its software"
	Tell func() []byte // the payload of the answer; called for each, from many goroutines
}

// Handle answers who asks a host.
func (h *Handler) Handle(ctx context.Context, p *packet.Packet) (packet.Verdict, error) {
	el, ok := request.ToHost(p)
	switch {
	case !ok:
		return packet.Pass, nil
	case disco.AsksInfo(p):
		disco.AddFeature(p, h.NS)
		return packet.Pass, nil
	case el.NS() != h.NS:
		return packet.Pass, nil
	case p.Type != "get":
		return packet.Pass, packet.Refuse("not-allowed", "")
	}
	return packet.Claim, h.Env.Deliver(ctx, request.Result(p, h.Tell()))
}

// Explain says what Handle would do.
func (h *Handler) Explain(_ context.Context, p *packet.Packet) (packet.Verdict, string) {
	el, ok := request.ToHost(p)
	switch {
	case ok && disco.AsksInfo(p):
		disco.AddFeature(p, h.NS)
		return packet.Pass, "adds to what " + p.To + " offers"
	case ok && el.NS() == h.NS && p.Type == "get":
		return packet.Claim, p.To + " tells " + h.What
	case ok && el.NS() == h.NS:
		return packet.Refuses, "a host can only be asked for " + h.What
	}
	return packet.Pass, "it does not ask a host for " + h.What
}
