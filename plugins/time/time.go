// Package time is the module that tells the time at a host (XEP-0202).
package time

import (
	"time"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sdk/fact"
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

// New makes the handler.
func New(env module.Env, a Args) (packet.Handler, error) {
	zone, err := time.LoadLocation(a.Zone)
	if err != nil {
		return nil, module.BadArg("zone", "there is no time zone %q", a.Zone)
	}
	return &fact.Handler{Env: env, NS: space, What: "the time", Tell: func() []byte { return answer(time.Now().In(zone)) }}, nil
}

// answer writes a moment as the offset of its zone and in UTC (XEP-0082).
func answer(now time.Time) []byte {
	body := xml.AppendStart(nil, "time", space)
	body = xml.AppendElement(body, "tzo", "", now.Format("-07:00"))
	body = xml.AppendElement(body, "utc", "", now.UTC().Format("2006-01-02T15:04:05Z"))
	return xml.AppendEnd(body, "time")
}
