package config_test

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/jabberii/server/jabberd/config"
	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
)

// The modules here have the arguments that those of a server have, and do
// nothing. What New checks beyond the schema is there to be refused.

var everywhere = module.On(packet.Normal, packet.Session, packet.XDB, packet.Log)

type hostArgs struct {
	Name string `json:"label" label:"host name"`
}

type listenTLS struct {
	Listen string `json:"listen" doc:"Address for direct TLS."`
	Cert   string `json:"cert" required:"true" doc:"The file of the certificate."`
	Key    string `json:"key" secret:"true"`
}

type c2sArgs struct {
	Listen []string   `json:"listen" default:":5222" doc:"Addresses."`
	TLS    *listenTLS `json:"tls"`
	Limits struct {
		Rate float64     `json:"rate" default:"10"`
		Size module.Size `json:"size" default:"256KiB" doc:"The largest stanza."`
	} `json:"limits"`
}

type gateArgs struct {
	Register  []string `json:"registration" hosts:"register" doc:"Hosts with accounts for everybody."`
	WebSocket *struct {
		Path string `json:"path" default:"/ws"`
	} `json:"websocket" needs:"http"`
	Authority string `json:"client_ca" file:"authorities"`
	Named     []struct {
		Name string `json:"label" label:"host"`
		Cert string `json:"cert" required:"true" file:"certificate"`
		Key  string `json:"key" file:"key"`
	} `json:"certificate"`
}

type programArgs struct {
	Command []string          `json:"command" required:"true" file:"program"`
	Env     map[string]string `json:"env"`
}

type smArgs struct {
	Offline struct {
		Max int             `json:"max" default:"100" doc:"Messages that are kept for one user."`
		TTL module.Duration `json:"ttl" default:"30d"`
	} `json:"offline"`
}

type acceptArgs struct {
	Listen string `json:"listen" required:"true" doc:"The address to listen on"`
	Secret string `json:"secret" required:"true" secret:"true" doc:"What the other side proves to know."`
	Pings  bool   `json:"pings" default:"true"`
}

type execArgs struct {
	Command []string          `json:"command" required:"true" doc:"The program and its arguments."`
	Format  string            `json:"format" default:"xml" enum:"xml,json"`
	Env     map[string]string `json:"env"`
}

type rewrite struct {
	From string `json:"label" label:"text to replace"`
	To   string `json:"to" required:"true"`
}

type logFilterArgs struct {
	Level string   `json:"level" enum:"debug,info,warn,error"`
	Host  []string `json:"host"`
}

type nsArgs struct {
	Namespaces []string `json:"namespaces"`
	Except     []string `json:"except"`
}

type formatArgs struct {
	Text    string    `json:"text" default:"%t %h %l: %s"`
	Rewrite []rewrite `json:"rewrite"`
}

type rotation struct {
	Size module.Size     `json:"size" default:"10MiB"`
	Age  module.Duration `json:"age"`
}

type fileArgs struct {
	Path   string   `json:"path" required:"true" doc:"The file to write to."`
	Rotate rotation `json:"rotate"`
}

type cacheArgs struct {
	TTL   module.Duration `json:"ttl" default:"10m"`
	Size  module.Size     `json:"size" default:"64MiB"`
	Redis *struct {
		URL string `json:"url" required:"true" secret:"true"`
	} `json:"redis"`
}

type pathArgs struct {
	Path string `json:"path" default:"xdb" doc:"The folder."`
}

func handler[C any](check func(module.Env, C) error) func(module.Env, C) (packet.Handler, error) {
	return func(env module.Env, c C) (packet.Handler, error) {
		if check != nil {
			if err := check(env, c); err != nil {
				return nil, err
			}
		}
		return packet.HandlerFunc(nil), nil
	}
}

func needing(m module.Module, kinds ...packet.Kind) module.Module { m.Needs = kinds; return m }

func claiming(m module.Module, c module.Claims) module.Module { m.Claims = c; return m }

// catalog returns the modules of the tests.
func catalog() config.Catalog {
	host := module.Define("host", "Attaches the section to a host.", everywhere, handler(func(env module.Env, c hostArgs) error {
		if strings.Contains(c.Name, " ") {
			return module.BadArg("label", "%q is no host name", c.Name)
		}
		return env.Attach(c.Name)
	}))
	host.Passive = true
	session := module.On(packet.Session)
	both := module.On(packet.Normal, packet.Session)
	load := module.Module{Name: "load", Doc: "Loads a service.", Kinds: everywhere, Label: "name of the service", Services: []module.Module{
		module.Define("c2s", "Connections of clients.", session, handler(func(_ module.Env, c c2sArgs) error {
			for i, l := range c.Listen {
				if !strings.Contains(l, ":") {
					return module.BadArg(fmt.Sprintf("listen.%d", i), "%q has no port", l)
				}
			}
			return nil
		})),
		claiming(needing(module.Define("sm", "Sessions of users.", both, handler[smArgs](nil)), packet.Normal, packet.Session, packet.XDB), module.ClaimsRest),
		module.Define("register", "Accounts for everybody.", both, handler[struct{}](nil)),
		module.Define("http", "Pages.", session, handler[struct{}](nil)),
		module.Define("gate", "Connections of clients, with more.", session, handler[gateArgs](nil)),
		module.Define("muc", "Rooms.", module.On(packet.Normal), handler[struct{}](nil)),
	}}
	load.Other = func(path string) (*module.Module, error) {
		if filepath.Base(path) != "echo.so" {
			return nil, fmt.Errorf("%s is not there", filepath.Base(path))
		}
		echo := module.Define("echo", "Says it again.", module.On(packet.Normal), handler[pathArgs](nil))
		return &echo, nil
	}
	farm := module.Define("farm", "Other nodes.", everywhere, handler[struct{}](nil))
	farm.Attaches = true
	directory := module.Define("directory", "Accounts that are kept elsewhere.", module.On(packet.XDB), handler[programArgs](nil))
	directory.External = true
	return config.Catalog{
		Modules: []module.Module{
			host, load, farm, directory,
			module.Define("accept", "Components that connect.", both, handler(func(_ module.Env, c acceptArgs) error {
				if len(c.Secret) < 4 {
					return module.BadArg("secret", "it is too short to be one")
				}
				return nil
			})),
			module.Define("exec", "Runs a program.", module.On(packet.Normal, packet.Session, packet.Log), handler[execArgs](nil)),
			claiming(module.Define("filter", "Ends the chain for other entries.", module.On(packet.Log), handler[logFilterArgs](nil)), module.ClaimsNone),
			claiming(module.Define("format", "Writes entries as text.", module.On(packet.Log), handler(func(_ module.Env, c formatArgs) error {
				for i, r := range c.Rewrite {
					if r.To == r.From {
						return module.BadArg(fmt.Sprintf("rewrite.%d.to", i), "it changes nothing")
					}
				}
				return nil
			})), module.ClaimsNone),
			claiming(module.Define("file", "Appends to a file.", module.On(packet.Log), handler[fileArgs](nil)), module.ClaimsAll),
			claiming(module.Define("filter", "Passes on questions about some namespaces.", module.On(packet.XDB), handler[nsArgs](nil)), module.ClaimsNone),
			claiming(module.Define("tap", "Counts packets.", everywhere, handler[struct{}](nil)), module.ClaimsNone),
			claiming(module.Define("cache", "Remembers answers.", module.On(packet.XDB), handler(func(_ module.Env, c cacheArgs) error {
				if c.Size < 1<<10 {
					return module.BadArg("size", "a cache has 1KiB or more")
				}
				return nil
			})), module.ClaimsNone),
			claiming(module.Define("badger", "Stores in a folder.", module.On(packet.XDB), handler(func(_ module.Env, c pathArgs) error {
				if c.Path == "/" {
					return fmt.Errorf("the root is no folder for this")
				}
				return nil
			})), module.ClaimsAll),
		},
	}
}
