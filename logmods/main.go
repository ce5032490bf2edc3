// Logmods is the program with the modules of log chains: those that choose and
// shape entries, and those that write them somewhere.
package main

import (
	"github.com/jabberii/server/logmods/file"
	"github.com/jabberii/server/logmods/filter"
	"github.com/jabberii/server/logmods/format"
	"github.com/jabberii/server/logmods/stderr"
	"github.com/jabberii/server/logmods/stdout"
	"github.com/jabberii/server/logmods/syslog"
	"github.com/jabberii/server/logmods/to"
	"github.com/jabberii/server/plugins/sdk"
)

func main() {
	sdk.Serve(filter.Module, format.Module, file.Module, stdout.Module, stderr.Module, syslog.Module, to.Module)
}
