// Jabberd is the core: the configuration and the delivery tree, and the
// processes of the modules that are hung on it. It links no module.
package main

import (
	"os"

	"github.com/jabberii/server/jabberd/command"
)

func main() { os.Exit(command.Main(os.Args[1:], nil)) }
