package sdktest

import (
	"strings"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/xmpp/stanza"
)

// Domain is the host of the users of [Users].
const Domain = "example.org"

// Users is a plan for modules that stand before the session manager: a service
// section for [Domain] with blocks in it, behind which a sink takes what they
// pass and what goes to users; stores for all; a sink for all other hosts.
func Users(modules []module.Module, store module.Module, chain ...module.Link) Plan {
	chain = append(append([]module.Link{Host(Domain)}, chain...), Sink())
	return Plan{
		Modules: append(modules, store),
		Sections: []module.Section{
			Service("users", chain...),
			Section("store", packet.XDB, Host("*"), Block(store.Name, `{}`)),
			Sinks("*", packet.Normal),
		},
	}
}

// IQ has an address ask another, and returns what the next packet for a sink
// is: "result BODY" and "error CONDITION" for the answer, "passed BODY" if the
// modules of [Users] have passed what was asked.
func (h *Harness) IQ(from, to, kind, payload string) string {
	h.t.Helper()
	h.Deliver(&packet.Packet{Name: "iq", Type: kind, ID: "1", From: from, To: to, Body: []byte(payload)})
	p := h.Next()
	switch {
	case p.To == to && p.From == from:
		return strings.TrimSpace("passed " + string(p.Body))
	case p.To != from || p.From != to || p.ID != "1":
		h.t.Errorf("%s to %s is answered by %s %s from %s to %s", kind, to, p.Name, p.Type, p.From, p.To)
	case p.Type == "error":
		return "error " + string(stanza.ParseError(p.Body).Condition)
	}
	return strings.TrimSpace(p.Type + " " + string(p.Body))
}
