// Package syslog is the log module that hands entries to the system's log
// daemon or to one elsewhere.
package syslog

import (
	"context"
	"os"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/logmods/sink"
)

type args struct {
	Network  string `json:"network" default:"unix" enum:"unix,udp,tcp" doc:"How the daemon is reached: a datagram socket on this machine, UDP (RFC 5426) or TCP with octet counting (RFC 6587)."`
	Address  string `json:"address" default:"/dev/log" doc:"The socket's path, or host:port."`
	Form     string `json:"form" enum:"rfc5424,local" doc:"The form of messages: RFC 5424, or the shorter one that daemons expect on a local socket. Without it, \"local\" on unix, else \"rfc5424\"."`
	Facility string `json:"facility" default:"daemon" enum:"kern,user,mail,daemon,auth,syslog,lpr,news,uucp,cron,authpriv,ftp,local0,local1,local2,local3,local4,local5,local6,local7" doc:"The facility of messages."`
	Tag      string `json:"tag" default:"jabberd" doc:"The name of the program that messages bear."`
}

// Module is syslog {}.
var Module = module.Define("syslog",
	"Hands each entry to a syslog daemon, and claims it. What the daemon does with it cannot be known.",
	module.On(packet.Log), New)

// A daemon is the handler: a sink and its connection.
type daemon struct {
	*sink.Sink
	link *link
}

// New makes a handler. It connects with the first entry.
func New(env module.Env, a args) (packet.Handler, error) {
	if a.Form == "" {
		a.Form = "rfc5424"
		if a.Network == "unix" {
			a.Form = "local"
		}
	}
	if a.Network != "unix" && !hasPort(a.Address) {
		return nil, module.BadArg("address", "%q is no host:port", a.Address)
	}
	if !printable(a.Tag, 48) {
		return nil, module.BadArg("tag", "%q is not 1 to 48 printable ASCII characters without space", a.Tag)
	}
	host, err := os.Hostname()
	if err != nil || !printable(host, 255) {
		host = "-"
	}
	form := form{local: a.Form == "local", facility: facility(a.Facility), host: host, tag: a.Tag}
	d := &daemon{link: &link{network: a.Network, address: a.Address}}
	d.Sink = sink.New("syslog "+a.Address, env.Log(), func(ctx context.Context, p *packet.Packet) error {
		return d.link.send(ctx, form.message(p))
	})
	return d, nil
}

// Close closes the connection.
func (d *daemon) Close() error { return d.link.close() }
