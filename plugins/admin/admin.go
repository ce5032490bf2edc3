// Package admin is the module with which people whom the file names run a host
// from their clients: ad-hoc commands (XEP-0050) of service administration
// (XEP-0133).
//
// A command is one form at most, and nothing is remembered between the form and
// its answer, so that any death in between is of no consequence. What commands set is in
// storage, so that it holds for whoever else serves the host; of that each process reads
// again what is older than two seconds.
//
// users.go, overview.go, contacts.go, announce.go, admins.go and halt.go have the
// commands; notice.go and login.go what they need to know of those who log in.
package admin

import (
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"strconv"
	"sync"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sdk/disco"
	"github.com/jabberii/server/plugins/sdk/request"
	"github.com/jabberii/server/plugins/sdk/xdb"
	"github.com/jabberii/server/plugins/xmpp/command"
	"github.com/jabberii/server/plugins/xmpp/form"
	"github.com/jabberii/server/plugins/xmpp/jid"
	"github.com/jabberii/server/plugins/xmpp/ns"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

// Args are the arguments of admin.
type Args struct {
	Admins []string `json:"admins" required:"true" doc:"Addresses of accounts, of this host or another, that may do what is here, and may let others do it."`
	Halt   bool     `json:"halt" default:"true" doc:"Whether they may also restart and shut down the server, with all its hosts."`
}

// Module is the service as a configuration names it: load "admin".
var Module = define()

func define() module.Module {
	m := module.Define("admin", "Lets people run a host from their clients (XEP-0133): accounts, sessions, announcements, and the server itself.",
		module.On(packet.Normal, packet.Session), New)
	m.Needs = module.On(packet.Normal, packet.Session, packet.XDB)
	m.XEPs = []module.XEP{
		{Number: 4, Name: "Data Forms", Version: "2.13.2"},
		{Number: 50, Name: "Ad-Hoc Commands", Version: "1.3.0", Note: "commands of one form"},
		{Number: 133, Name: "Service Administration", Version: "1.3.1", Partial: true,
			Note: "without lists of who may connect, which are the configuration's, and without IP addresses and rates in statistics"},
	}
	return m
}

type service struct {
	env      module.Env
	admins   []string
	store    *xdb.Store
	asker    *request.Asker
	commands []*order
	named    recent[[]string] // admins that others have named, see admins.go
	notices  notices

	ctx        context.Context // of what goes on after a command
	stop       context.CancelFunc
	background sync.WaitGroup
}

// New makes the handler.
func New(env module.Env, a Args) (packet.Handler, error) {
	s := &service{env: env, store: xdb.New(env, env.Section()), asker: request.NewAsker(env)}
	for i, text := range a.Admins {
		address, err := jid.Parse(text)
		if err != nil || address.Local() == "" || !address.IsBare() {
			return nil, module.BadArg("admins."+strconv.Itoa(i), "%q is no address of an account; write it like ann@example.org", text)
		}
		s.admins = append(s.admins, address.String())
	}
	if len(s.admins) == 0 {
		return nil, module.BadArg("admins", "there is nobody")
	}
	s.commands = slices.Concat(s.users(), s.overview(), s.contacts(), s.announcements(), s.administration())
	if a.Halt {
		s.commands = append(s.commands, s.halts()...)
	}
	s.notices.store = s.store
	s.ctx, s.stop = context.WithCancel(context.Background())
	return s, nil
}

// Close ends what still goes on.
func (s *service) Close() error {
	s.stop()
	s.background.Wait()
	return nil
}

// An order is what an admin may have the host do.
type order struct {
	node  string // behind prefix
	name  string
	chief bool                                                  // only those whom the file names may have it done
	ask   func(ctx context.Context, c call) (*form.Form, error) // nil if nothing has to be asked
	run   func(ctx context.Context, c call, answer *form.Form) (outcome, error)
}

// A call is one use of a command.
type call struct {
	host string
	by   string // the session of the admin
}

// prefix is what the nodes of all commands begin with, formType of what their
// forms are.
const (
	prefix   = "http://jabber.org/protocol/admin#"
	formType = "http://jabber.org/protocol/admin"
)

// An outcome is what the admin is told.
type outcome struct {
	form  *form.Form
	notes []command.Note
}

func done(text string) outcome {
	return outcome{notes: []command.Note{{Type: command.Info, Text: text}}}
}

// order returns the command of a node, nil if there is none.
func (s *service) order(node string) *order {
	for _, o := range s.commands {
		if prefix+o.node == node {
			return o
		}
	}
	return nil
}

// Handle carries out commands, and shows the message of the day.
func (s *service) Handle(ctx context.Context, p *packet.Packet) (packet.Verdict, error) {
	switch {
	case p.Name == "message":
		return packet.Pass, nil
	case p.Kind == packet.Session:
		return packet.Pass, s.meet(ctx, p)
	case s.asker.Take(p):
		return packet.Claim, nil
	}
	el, ok := request.ToHost(p)
	switch {
	case !ok:
		return packet.Pass, nil
	case disco.AsksInfo(p):
		disco.AddFeature(p, command.NS)
		return packet.Pass, nil
	case disco.AsksCommands(p):
		return packet.Pass, s.list(ctx, p)
	}
	o := s.order(el.Attr("node"))
	if o == nil || !describes(p, &el) && !commands(p, &el) {
		return packet.Pass, nil
	}
	if err := s.mayOrder(ctx, p, o); err != nil {
		return packet.Pass, err
	}
	if describes(p, &el) {
		return packet.Claim, s.env.Deliver(ctx, request.Result(p, o.describe()))
	}
	body, err := s.obey(ctx, p, o, &el)
	if err != nil {
		return packet.Pass, err
	}
	return packet.Claim, s.env.Deliver(ctx, request.Result(p, body))
}

// describes reports whether a request asks what a command is, commands whether it is one.
func describes(p *packet.Packet, el *xml.Element) bool {
	return el.Is("query", ns.DiscoInfo) && p.Type == "get"
}

func commands(p *packet.Packet, el *xml.Element) bool {
	return el.Is("command", command.NS) && p.Type == "set"
}

// list puts the commands into what the host has for an admin.
func (s *service) list(ctx context.Context, p *packet.Packet) error {
	admin, err := s.isAdmin(ctx, p)
	if !admin {
		return err
	}
	for _, o := range s.commands {
		if !o.chief || s.isChief(p) {
			disco.AddItem(p, p.To, prefix+o.node, o.name)
		}
	}
	return nil
}

// describe is what a command says of itself.
func (o *order) describe() []byte {
	var a disco.Answer
	a.Identity("automation", "command-node", o.name)
	a.Feature(command.NS, ns.DataForm)
	return a.AppendInfo(nil, prefix+o.node)
}

// obey carries out one stage of a command.
func (s *service) obey(ctx context.Context, p *packet.Packet, o *order, el *xml.Element) ([]byte, error) {
	req, err := command.Parse(el)
	if err != nil {
		return nil, request.Reject(err)
	}
	answer := command.Response{Node: req.Node, Session: req.Session, Status: command.Completed}
	if answer.Session == "" {
		answer.Session = rand.Text()
	}
	switch {
	case req.Action == command.Cancel || req.Form != nil && req.Form.Type == form.Cancel:
		answer.Status = command.Canceled
		return answer.Append(nil), nil
	case req.Action == command.Next || req.Action == command.Previous:
		return nil, request.Reject(command.BadAction())
	}
	var asked *form.Form
	c := call{host: p.To, by: p.From}
	if o.ask != nil {
		if asked, err = o.ask(ctx, c); err != nil {
			return nil, err
		}
		if req.Form == nil {
			answer.Status, answer.Form, answer.Actions = command.Executing, asked, []command.Action{command.Complete}
			return answer.Append(nil), nil
		}
		if err := asked.Check(req.Form); err != nil {
			return nil, packet.Refuse("bad-request", err.Error())
		}
	}
	out, err := o.run(ctx, c, req.Form)
	s.env.Log().Info("an admin's command: "+o.name, "by", packet.Bare(p.From), "host", p.To, "failed", err != nil)
	switch reject := new(packet.Reject); {
	case err == nil:
		answer.Form, answer.Notes = out.form, out.notes
	case errors.As(err, &reject) || isPlain(err):
		answer.Notes = []command.Note{{Type: command.Fail, Text: err.Error()}}
	default:
		return nil, err
	}
	return answer.Append(nil), nil
}

// Explain says what Handle would do.
func (s *service) Explain(ctx context.Context, p *packet.Packet) (packet.Verdict, string) {
	switch {
	case isLogin(p):
		return packet.Pass, "it is kept when " + packet.Bare(p.From) + " has logged in"
	case isGreeted(p):
		return packet.Pass, packet.Bare(p.From) + " gets the message of the day, if there is one that it has not had"
	}
	el, ok := request.ToHost(p)
	switch {
	case ok && disco.AsksInfo(p):
		disco.AddFeature(p, command.NS)
		return packet.Pass, "adds to what " + p.To + " offers"
	case ok && disco.AsksCommands(p):
		if err := s.list(ctx, p); err != nil {
			return packet.Refuses, err.Error()
		}
		return packet.Pass, "adds its commands for an admin"
	case !ok || !commands(p, &el) && !describes(p, &el):
		return packet.Pass, "it is no command of an admin"
	}
	o := s.order(el.Attr("node"))
	if o == nil {
		return packet.Pass, "it is a command, but none of an admin"
	}
	if err := s.mayOrder(ctx, p, o); err != nil {
		return packet.Refuses, packet.Bare(p.From) + " may not: " + err.Error()
	}
	if describes(p, &el) {
		return packet.Claim, "says what the command is"
	}
	return packet.Claim, "does for an admin: " + o.name
}
