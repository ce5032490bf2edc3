// Package version is the module that tells which software a host runs
// (XEP-0092).
package version

import (
	"cmp"
	"runtime/debug"
	"strings"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sdk/fact"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

const space = "jabber:iq:version"

// Args are the arguments of version.
type Args struct {
	Name    string `json:"name" default:"jabberd" doc:"Name of the software."`
	Version string `json:"version" default:"{build}" doc:"Its version; {build} is the one that the program was built from. Empty tells none."`
	OS      string `json:"os" doc:"The operating system; by default it is not told."`
}

// Module is the service as a configuration names it: load "version".
var Module = define()

func define() module.Module {
	m := module.Define("version", "Tells which software a host runs (XEP-0092), and no more than the file says.",
		module.On(packet.Normal, packet.Session), New)
	m.XEPs = []module.XEP{{Number: 92, Name: "Software Version", Version: "1.1"}}
	return m
}

// New makes the handler.
func New(env module.Env, a Args) (packet.Handler, error) {
	if a.Name == "" {
		return nil, module.BadArg("name", "is empty; who is to tell nothing is left out of the file")
	}
	body := xml.AppendStart(nil, "query", space)
	body = xml.AppendElement(body, "name", "", a.Name)
	body = xml.AppendElement(body, "version", "", strings.ReplaceAll(a.Version, "{build}", build()))
	if a.OS != "" {
		body = xml.AppendElement(body, "os", "", a.OS)
	}
	body = xml.AppendEnd(body, "query")
	return &fact.Handler{Env: env, NS: space, What: "its software", Tell: func() []byte { return body }}, nil
}

// build is the version of the program, (devel) of a working copy.
func build() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "(devel)"
	}
	return cmp.Or(info.Main.Version, "(devel)")
}
