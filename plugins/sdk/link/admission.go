package link

import (
	"sync/atomic"
	"time"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sdk/hosts"
)

// SpeaksFor returns what [Config.Admit] is: whether the peer may speak for a
// domain. The names are prepared hosts as in the tree ("*.example.org"); without
// any, the peer speaks for what no section but env's own serves.
func SpeaksFor(env module.Env, names []string) func(domain string) bool {
	if len(names) > 0 {
		return func(domain string) bool { return hosts.MatchAny(names, domain) }
	}
	var own atomic.Pointer[snapshot]
	return func(domain string) bool {
		if !env.Serves(packet.Normal, domain) {
			return true
		}
		s := own.Load()
		if now := time.Now(); s == nil || now.Sub(s.at) > time.Second { // listing them takes time
			s = &snapshot{now, env.Hosts()}
			own.Store(s)
		}
		return hosts.Below(s.hosts, domain)
	}
}

// A snapshot is what hosts a section had at a time.
type snapshot struct {
	at    time.Time
	hosts []string
}
