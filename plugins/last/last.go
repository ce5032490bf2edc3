// Package last is the module that tells how long a host has been up (XEP-0012
// section 5). When an account was there last is the session manager's to say.
package last

import (
	"context"
	"strconv"
	"time"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sdk/disco"
	"github.com/jabberii/server/plugins/sdk/request"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

const space = "jabber:iq:last"

// Args are the arguments of last: none.
type Args struct{}

// Module is the service as a configuration names it: load "last".
var Module = define()

func define() module.Module {
	m := module.Define("last", "Tells how long a host has been up (XEP-0012).",
		module.On(packet.Normal, packet.Session), New)
	m.XEPs = []module.XEP{{Number: 12, Name: "Last Activity", Version: "2.0", Note: "of a host; of accounts it is the session manager's"}}
	return m
}

type last struct {
	env   module.Env
	since time.Time
}

// New makes the handler. The host is up from then on.
func New(env module.Env, _ Args) (packet.Handler, error) {
	return &last{env: env, since: time.Now()}, nil
}

// Handle answers who asks the host.
func (l *last) Handle(ctx context.Context, p *packet.Packet) (packet.Verdict, error) {
	el, ok := request.ToHost(p)
	switch {
	case !ok:
		return packet.Pass, nil
	case disco.AsksInfo(p):
		disco.AddFeature(p, space)
		return packet.Pass, nil
	case el.NS() != space:
		return packet.Pass, nil
	case p.Type != "get":
		return packet.Pass, packet.Refuse("not-allowed", "")
	}
	seconds := strconv.FormatInt(int64(time.Since(l.since)/time.Second), 10)
	return packet.Claim, l.env.Deliver(ctx, request.Result(p, xml.AppendEmpty(nil, "query", space, "seconds", seconds)))
}

// Explain says what Handle would do.
func (l *last) Explain(_ context.Context, p *packet.Packet) (packet.Verdict, string) {
	el, ok := request.ToHost(p)
	switch {
	case ok && disco.AsksInfo(p):
		disco.AddFeature(p, space)
		return packet.Pass, "adds to what " + p.To + " offers"
	case ok && el.NS() == space && p.Type == "get":
		return packet.Claim, "answers how long " + p.To + " has been up"
	case ok && el.NS() == space:
		return packet.Refuses, "how long a host has been up can only be asked for"
	}
	return packet.Pass, "it does not ask how long a host has been up"
}
