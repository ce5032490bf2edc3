package register

import (
	"context"
	"crypto/rand"
	"errors"
	"net/url"
	"strings"
	"time"

	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sdk/account"
	"github.com/jabberii/server/plugins/sdk/disco"
	"github.com/jabberii/server/plugins/sdk/invite"
	"github.com/jabberii/server/plugins/sdk/request"
	"github.com/jabberii/server/plugins/xmpp/command"
	"github.com/jabberii/server/plugins/xmpp/form"
	"github.com/jabberii/server/plugins/xmpp/jid"
	"github.com/jabberii/server/plugins/xmpp/ns"
	"github.com/jabberii/server/plugins/xmpp/xml"
	"golang.org/x/net/idna"
)

// The commands of XEP-0401.
const (
	inviteNode = invite.Node
	createNode = "urn:xmpp:invite#create-account"
	formType   = "urn:xmpp:invite#invitation"
)

var commands = [...]struct{ node, name string }{{inviteNode, "Invite somebody"}, {createNode, "Invite somebody to an account"}}

func (s *service) isCommand(node string) bool { return node == inviteNode || node == createNode }

// mayRun reports whether somebody may run a command of a host.
func (s *service) mayRun(who, host, node string) bool {
	switch {
	case packet.Local(who) == "" || packet.Domain(who) != host || s.args.Invite.By == "nobody":
		return false
	case s.isAdmin(who):
		return true
	}
	return node == inviteNode && s.args.Invite.By == "users"
}

// asks is what an invitation to an account can be given.
var asks = form.Form{
	Type: form.Ask, Title: "An invitation to an account", FormType: formType,
	Fields: []form.Field{
		{Var: "username", Type: form.TextSingle, Label: "The username, if it is not free to choose"},
		{Var: "roster-subscription", Type: form.Boolean, Label: "Become contacts", Values: []string{"0"}},
	},
}

// invite answers what is asked of a command, or runs it.
func (s *service) invite(ctx context.Context, p *packet.Packet, el *xml.Element) (body []byte, mine bool, err error) {
	node := el.Attr("node")
	switch {
	case el.Is("query", ns.DiscoInfo) && p.Type == "get":
		return s.describe(node, p.To), true, nil
	case !el.Is("command", command.NS) || p.Type != "set":
		return nil, false, nil
	case !s.mayRun(p.From, p.To, node):
		return nil, true, packet.Refuse("forbidden", "")
	}
	req, err := command.Parse(el)
	if err != nil {
		return nil, true, request.Reject(err)
	}
	answer := command.Response{Node: node, Session: req.Session, Status: command.Completed}
	if answer.Session == "" {
		answer.Session = rand.Text()
	}
	switch {
	case req.Action == command.Cancel || req.Form != nil && req.Form.Type == form.Cancel:
		answer.Status = command.Canceled
		return answer.Append(nil), true, nil
	case req.Action == command.Next || req.Action == command.Previous:
		return nil, true, request.Reject(command.BadAction())
	case node == createNode && req.Form == nil:
		answer.Status, answer.Form, answer.Actions = command.Executing, &asks, []command.Action{command.Complete}
		return answer.Append(nil), true, nil
	}
	i, err := s.wanted(p, node, req.Form)
	if err == nil {
		err = s.create(ctx, i)
	}
	if err != nil {
		return nil, true, err
	}
	answer.Form = &form.Form{Type: form.Result, FormType: formType, Fields: []form.Field{
		{Var: "uri", Type: form.TextSingle, Values: []string{i.URI()}},
		{Var: "expire", Type: form.TextSingle, Values: []string{i.Expires.UTC().Format(time.RFC3339)}},
	}}
	if page := s.page(p.To); page != "" {
		answer.Form.Fields = append(answer.Form.Fields, form.Field{Var: invite.PageField, Type: form.TextSingle, Values: []string{page + i.Token}})
	}
	return answer.Append(nil), true, nil
}

// wanted is the invitation that a command asks for.
func (s *service) wanted(p *packet.Packet, node string, answer *form.Form) (*invite.Invitation, error) {
	i := &invite.Invitation{
		Host: p.To, By: packet.Bare(p.From), Register: s.args.Who != "nobody", Contact: true, Uses: 1,
		Expires: time.Now().Add(s.args.Invite.Lifetime.Std()).Truncate(time.Second),
	}
	if node == inviteNode {
		return i, nil
	}
	if err := asks.Check(answer); err != nil {
		return nil, packet.Refuse("bad-request", err.Error())
	}
	if !i.Register {
		return nil, s.closed()
	}
	i.New, i.Contact = true, answer.Bool("roster-subscription")
	if name := answer.Value("username"); name != "" {
		j, err := jid.New(name, p.To, "")
		if err != nil {
			return nil, packet.Refuse("not-acceptable", "that is no username")
		}
		i.Username = j.Local()
	}
	return i, nil
}

// create makes an invitation if who asks has not too many.
func (s *service) create(ctx context.Context, i *invite.Invitation) error {
	if !s.isAdmin(i.By) {
		n, err := invite.Open(ctx, s.store, i.Host, i.By)
		if err != nil {
			return err
		}
		if n >= s.args.Invite.Max {
			return packet.Refuse("resource-constraint", "there are too many invitations that can still be used")
		}
	}
	err := invite.Create(ctx, s.store, i)
	if errors.Is(err, account.ErrExists) || errors.Is(err, invite.ErrReserved) {
		return packet.Refuse("conflict", err.Error())
	}
	if err == nil {
		s.env.Log().Info("an invitation was made", "by", i.By, "host", i.Host, "username", i.Username)
	}
	return err
}

// describe is what a command says of itself, with where the pages of invitations are.
func (s *service) describe(node, host string) []byte {
	var a disco.Answer
	for _, c := range commands {
		if c.node == node {
			a.Identity("automation", "command-node", c.name)
		}
	}
	a.Feature(command.NS, ns.DataForm)
	if page := s.page(host); page != "" {
		pages := form.Form{Type: form.Result, FormType: formType, Fields: []form.Field{
			{Var: invite.PageField, Type: form.TextSingle, Values: []string{page}},
		}}
		a.Form(pages.Append(nil))
	}
	return a.AppendInfo(nil, node)
}

const hostMark = "{host}" // in the argument page

// page is the URL of the pages of a host's invitations, "" without.
func (s *service) page(host string) string {
	ascii, err := idna.Lookup.ToASCII(host)
	if err != nil {
		ascii = host
	}
	return strings.ReplaceAll(s.args.Invite.Page, hostMark, ascii)
}

func isPage(text string) bool {
	u, err := url.Parse(strings.ReplaceAll(text, hostMark, "example.org"))
	return text == "" || err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != "" && strings.HasSuffix(text, "/")
}
