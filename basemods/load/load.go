// Package load is the module that starts a service in its process: a built-in
// one by name, or one in a Go shared object by path.
package load

import (
	"slices"
	"strings"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
)

// With returns the module load "NAME" { }, which starts one of services. What
// is in the block are the service's arguments. A name with a slash or the ending
// .so is the path of a shared object that has a service.
func With(services ...module.Module) module.Module {
	m := module.Module{
		Name:  "load",
		Doc:   "Starts a service: a built-in one by its name, or one in a Go shared object by its path.",
		Label: "name of the service, or path of a .so",
		// A service says itself which sections it is for; a shared object may be for any.
		Kinds:    module.On(packet.Normal, packet.Session, packet.XDB, packet.Log),
		Services: services,
	}
	m.Other = func(label string) (*module.Module, error) {
		if !strings.Contains(label, "/") && !strings.HasSuffix(label, ".so") {
			return nil, module.BadArg("label", "there is no service named %q; there are %s", label, names(services))
		}
		s, err := open(label)
		if err != nil {
			return nil, module.BadArg("label", "%v", err)
		}
		return s, nil
	}
	return m
}

func names(services []module.Module) string {
	var list []string
	for _, s := range services {
		list = append(list, s.Name)
	}
	slices.Sort(list)
	return strings.Join(list, ", ")
}
