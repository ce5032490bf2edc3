// Plugins is the program of the built-in services, which load starts by name.
package main

import (
	"github.com/jabberii/server/basemods/load"
	"github.com/jabberii/server/plugins/builtin"
	"github.com/jabberii/server/plugins/sdk"
)

func main() { sdk.Serve(load.With(builtin.Services()...)) }
