// Package halt is how the server's own parts have it end, or begin anew: an IQ to the
// server itself, packet.ServerHost.
//
// It is answered if it comes from the server's commands or from a host with sessions, in
// whose chain a module has decided who may. No client, server or component can send as
// one of these. The answer comes at once; an error says why the server goes on.
package halt

import (
	"context"
	"strconv"
	"time"

	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sdk/sessions"
	"github.com/jabberii/server/plugins/xmpp/ns"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

// NS is the namespace of what is asked.
const NS = "urn:jabberd:halt"

// MaxDelay is the longest time that an order may be given ahead.
const MaxDelay = time.Hour

// An Order has the server end: what it has begun is done, clients are told, processes
// stop.
type Order struct {
	Restart bool          // and begin anew, with the configuration as it is then
	After   time.Duration // in whole seconds, MaxDelay at most
}

// Ask gives an order, in the name of a host; "" is for the server's commands. The error
// is a *packet.Reject if the server goes on: there is an order already, or the
// configuration that it would begin with has mistakes.
func Ask(ctx context.Context, a sessions.Asker, host string, o Order) error {
	how := "stop"
	if o.Restart {
		how = "restart"
	}
	_, err := a.Request(ctx, &packet.Packet{
		To: packet.ServerHost, From: host, Name: "iq", Type: "set",
		Body: xml.AppendEmpty(nil, how, NS, "after", strconv.Itoa(int(o.After/time.Second))),
	})
	return err
}

// Parse reads an order. mine is false if a packet has none; the error is a
// *packet.Reject.
func Parse(p *packet.Packet) (o Order, mine bool, err error) {
	if p.Name != "iq" || p.Type != "set" {
		return o, false, nil
	}
	el, ok := xml.First(p.Body, ns.Client)
	if !ok || el.NS() != NS {
		return o, false, nil
	}
	seconds, err := strconv.Atoi(el.Attr("after"))
	o = Order{Restart: el.Name() == "restart", After: time.Duration(seconds) * time.Second}
	if err != nil || seconds < 0 || seconds > int(MaxDelay/time.Second) || !o.Restart && el.Name() != "stop" {
		return o, true, packet.Refuse("bad-request", "")
	}
	return o, true, nil
}
