// Basemods is the program of the base modules: those that tie hosts, programs
// and other servers to the delivery tree.
package main

import (
	"github.com/jabberii/server/basemods/accept"
	"github.com/jabberii/server/basemods/connect"
	"github.com/jabberii/server/basemods/exec"
	"github.com/jabberii/server/basemods/fork"
	"github.com/jabberii/server/basemods/host"
	"github.com/jabberii/server/plugins/sdk"
)

func main() { sdk.Serve(accept.Module, connect.Module, host.Module, fork.Module, exec.Module) }
