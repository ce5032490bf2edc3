// Package admin is the module with which people whom the file names run a host
// from their clients: ad-hoc commands (XEP-0050) of service administration
// (XEP-0133).
//
// A command is one form at most, and nothing is remembered between the form and
// its answer, so that any death in between is of no consequence. See users.go,
// overview.go and announce.go for the commands.
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
	Admins []string `json:"admins" required:"true" doc:"Addresses of accounts, of this host or another, that may do what is here."`
}

// Module is the service as a configuration names it: load "admin".
var Module = define()

func define() module.Module {
	m := module.Define("admin", "Lets people run a host from their clients (XEP-0133): accounts, sessions, announcements and a message of the day.",
		module.On(packet.Normal, packet.Session), New)
	m.Needs = module.On(packet.Normal, packet.Session, packet.XDB)
	m.XEPs = []module.XEP{
		{Number: 4, Name: "Data Forms", Version: "2.13.2"},
		{Number: 50, Name: "Ad-Hoc Commands", Version: "1.3.0", Note: "commands of one form"},
		{Number: 133, Name: "Service Administration", Version: "1.3.1", Partial: true,
			Note: "without lists of who may connect, welcome messages, rosters and passwords of users, restart and shutdown"},
	}
	return m
}

type service struct {
	env      module.Env
	admins   []string
	store    *xdb.Store
	asker    *request.Asker
	commands []*order
	motds    motds

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
	s.commands = slices.Concat(s.users(), s.overview(), s.announcements())
	s.motds.init(s.store)
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
	node string // behind prefix
	name string
	ask  func(ctx context.Context, host string) (*form.Form, error) // nil if nothing has to be asked
	run  func(ctx context.Context, host string, answer *form.Form) (outcome, error)
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

func (s *service) isAdmin(p *packet.Packet) bool {
	return slices.Contains(s.admins, packet.Bare(p.From))
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
		return packet.Pass, s.greet(ctx, p)
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
		s.list(p)
		return packet.Pass, nil
	}
	o := s.order(el.Attr("node"))
	switch {
	case o == nil:
		return packet.Pass, nil
	case el.Is("query", ns.DiscoInfo) && p.Type == "get":
		return packet.Claim, s.env.Deliver(ctx, request.Result(p, o.describe()))
	case !el.Is("command", command.NS) || p.Type != "set":
		return packet.Pass, nil
	case !s.isAdmin(p):
		return packet.Pass, packet.Refuse("forbidden", "")
	}
	body, err := s.obey(ctx, p, o, &el)
	if err != nil {
		return packet.Pass, err
	}
	return packet.Claim, s.env.Deliver(ctx, request.Result(p, body))
}

// list puts the commands into what the host has for an admin.
func (s *service) list(p *packet.Packet) {
	if !s.isAdmin(p) {
		return
	}
	for _, o := range s.commands {
		disco.AddItem(p, p.To, prefix+o.node, o.name)
	}
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
	if o.ask != nil {
		if asked, err = o.ask(ctx, p.To); err != nil {
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
	out, err := o.run(ctx, p.To, req.Form)
	s.env.Log().Info("an admin's command: "+o.name, "by", packet.Bare(p.From), "host", p.To, "failed", err != nil)
	answer.Form, answer.Notes = out.form, out.notes
	if err != nil {
		var reject *packet.Reject
		if !errors.As(err, &reject) && !isPlain(err) {
			return nil, err
		}
		answer.Notes = append(answer.Notes, command.Note{Type: command.Fail, Text: err.Error()})
	}
	return answer.Append(nil), nil
}

// Explain says what Handle would do.
func (s *service) Explain(_ context.Context, p *packet.Packet) (packet.Verdict, string) {
	if isGreeted(p) {
		return packet.Pass, packet.Bare(p.From) + " gets the message of the day, if there is one that it has not had"
	}
	el, ok := request.ToHost(p)
	switch {
	case ok && disco.AsksInfo(p):
		disco.AddFeature(p, command.NS)
		return packet.Pass, "adds to what " + p.To + " offers"
	case ok && disco.AsksCommands(p) && s.isAdmin(p):
		s.list(p)
		return packet.Pass, "adds its commands"
	case ok && s.order(el.Attr("node")) != nil && el.Is("query", ns.DiscoInfo) && p.Type == "get":
		return packet.Claim, "says what the command is"
	case !ok || !el.Is("command", command.NS) || p.Type != "set":
		return packet.Pass, "it is no command of an admin"
	}
	switch o := s.order(el.Attr("node")); {
	case o == nil:
		return packet.Pass, "it is a command, but none of an admin"
	case !s.isAdmin(p):
		return packet.Refuses, packet.Bare(p.From) + " is no admin"
	default:
		return packet.Claim, "does for an admin: " + o.name
	}
}
