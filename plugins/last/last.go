// Package last is the module that tells how long a host has been up (XEP-0012
// section 5). When an account was there last is the session manager's to say.
package last

import (
	"strconv"
	"time"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sdk/fact"
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

// New makes the handler. The host is up from then on.
func New(env module.Env, _ Args) (packet.Handler, error) {
	since := time.Now()
	return &fact.Handler{Env: env, NS: space, What: "its uptime", Tell: func() []byte {
		seconds := strconv.FormatInt(int64(time.Since(since)/time.Second), 10)
		return xml.AppendEmpty(nil, "query", space, "seconds", seconds)
	}}, nil
}
