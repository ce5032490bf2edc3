package c2s

import (
	"net"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/plugins/sdk/origin"
)

// Strangers are clients that are not logged in: nobody knows yet who they are, and all
// that there is of them is an address.
type strangerArgs struct {
	Address int `json:"per_address" default:"100" doc:"Connections at once from one address, of IPv6 one /64. Those from this machine do not count, since they may be a proxy's. 0 is any number."`
	Max     int `json:"max" default:"10000" doc:"Connections at once from all addresses. 0 is any number."`
}

func (a *strangerArgs) check() error {
	if a.Address < 0 || a.Max < 0 {
		return module.BadArg("unauthenticated", "a number of connections is not negative")
	}
	return nil
}

// limit sets how many connections there may be.
func (s *Service) limit() {
	log := s.env.Log()
	s.open = &origin.Limit{What: "connections", All: s.args.Max, Log: log}
	s.strangers = &origin.Limit{
		What: "connections that are not logged in", Each: s.args.Strangers.Address, All: s.args.Strangers.Max, Log: log,
	}
}

// meet counts a client that is not logged in, and reports whether there is room for it.
// Live forgets it.
func (s *Service) meet(client net.Addr) bool { return s.strangers.Enter(origin.Counted(client)) }
