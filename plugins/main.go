// Plugins is the program of the built-in services, which load starts by name.
package main

import (
	"github.com/jabberii/server/basemods/load"
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
	"github.com/jabberii/server/plugins/sdk"
	"github.com/jabberii/server/plugins/sdk/web"
	"github.com/jabberii/server/plugins/sm"
	"github.com/jabberii/server/plugins/time"
	"github.com/jabberii/server/plugins/vcard"
	"github.com/jabberii/server/plugins/version"
)

func main() {
	routes := new(web.Routes)
	sdk.Serve(load.With(
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
	))
}
