// Package time is the module that tells the time at a host (XEP-0202).
package time

import (
	"context"
	"time"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sdk/disco"
	"github.com/jabberii/server/plugins/sdk/request"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

const space = "urn:xmpp:time"

// Args are the arguments of time.
type Args struct {
	Zone string `json:"zone" default:"UTC" doc:"Time zone to tell, such as Europe/Berlin; Local is the machine's."`
}

// Module is the service as a configuration names it: load "time".
var Module = define()

func define() module.Module {
	m := module.Define("time", "Tells the time at a host (XEP-0202).",
		module.On(packet.Normal, packet.Session), New)
	m.XEPs = []module.XEP{{Number: 202, Name: "Entity Time", Version: "2.0"}}
	return m
}

type clock struct {
	env  module.Env
	zone *time.Location
}

// New makes the handler.
func New(env module.Env, a Args) (packet.Handler, error) {
	zone, err := time.LoadLocation(a.Zone)
	if err != nil {
		return nil, module.BadArg("zone", "there is no time zone %q", a.Zone)
	}
	return &clock{env, zone}, nil
}

// Handle answers who asks the host.
func (c *clock) Handle(ctx context.Context, p *packet.Packet) (packet.Verdict, error) {
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
	return packet.Claim, c.env.Deliver(ctx, request.Result(p, answer(time.Now().In(c.zone))))
}

// answer writes a moment as the offset of its zone and in UTC (XEP-0082).
func answer(now time.Time) []byte {
	body := xml.AppendStart(nil, "time", space)
	body = xml.AppendElement(body, "tzo", "", now.Format("-07:00"))
	body = xml.AppendElement(body, "utc", "", now.UTC().Format("2006-01-02T15:04:05Z"))
	return xml.AppendEnd(body, "time")
}

// Explain says what Handle would do.
func (c *clock) Explain(_ context.Context, p *packet.Packet) (packet.Verdict, string) {
	el, ok := request.ToHost(p)
	switch {
	case ok && disco.AsksInfo(p):
		disco.AddFeature(p, space)
		return packet.Pass, "adds to what " + p.To + " offers"
	case ok && el.NS() == space && p.Type == "get":
		return packet.Claim, "answers what time it is at " + p.To
	case ok && el.NS() == space:
		return packet.Refuses, "the time of a host can only be asked for"
	}
	return packet.Pass, "it does not ask a host for the time"
}
