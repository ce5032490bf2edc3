// Jabberd-one is jabberd with all modules linked in: what jabberd becomes where
// the configuration says isolation = "none". Everything runs in one process.
package main

import (
	"os"

	"github.com/jabberii/server/basemods/accept"
	"github.com/jabberii/server/basemods/connect"
	"github.com/jabberii/server/basemods/exec"
	"github.com/jabberii/server/basemods/fork"
	"github.com/jabberii/server/basemods/host"
	"github.com/jabberii/server/basemods/load"
	"github.com/jabberii/server/jabberd/command"
	"github.com/jabberii/server/jabberd/module"
	logfile "github.com/jabberii/server/logmods/file"
	logfilter "github.com/jabberii/server/logmods/filter"
	"github.com/jabberii/server/logmods/format"
	"github.com/jabberii/server/logmods/stderr"
	"github.com/jabberii/server/logmods/stdout"
	"github.com/jabberii/server/logmods/syslog"
	"github.com/jabberii/server/logmods/to"
	"github.com/jabberii/server/plugins/builtin"
	"github.com/jabberii/server/xdb/badger"
	"github.com/jabberii/server/xdb/cache"
	"github.com/jabberii/server/xdb/file"
	"github.com/jabberii/server/xdb/filter"
	"github.com/jabberii/server/xdb/ldap"
	"github.com/jabberii/server/xdb/memory"
)

func main() { os.Exit(command.Main(os.Args[1:], modules())) }

func modules() []module.Module {
	return []module.Module{
		host.Module, fork.Module, exec.Module, accept.Module, connect.Module, load.With(builtin.Services()...),
		filter.Module, cache.Module, memory.Module, file.Module, badger.Module, ldap.Module,
		logfilter.Module, format.Module, logfile.Module, stdout.Module, stderr.Module, syslog.Module, to.Module,
	}
}
