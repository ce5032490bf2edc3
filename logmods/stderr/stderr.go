// Package stderr is the log module that writes entries to the server's
// standard error output, a line each.
package stderr

import (
	"io"
	"os"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/logmods/sink"
)

type args struct{}

// Module is stderr {}.
var Module = module.Define("stderr",
	"Writes each entry as a line to the server's standard error output, and claims it.",
	module.On(packet.Log), New)

// New makes a handler that writes to what os.Stderr is when an entry comes; a
// program that serves modules replaces it by a way to the server's.
func New(env module.Env, _ args) (packet.Handler, error) {
	return sink.New("stderr", env.Log(), sink.Lines(func() io.Writer { return os.Stderr })), nil
}
