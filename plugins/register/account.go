package register

import (
	"context"
	"errors"

	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sdk/account"
	"github.com/jabberii/server/plugins/sdk/invite"
	"github.com/jabberii/server/plugins/sdk/request"
	"github.com/jabberii/server/plugins/sdk/sessions"
	"github.com/jabberii/server/plugins/xmpp/jid"
	"github.com/jabberii/server/plugins/xmpp/registration"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

// isUser reports whether a request comes from an account of the host that it is to.
func isUser(p *packet.Packet) bool {
	return packet.Local(p.From) != "" && packet.Domain(p.From) == packet.Domain(p.To)
}

// account answers what is asked by who has an account (XEP-0077 sections 3.2 and 3.3).
func (s *service) account(ctx context.Context, p *packet.Packet, el *xml.Element) (body []byte, mine bool, err error) {
	owner := packet.Bare(p.From)
	switch {
	case !isUser(p):
		return nil, true, packet.Refuse("not-allowed", "only accounts of this host have something here")
	case !el.Is("query", registration.NS):
		return nil, true, packet.Refuse("bad-request", "")
	case p.Type == "get":
		return registration.AppendRegistered(nil, packet.Local(owner)), true, nil
	}
	req, err := registration.Parse(el)
	switch {
	case err != nil:
		return nil, true, request.Reject(err)
	case req.Remove:
		return nil, true, s.remove(ctx, p, owner)
	}
	return nil, true, s.change(ctx, p, owner, req)
}

// change gives an account another password, and ends its other sessions.
func (s *service) change(ctx context.Context, p *packet.Packet, owner string, req registration.Request) error {
	if !s.args.Change {
		return packet.Refuse("not-allowed", "passwords are not changed here")
	}
	if j, err := jid.New(req.Username, packet.Domain(owner), ""); err != nil || j.String() != owner {
		return packet.Refuse("bad-request", "the username is another's")
	}
	if err := s.checkPassword(req.Password); err != nil {
		return err
	}
	err := account.SetPassword(ctx, s.store, owner, req.Password, func(ctx context.Context) error {
		return sessions.Renew(ctx, s.asker, owner, p.From)
	})
	if errors.Is(err, account.ErrNone) { // an outside authority checks it
		return packet.Refuse("not-allowed", "the password of the account is not kept here")
	}
	if err == nil {
		s.env.Log().Info("an account has another password", "account", owner, "host", packet.Domain(owner))
	}
	return err
}

// remove takes an account away with all that it has. Its sessions end, and the one that
// has asked is told that it is done before. Done again, there is nothing left to do.
func (s *service) remove(ctx context.Context, p *packet.Packet, owner string) error {
	if !s.args.Remove {
		return packet.Refuse("not-allowed", "accounts are not removed here")
	}
	again := p.Flags&packet.Redelivered != 0
	if !again {
		switch there, err := account.Exists(ctx, s.store, owner); {
		case err != nil:
			return err
		case !there:
			return packet.Refuse("not-allowed", "the account is not kept here")
		}
	}
	err := account.Remove(ctx, s.store, owner, func(ctx context.Context) error {
		_, err := sessions.Forget(ctx, s.asker, owner, p)
		return errors.Join(err, invite.Forget(ctx, s.store, owner))
	})
	if again && errors.Is(err, account.ErrNone) {
		return nil
	}
	s.env.Log().Info("an account was removed by its owner", "account", owner, "host", packet.Domain(owner), "failed", err != nil)
	return err
}
