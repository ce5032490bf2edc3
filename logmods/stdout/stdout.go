// Package stdout is the log module that writes entries to the server's
// standard output, a line each.
package stdout

import (
	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/logmods/sink"
	"github.com/jabberii/server/plugins/sdk/console"
)

type args struct{}

// Module is stdout {}.
var Module = module.Define("stdout",
	"Writes each entry as a line to the server's standard output, and claims it.",
	module.On(packet.Log), New)

// A stdout is the handler.
type stdout struct {
	*sink.Sink
	to *console.Stream
}

// New makes a handler.
func New(env module.Env, _ args) (packet.Handler, error) {
	to := console.Stdout()
	return &stdout{sink.New("stdout", env.Log(), sink.Lines(to)), to}, nil
}

// Close gives the stream up.
func (s *stdout) Close() error { return s.to.Close() }
