// Plugins is the program of the built-in services, which load starts by name.
package main

import (
	"github.com/jabberii/server/basemods/load"
	"github.com/jabberii/server/plugins/c2s"
	"github.com/jabberii/server/plugins/sdk"
	"github.com/jabberii/server/plugins/sm"
)

func main() { sdk.Serve(load.With(c2s.Module, sm.Module)) }
