package tree

import (
	"fmt"
	"math"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
)

var errServerHost = fmt.Errorf("%s is the server's own host; nothing can be attached to it", packet.ServerHost)

// attachOwn makes the branch of packet.ServerHost: one section beside those of
// the configuration. Every process has it, so that none takes the question for
// one of its own storage; only the core's has a handler.
func (e *Engine) attachOwn() {
	s := &section{
		index: math.MaxUint32, id: "jabberd", kinds: []packet.Kind{packet.Normal, packet.XDB}, place: "the server itself",
		local: e.config.Core, timeout: defaultTimeout, queue: defaultQueue,
	}
	if e.config.Own != nil {
		s.links = []link{{Link: module.Link{Module: "jabberd"}}}
		l := &s.links[0]
		l.handler = e.config.Own(&env{e: e, s: s, l: l})
		s.steps = []step{{handler: l.handler}}
	}
	e.attach(s, packet.ServerHost)
}
