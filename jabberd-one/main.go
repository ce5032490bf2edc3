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
	"github.com/jabberii/server/plugins/acme"
	"github.com/jabberii/server/plugins/admin"
	"github.com/jabberii/server/plugins/c2s"
	"github.com/jabberii/server/plugins/contact"
	"github.com/jabberii/server/plugins/events"
	"github.com/jabberii/server/plugins/http"
	"github.com/jabberii/server/plugins/last"
	"github.com/jabberii/server/plugins/privacy"
	"github.com/jabberii/server/plugins/private"
	"github.com/jabberii/server/plugins/register"
	"github.com/jabberii/server/plugins/sdk/web"
	"github.com/jabberii/server/plugins/sm"
	"github.com/jabberii/server/plugins/time"
	"github.com/jabberii/server/plugins/vcard"
	"github.com/jabberii/server/plugins/version"
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
		host.Module, fork.Module, exec.Module, accept.Module, connect.Module, services(),
		filter.Module, cache.Module, memory.Module, file.Module, badger.Module, ldap.Module,
		logfilter.Module, format.Module, logfile.Module, stdout.Module, stderr.Module, syslog.Module, to.Module,
	}
}

func services() module.Module {
	routes := new(web.Routes)
	return load.With(
		acme.Module,
		admin.Module,
		c2s.With(routes),
		contact.Module,
		events.Module,
		http.With(routes),
		last.Module,
		privacy.Module,
		private.Module,
		register.Module,
		sm.Module,
		time.Module,
		vcard.Module,
		version.Module,
	)
}
