// Package stdout is the log module that writes entries to the server's
// standard output, a line each.
package stdout

import (
	"io"
	"os"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/logmods/sink"
)

type args struct{}

// Module is stdout {}.
var Module = module.Define("stdout",
	"Writes each entry as a line to the server's standard output, and claims it.",
	module.On(packet.Log), New)

// New makes a handler that writes to what os.Stdout is when an entry comes; a
// program that serves modules replaces it by a way to the server's.
func New(env module.Env, _ args) (packet.Handler, error) {
	return sink.New("stdout", env.Log(), sink.Lines(func() io.Writer { return os.Stdout })), nil
}
