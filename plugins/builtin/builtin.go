// Package builtin lists the services that are part of jabberd, in one place for
// all programs that link them.
package builtin

import (
	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/plugins/acme"
	"github.com/jabberii/server/plugins/admin"
	"github.com/jabberii/server/plugins/c2s"
	"github.com/jabberii/server/plugins/contact"
	"github.com/jabberii/server/plugins/events"
	"github.com/jabberii/server/plugins/http"
	"github.com/jabberii/server/plugins/landing"
	"github.com/jabberii/server/plugins/last"
	"github.com/jabberii/server/plugins/privacy"
	"github.com/jabberii/server/plugins/private"
	"github.com/jabberii/server/plugins/register"
	"github.com/jabberii/server/plugins/sdk/web"
	"github.com/jabberii/server/plugins/sm"
	"github.com/jabberii/server/plugins/time"
	"github.com/jabberii/server/plugins/vcard"
	"github.com/jabberii/server/plugins/version"
)

// Services returns the services that load starts by name. Those of one call share
// what is served over HTTP, as those of one process do.
func Services() []module.Module {
	routes := new(web.Routes)
	return []module.Module{
		acme.Module,
		admin.Module,
		c2s.With(routes),
		contact.Module,
		events.Module,
		http.With(routes),
		landing.With(routes),
		last.Module,
		privacy.Module,
		private.Module,
		register.Module,
		sm.Module,
		time.Module,
		vcard.Module,
		version.Module,
	}
}
