// Package privacy is the module that stands before those which answer for an
// account, and keeps requests away from them that come from somebody whom the
// account has blocked (XEP-0191), or whom its default privacy list does not let
// in (XEP-0016).
//
// The lists are the session manager's, which looks after all that it handles
// itself: messages, presence, and requests to sessions.
package privacy

import (
	"context"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
	stored "github.com/jabberii/server/plugins/sdk/privacy"
	"github.com/jabberii/server/plugins/sdk/request"
	"github.com/jabberii/server/plugins/sdk/xdb"
	"github.com/jabberii/server/plugins/xmpp/ns"
	"github.com/jabberii/server/plugins/xmpp/privacy"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

// Args are the arguments of privacy: none.
type Args struct{}

// Module is the service as a configuration names it: load "privacy".
var Module = define()

func define() module.Module {
	m := module.Define("privacy", "Keeps requests away from the modules behind it that come from somebody whom an account has blocked "+
		"(XEP-0191) or does not let in (XEP-0016).", module.On(packet.Normal, packet.Session), New)
	m.Claims = module.ClaimsNone
	m.Needs = module.On(packet.Normal, packet.XDB)
	return m
}

type gate struct{ store *xdb.Store }

// New makes the handler.
func New(env module.Env, _ Args) (packet.Handler, error) {
	return &gate{xdb.New(env, env.Section())}, nil
}

// Handle refuses who is to think that nobody is there.
func (g *gate) Handle(ctx context.Context, p *packet.Packet) (packet.Verdict, error) {
	denied, err := g.denies(ctx, p)
	if err == nil && denied {
		err = packet.Refuse("service-unavailable", "")
	}
	return packet.Pass, err
}

// denies reports whether p asks an account that does not let its sender in.
func (g *gate) denies(ctx context.Context, p *packet.Packet) (bool, error) {
	if !concerns(p) {
		return false, nil
	}
	list, err := stored.Default(ctx, g.store, p.To)
	if err != nil || list == nil {
		return false, err
	}
	var contact privacy.Contact
	if list.AsksRoster() {
		if contact, err = g.contact(ctx, p.To, packet.Bare(p.From)); err != nil {
			return false, err
		}
	}
	return list.Denies(privacy.IQ, p.From, func(string) privacy.Contact { return contact }), nil
}

// concerns reports whether p is a request to an account of somebody else, who is
// not its server, and one that others get an answer to.
func concerns(p *packet.Packet) bool {
	return request.Is(p) && packet.Local(p.To) != "" && !request.IsOwn(p) && p.From != packet.Domain(p.To) && !stored.IsOwners(p)
}

// contact returns what the roster of an account says of an address.
func (g *gate) contact(ctx context.Context, account, bare string) (privacy.Contact, error) {
	it, found, err := g.store.Get(ctx, account, "roster", bare)
	if err != nil || !found {
		return privacy.Contact{}, err
	}
	el, ok := xml.First(it.Value, ns.Roster)
	if !ok || el.Attr("listed") == "false" {
		return privacy.Contact{}, nil
	}
	c := privacy.Contact{Subscription: el.Attr("subscription")}
	for child := range el.Elements() {
		if child.Is("group", ns.Roster) {
			c.Groups = append(c.Groups, child.Text())
		}
	}
	return c, nil
}

// Explain says what Handle would do.
func (g *gate) Explain(ctx context.Context, p *packet.Packet) (packet.Verdict, string) {
	if !concerns(p) {
		return packet.Pass, "it is no request that an account answers to others"
	}
	switch denied, err := g.denies(ctx, p); {
	case err != nil:
		return packet.Pass, "unless " + p.To + " does not let in what " + p.From + " asks, which storage does not say: " + err.Error()
	case denied:
		return packet.Refuses, p.To + " does not let in what " + p.From + " asks"
	}
	return packet.Pass, p.To + " lets in what " + p.From + " asks"
}
