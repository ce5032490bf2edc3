// Package stderr is the log module that writes entries to the server's
// standard error output, a line each.
package stderr

import (
	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/logmods/sink"
	"github.com/jabberii/server/plugins/sdk/console"
)

type args struct{}

// Module is stderr {}.
var Module = module.Define("stderr",
	"Writes each entry as a line to the server's standard error output, and claims it.",
	module.On(packet.Log), New)

// A stderr is the handler.
type stderr struct {
	*sink.Sink
	to *console.Stream
}

// New makes a handler.
func New(env module.Env, _ args) (packet.Handler, error) {
	to := console.Stderr()
	return &stderr{sink.New("stderr", env.Log(), sink.Lines(to)), to}, nil
}

// Close gives the stream up.
func (s *stderr) Close() error { return s.to.Close() }
