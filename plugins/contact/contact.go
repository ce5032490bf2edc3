// Package contact is the module that tells whom to turn to about a host
// (XEP-0157): addresses in a form of its service discovery.
package contact

import (
	"context"
	"net/url"
	"strconv"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sdk/disco"
	"github.com/jabberii/server/plugins/xmpp/form"
)

// Args are the arguments of contact: addresses for each purpose.
type Args struct {
	Abuse    []string `json:"abuse" doc:"Where to complain about users of the host."`
	Admin    []string `json:"admin" doc:"Who runs it."`
	Feedback []string `json:"feedback" doc:"Where to say what one thinks of it."`
	Sales    []string `json:"sales" doc:"Where to buy."`
	Security []string `json:"security" doc:"Where to report a weakness."`
	Status   []string `json:"status" doc:"Where it says whether it is up."`
	Support  []string `json:"support" doc:"Where users find help."`
}

// Module is the service as a configuration names it: load "contact".
var Module = define()

func define() module.Module {
	m := module.Define("contact", "Tells whom to turn to about a host (XEP-0157): addresses as URIs, "+"such as xmpp:admin@example.org, mailto:abuse@example.org or https://example.org/status.",
		module.On(packet.Normal, packet.Session), New)
	m.Claims = module.ClaimsNone
	m.XEPs = []module.XEP{{Number: 157, Name: "Contact Addresses for XMPP Services", Version: "1.1.1"}}
	return m
}

type contact struct{ form []byte }

// New makes the handler.
func New(_ module.Env, a Args) (packet.Handler, error) {
	f := form.Form{Type: form.Result, FormType: "http://jabber.org/network/serverinfo"}
	for _, purpose := range []struct {
		name      string
		addresses []string
	}{
		{"abuse", a.Abuse}, {"admin", a.Admin}, {"feedback", a.Feedback}, {"sales", a.Sales},
		{"security", a.Security}, {"status", a.Status}, {"support", a.Support},
	} {
		for i, address := range purpose.addresses {
			if u, err := url.Parse(address); err != nil || u.Scheme == "" {
				return nil, module.BadArg(purpose.name+"."+strconv.Itoa(i), "%q is no URI; write it like xmpp:ann@example.org, mailto:ann@example.org or https://example.org/", address)
			}
		}
		if len(purpose.addresses) > 0 {
			f.Fields = append(f.Fields, form.Field{Var: purpose.name + "-addresses", Type: form.ListMulti, Values: purpose.addresses})
		}
	}
	if len(f.Fields) == 0 {
		return nil, module.BadArg("admin", "there is no address at all")
	}
	return &contact{f.Append(nil)}, nil
}

// Handle puts the form into what the host says of itself.
func (c *contact) Handle(_ context.Context, p *packet.Packet) (packet.Verdict, error) {
	if disco.AsksInfo(p) && disco.OfHost(p) {
		disco.AddForm(p, c.form)
	}
	return packet.Pass, nil
}

// Explain says what Handle would do.
func (c *contact) Explain(_ context.Context, p *packet.Packet) (packet.Verdict, string) {
	if disco.AsksInfo(p) && disco.OfHost(p) {
		disco.AddForm(p, c.form)
		return packet.Pass, "adds whom to turn to about " + p.To
	}
	return packet.Pass, "it does not ask what a host is"
}
