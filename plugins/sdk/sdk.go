// Package sdk is the whole main function of a plugin program.
//
//	package main
//
//	import (
//		"github.com/jabberii/server/plugins/sdk"
//
//		"example.com/mine/greeter"
//	)
//
//	func main() { sdk.Serve(greeter.Module) }
//
// The program's modules are block types once a configuration names it:
//
//	plugin "mine" { path = "/usr/libexec/mine" }
//
//	service "greet.example.org" {
//	  host "greet.example.org" {}
//	  greeter { text = "hello" }
//	}
//
// jabberd starts the program, makes handlers from the blocks, and hands packets
// over. Nothing of that is visible in a module, which is written against the
// packages module and packet alone, and runs the same when it is linked into
// the server. What it logs through its environment arrives in the server's log
// with level and fields; what it prints arrives there line by line.
//
// "PROGRAM describe" prints the modules. "PROGRAM --debug" waits for jabberd to
// attach and prints the line for the configuration, so that the program can run
// under a debugger.
//
// Only main packages import sdk, since it links the protocol; its subpackages
// are for modules.
package sdk

import (
	"os"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/wire"
)

// Serve serves modules to the jabberd that has started the program, and exits.
func Serve(modules ...module.Module) { os.Exit(wire.Main(os.Args[1:], modules)) }
