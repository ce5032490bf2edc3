// Package landing is the module with the pages that invitations lead to (XEP-0401):
// for somebody who has been sent a link and may have never heard of XMPP. A page says
// who invites to which host, has the invitation as an xmpp: URI, and names clients
// that can open it.
//
// It is plain HTML without scripts, loads nothing from anywhere, changes nothing when it
// is looked at, as those who preview links do, and is not kept nor passed on as a referrer:
// its address is the invitation.
package landing

import (
	"context"
	"errors"
	"net/url"
	"strconv"
	"strings"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sdk/web"
	"github.com/jabberii/server/plugins/sdk/xdb"
)

// Args are the arguments of landing.
type Args struct {
	Path    string       `json:"path" default:"/invite/" doc:"Where http serves the pages: PATH/TOKEN for the host that is asked, PATH/HOST/TOKEN for another of the server's."`
	Text    string       `json:"text" doc:"What else a page says, such as whose server it is."`
	Clients []clientArgs `json:"client" doc:"A client that pages name; without any, some that are well known."`
}

type clientArgs struct {
	Name    string `json:"label" label:"name of the client"`
	URL     string `json:"url" required:"true" doc:"Where it is to be had: https://…"`
	Systems string `json:"systems" doc:"What it runs on: Android."`
}

// wellKnown are clients that open invitations, as of XEP-0401 and XEP-0445.
var wellKnown = []clientArgs{
	{"Conversations", "https://conversations.im/", "Android"},
	{"Monal", "https://monal-im.org/", "iOS, macOS"},
	{"Siskin", "https://siskin.im/", "iOS"},
	{"Gajim", "https://gajim.org/", "Linux, Windows, macOS"},
	{"Dino", "https://dino.im/", "Linux"},
}

// With returns the module, which hangs its pages on routes.
func With(routes *web.Routes) module.Module {
	m := module.Define("landing", "Pages that invitations lead to, for people who have no client yet (XEP-0401). The module http of the same process serves them.",
		module.On(packet.Normal, packet.Session),
		func(env module.Env, a Args) (packet.Handler, error) { return newService(env, a, routes) })
	m.Passive, m.Claims = true, module.ClaimsNone
	m.Needs = module.On(packet.XDB)
	return m
}

// A Service serves the pages. It takes no packets.
type Service struct {
	env    module.Env
	args   Args
	routes *web.Routes
	store  *xdb.Store
	down   func()
}

func newService(env module.Env, a Args, routes *web.Routes) (*Service, error) {
	if !strings.HasPrefix(a.Path, "/") || !strings.HasSuffix(a.Path, "/") {
		return nil, module.BadArg("path", "%q does not begin and end with a slash", a.Path)
	}
	for i, c := range a.Clients {
		if u, err := url.Parse(c.URL); err != nil || u.Scheme != "https" || u.Host == "" {
			return nil, module.BadArg("client."+strconv.Itoa(i)+".url", "%q is no https URL", c.URL)
		}
	}
	if len(a.Clients) == 0 {
		a.Clients = wellKnown
	}
	return &Service{env: env, args: a, routes: routes, store: xdb.New(env, env.Section())}, nil
}

// Handle passes: packets are not its matter.
func (s *Service) Handle(context.Context, *packet.Packet) (packet.Verdict, error) {
	return packet.Pass, nil
}

// Start hangs the pages up.
func (s *Service) Start(context.Context) (err error) {
	s.down, err = s.routes.Hang("landing in section "+s.env.Section(), web.Route{Path: s.args.Path, Handler: s})
	return err
}

// Run takes them down when ctx is done.
func (s *Service) Run(ctx context.Context) error {
	defer s.down()
	if !s.routes.Served() {
		s.env.Log().Warn("nobody serves the pages of invitations: there is no http in this process")
	}
	<-ctx.Done()
	return nil
}

var errNoPage = errors.New("there is no such page")
