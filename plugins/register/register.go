// Package register is the module with which people get an account themselves, and give
// it up (XEP-0077), by invitation (XEP-0401, XEP-0445) if the file does not say
// otherwise.
//
// What a client asks before it has an account comes as a packet of kind session from
// nobody, see newcomer.go; what it asks for its account as an IQ, see account.go.
// Invitations are made by commands (invite.go) and used by newcomers or by others who
// want to become contacts (contact.go).
package register

import (
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sdk/disco"
	"github.com/jabberii/server/plugins/sdk/request"
	"github.com/jabberii/server/plugins/sdk/xdb"
	"github.com/jabberii/server/plugins/xmpp/command"
	"github.com/jabberii/server/plugins/xmpp/jid"
	"github.com/jabberii/server/plugins/xmpp/registration"
)

// Args are the arguments of register.
type Args struct {
	Who      string     `json:"who" default:"invited" enum:"invited,anybody,nobody" doc:"Who may register an account: those who have an invitation, anybody, or nobody, which leaves what is for those who have one."`
	Limit    limitArgs  `json:"limit" doc:"How many accounts may be registered without an invitation."`
	Reserved []string   `json:"reserved" default:"abuse,admin,administrator,hostmaster,info,jabber,noc,noreply,postmaster,root,security,server,support,sysadmin,webmaster,www,xmpp" doc:"Usernames that nobody gets, but by an invitation for the name."`
	Length   int        `json:"min_length" default:"8" doc:"The fewest characters that a password may have."`
	Text     string     `json:"instructions" default:"Choose a username and a password." doc:"What clients show to who registers."`
	Change   bool       `json:"change" default:"true" doc:"Whether clients may change the password of their account."`
	Remove   bool       `json:"remove" default:"true" doc:"Whether clients may remove their account, with all that it has."`
	Invite   inviteArgs `json:"invite" doc:"Invitations that clients make. Those of the command jabberd invite need nothing here."`
}

type limitArgs struct {
	Address int             `json:"per_address" default:"5" doc:"Attempts from one address, of IPv6 one /64, within window; one that finds the name taken counts. 0 is any number."`
	Total   int             `json:"total" default:"100" doc:"Attempts from all addresses within window. 0 is any number."`
	Window  module.Duration `json:"window" default:"1h" doc:"The time in which as many attempts as are allowed are forgotten."`
}

type inviteArgs struct {
	By       string          `json:"by" default:"users" enum:"users,admins,nobody" doc:"Who may invite."`
	Admins   []string        `json:"admins" doc:"Addresses of accounts that may make an invitation for a certain username, and as many as they like."`
	Lifetime module.Duration `json:"lifetime" default:"7d" doc:"How long an invitation can be used."`
	Max      int             `json:"max" default:"10" doc:"Invitations of one account that can be used at a time."`
	Page     string          `json:"page" doc:"The URL of the page that shows an invitation (module landing), as the world reaches it, without the token at its end: https://{host}/invite/. {host} stands for the host. Then invitations come with their link."`
}

// Module is the service as a configuration names it: load "register".
var Module = define()

func define() module.Module {
	m := module.Define("register", "Lets clients register an account (XEP-0077), by invitation (XEP-0401, XEP-0445) or without, change its password, and remove it.",
		module.On(packet.Normal, packet.Session), New)
	m.Needs = module.On(packet.Normal, packet.Session, packet.XDB)
	m.XEPs = []module.XEP{
		{Number: 77, Name: "In-Band Registration", Version: "2.4", Note: "a username and a password"},
		{Number: 379, Name: "Pre-Authenticated Roster Subscription", Version: "0.3.3", Note: "the server answers for its users"},
		{Number: 401, Name: "Ad-hoc Account Invitation Generation", Version: "0.6.0"},
		{Number: 445, Name: "Pre-Authenticated In-Band Registration", Version: "0.2.0"},
	}
	return m
}

type service struct {
	env      module.Env
	args     Args
	admins   []string
	store    *xdb.Store
	asker    *request.Asker
	attempts attempts
}

// New makes the handler.
func New(env module.Env, a Args) (packet.Handler, error) {
	s := &service{env: env, args: a, store: xdb.New(env, env.Section()), asker: request.NewAsker(env)}
	switch {
	case a.Limit.Address < 0:
		return nil, module.BadArg("limit.per_address", "must not be negative")
	case a.Limit.Total < 0:
		return nil, module.BadArg("limit.total", "must not be negative")
	case a.Limit.Window <= 0:
		return nil, module.BadArg("limit.window", "must be longer than nothing")
	case a.Length < 1 || a.Length > 1000:
		return nil, module.BadArg("min_length", "must be between 1 and 1000")
	case a.Invite.Lifetime.Std() < time.Minute:
		return nil, module.BadArg("invite.lifetime", "must be at least 1m")
	case !isPage(a.Invite.Page):
		return nil, module.BadArg("invite.page", "%q is no URL that ends with a slash; write it like https://{host}/invite/", a.Invite.Page)
	case a.Invite.Max < 1:
		return nil, module.BadArg("invite.max", "must be at least 1")
	}
	for i, name := range a.Reserved {
		if j, err := jid.New(name, "example.org", ""); err != nil || j.Local() != name {
			return nil, module.BadArg("reserved."+strconv.Itoa(i), "%q is no username; write it in lower case", name)
		}
	}
	for i, text := range a.Invite.Admins {
		address, err := jid.Parse(text)
		if err != nil || address.Local() == "" || !address.IsBare() {
			return nil, module.BadArg("invite.admins."+strconv.Itoa(i), "%q is no address of an account; write it like ann@example.org", text)
		}
		s.admins = append(s.admins, address.String())
	}
	s.attempts.init(a.Limit)
	return s, nil
}

// Handle answers who has no account and who has one, and counts on invitations.
func (s *service) Handle(ctx context.Context, p *packet.Packet) (packet.Verdict, error) {
	switch {
	case p.Name == "message":
		return packet.Pass, nil
	case isNewcomer(p):
		return s.newcomer(ctx, p)
	case p.Kind != packet.Normal:
		return packet.Pass, nil
	case isPreauthenticated(p):
		return packet.Pass, s.befriend(ctx, p)
	case s.asker.Take(p):
		return packet.Claim, nil
	}
	body, mine, err := s.answer(ctx, p)
	if err != nil || !mine {
		return packet.Pass, err
	}
	return packet.Claim, s.env.Deliver(ctx, request.Result(p, body))
}

// answer answers a request, and reports whether it is one for this module.
func (s *service) answer(ctx context.Context, p *packet.Packet) (body []byte, mine bool, err error) {
	if s.advertise(p) || !request.Is(p) {
		return nil, false, nil
	}
	el, ok := request.ToHost(p)
	if own, isOwn := request.ToAccount(p); isOwn && request.IsOwn(p) {
		el, ok = own, true
	}
	switch {
	case !ok:
		return nil, false, nil
	case el.NS() == registration.NS:
		return s.account(ctx, p, &el)
	case disco.OfHost(p) && s.isCommand(el.Attr("node")):
		return s.invite(ctx, p, &el)
	}
	return nil, false, nil
}

// advertise puts into a discovery what there is, and reports whether p is one.
func (s *service) advertise(p *packet.Packet) bool {
	if !request.Is(p) || !disco.OfHost(p) {
		return false
	}
	switch {
	case disco.AsksInfo(p):
		disco.AddFeature(p, registration.NS)
		if s.args.Invite.By != "nobody" {
			disco.AddFeature(p, command.NS)
		}
	case disco.AsksCommands(p):
		for _, c := range commands {
			if s.mayRun(p.From, p.To, c.node) {
				disco.AddItem(p, p.To, c.node, c.name)
			}
		}
	default:
		return false
	}
	return true
}

func (s *service) isAdmin(address string) bool {
	return slices.Contains(s.admins, packet.Bare(address))
}

// Explain says what Handle would do.
func (s *service) Explain(_ context.Context, p *packet.Packet) (packet.Verdict, string) {
	switch {
	case isNewcomer(p):
		return packet.Claim, "answers a client that has no account; who may register: " + s.args.Who
	case isPreauthenticated(p):
		return packet.Pass, "makes the two contacts of each other if " + packet.Bare(p.To) + " has made the invitation"
	case s.advertise(p):
		return packet.Pass, "adds to what " + p.To + " offers"
	}
	el, ok := request.ToHost(p)
	if own, isOwn := request.ToAccount(p); isOwn && request.IsOwn(p) {
		el, ok = own, true
	}
	switch {
	case !ok || el.NS() != registration.NS && !s.isCommand(el.Attr("node")):
		return packet.Pass, "it is not about an account or an invitation"
	case el.NS() != registration.NS && !s.mayRun(p.From, p.To, el.Attr("node")):
		return packet.Refuses, packet.Bare(p.From) + " may not invite"
	case el.NS() != registration.NS:
		return packet.Claim, "makes an invitation"
	case !isUser(p):
		return packet.Refuses, packet.Bare(p.From) + " is no account of " + packet.Domain(p.To)
	}
	return packet.Claim, "answers what " + packet.Bare(p.From) + " asks for its account"
}
