package register

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sdk/account"
	"github.com/jabberii/server/plugins/sdk/invite"
	"github.com/jabberii/server/plugins/sdk/request"
	"github.com/jabberii/server/plugins/sdk/sessions"
	"github.com/jabberii/server/plugins/xmpp/jid"
	"github.com/jabberii/server/plugins/xmpp/registration"
	"github.com/jabberii/server/plugins/xmpp/sasl"
	"github.com/jabberii/server/plugins/xmpp/stanza"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

// isNewcomer reports whether p is what a client asks that has no account: a packet
// named register from a connection, with its address and, if it has shown one, the
// token of an invitation as attributes.
func isNewcomer(p *packet.Packet) bool {
	return p.Kind == packet.Session && p.NS == registration.NS && p.Name == "register" && p.Flags&packet.Down == 0
}

// A wish is what a newcomer wants of a host.
type wish struct {
	host    string
	address string // of the client
	token   string // of the invitation that it has shown before
	again   bool   // it may have been granted already
}

// newcomer answers the connection, by its token. The answer names no session, so that
// the connection stays one of nobody.
func (s *service) newcomer(ctx context.Context, p *packet.Packet) (packet.Verdict, error) {
	if p.From != "" {
		return packet.Pass, packet.Refuse("bad-request", "it has an account")
	}
	attrs, _ := xml.First([]byte("<x"+p.Attrs+"/>"), "")
	w := wish{host: packet.Domain(p.To), address: attrs.Attr("address"), token: attrs.Attr("preauth"), again: p.Flags&packet.Redelivered != 0}
	answer := packet.Packet{
		Kind: packet.Session, Flags: packet.Down, Host: p.Near.Host, Section: p.Near.Section, Far: p.Near,
		Name: p.Name, NS: p.NS, Type: "result", ID: p.ID,
	}
	body, err := s.grant(ctx, &w, p)
	if err != nil {
		var reject *packet.Reject
		if !errors.As(err, &reject) {
			s.env.Log().Error("registration: "+err.Error(), "host", w.host)
			reject = packet.Refuse("internal-server-error", "")
		}
		e := stanza.Error{Condition: stanza.Condition(reject.Condition), Type: stanza.ErrorType(reject.Type), Text: reject.Text}
		answer.Type, body = "error", e.Append(nil)
	}
	answer.Body = body
	return packet.Claim, s.env.Deliver(ctx, &answer)
}

// grant does what a newcomer asks.
func (s *service) grant(ctx context.Context, w *wish, p *packet.Packet) ([]byte, error) {
	el, ok := xml.First(p.Body, "")
	if !ok {
		return nil, packet.Refuse("bad-request", "")
	}
	if token, ok := registration.Preauth(&el); ok && p.Type == "set" {
		return nil, s.show(ctx, w.host, token)
	}
	if !el.Is("query", registration.NS) {
		return nil, packet.Refuse("bad-request", "")
	}
	var invitation *invite.Invitation
	if w.token != "" && s.args.Who != "nobody" {
		var err error
		if invitation, err = invite.Get(ctx, s.store, w.host, w.token); err != nil && !errors.Is(err, invite.ErrNone) {
			return nil, err
		}
	}
	if invitation == nil && s.args.Who != "anybody" {
		return nil, s.closed()
	}
	switch elsewhere, err := account.Verifies(ctx, s.store, w.host); {
	case err != nil:
		return nil, err
	case elsewhere:
		return nil, packet.Refuse("not-allowed", "accounts are not made here")
	}
	if p.Type == "get" {
		return registration.AppendFields(nil, s.args.Text), nil
	}
	req, err := registration.Parse(&el)
	switch {
	case err != nil:
		return nil, request.Reject(err)
	case req.Remove:
		return nil, packet.Refuse("unexpected-request", "there is no account yet")
	}
	return nil, s.register(ctx, w, invitation, req)
}

// closed is what those are told who have no invitation.
func (s *service) closed() error {
	if s.args.Who == "nobody" {
		return packet.Refuse("not-allowed", "nobody can register here")
	}
	return packet.Refuse("not-allowed", "an account needs an invitation")
}

// show looks at the token of an invitation before it is used (XEP-0445 section 4).
func (s *service) show(ctx context.Context, host, token string) error {
	if s.args.Who == "nobody" {
		return s.closed()
	}
	i, err := invite.Get(ctx, s.store, host, token)
	if err == nil && (!i.Register || !i.Good(time.Now())) {
		err = invite.ErrNone
	}
	return tell(err)
}

// tell turns the errors that people can do something about into what they are told.
func tell(err error) error {
	switch {
	case errors.Is(err, invite.ErrNone):
		return packet.Refuse("item-not-found", invite.ErrNone.Error())
	case errors.Is(err, account.ErrExists), errors.Is(err, invite.ErrReserved):
		return packet.Refuse("conflict", "somebody has that name")
	}
	return err
}

// register makes an account.
func (s *service) register(ctx context.Context, w *wish, i *invite.Invitation, req registration.Request) error {
	if i == nil && !s.attempts.take(w.address, time.Now()) {
		return &packet.Reject{Condition: "resource-constraint", Type: "wait", Text: "there were too many registrations; try again later"}
	}
	j, err := jid.New(req.Username, w.host, "")
	if err != nil || j.Local() == "" {
		return packet.Refuse("not-acceptable", "that is no username")
	}
	if err := errors.Join(s.checkName(j.Local(), i), s.checkPassword(req.Password)); err != nil {
		return err
	}
	made, err := s.isMade(ctx, w, j, i, req.Password)
	if err == nil && !made {
		err = s.add(ctx, w, i, j.String(), req.Password)
	}
	if err == nil && i != nil && i.Contact && i.By != "" {
		s.introduce(ctx, i.By, j.String())
	}
	return err
}

// add makes the account, and uses up the invitation.
func (s *service) add(ctx context.Context, w *wish, i *invite.Invitation, address, password string) error {
	by := ""
	if i != nil {
		by = i.By
		if err := invite.Take(ctx, s.store, w.host, i.Token, address); err != nil {
			return tell(err)
		}
	}
	if err := account.Add(ctx, s.store, address, password); err != nil {
		if i != nil {
			err = errors.Join(err, invite.GiveBack(ctx, s.store, w.host, i.Token, address))
		}
		return tell(err)
	}
	s.env.Log().Info("an account was registered", "account", address, "host", w.host, "client", w.address, "invited_by", by)
	return nil
}

// checkName refuses names that a newcomer cannot have.
func (s *service) checkName(name string, i *invite.Invitation) error {
	switch {
	case i != nil && i.Username != "" && i.Username != name:
		return packet.Refuse("not-allowed", "the invitation is for "+i.Username)
	case i != nil && i.Username != "":
		return nil
	case slices.Contains(s.args.Reserved, name):
		return packet.Refuse("not-acceptable", "nobody can have that name")
	}
	return nil
}

func (s *service) checkPassword(password string) error {
	if utf8.RuneCountInString(password) < s.args.Length {
		return packet.Refuse("not-acceptable", fmt.Sprintf("a password has at least %d characters", s.args.Length))
	}
	if _, err := sasl.NewKeys(sasl.SHA256, password, sasl.NewSalt(), sasl.MinIterations); err != nil {
		return packet.Refuse("not-acceptable", "the password: "+err.Error())
	}
	return nil
}

// isMade reports whether the account has been made already, by this very wish, and fails
// if it cannot be made. What is left of an account of before is nobody else's.
func (s *service) isMade(ctx context.Context, w *wish, j jid.JID, i *invite.Invitation, password string) (bool, error) {
	kept, err := invite.Reserved(ctx, s.store, w.host, j.Local())
	if err != nil {
		return false, err
	}
	if kept != "" && (i == nil || kept != i.Token) {
		return false, tell(invite.ErrReserved)
	}
	left, err := s.store.Namespaces(ctx, j.String())
	if err != nil || len(left) == 0 {
		return false, err
	}
	if w.again {
		if keys, err := account.Keys(ctx, s.store, j.String(), ""); err == nil && keys.Verify(password) {
			return true, nil
		}
	}
	return false, tell(account.ErrExists)
}

// introduce makes contacts of a new account and of who has invited it. That it fails
// takes nothing from the account.
func (s *service) introduce(ctx context.Context, by, address string) {
	err := sessions.Befriend(ctx, s.asker, by, address)
	if err == nil {
		err = sessions.Befriend(ctx, s.asker, address, by)
	}
	if err != nil {
		s.env.Log().Warn("a new account and who has invited it are no contacts: "+err.Error(), "account", address, "invited_by", by)
	}
}
