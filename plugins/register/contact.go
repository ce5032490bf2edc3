package register

import (
	"context"
	"errors"
	"time"

	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sdk/invite"
	"github.com/jabberii/server/plugins/sdk/sessions"
	"github.com/jabberii/server/plugins/xmpp/registration"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

// isPreauthenticated reports whether p asks an account for its presence and shows an
// invitation (XEP-0379).
func isPreauthenticated(p *packet.Packet) bool {
	if p.Kind != packet.Normal || p.Name != "presence" || p.Type != "subscribe" || packet.Local(p.To) == "" {
		return false
	}
	_, ok := token(p)
	return ok
}

func token(p *packet.Packet) (string, bool) {
	el, ok := xml.Find(p.Body, "", "preauth", registration.PreauthNS)
	if !ok {
		return "", false
	}
	return registration.Preauth(&el)
}

// befriend has an account that has invited somebody grant what is asked, and ask in
// turn. What was asked goes on its way, and is granted when it gets there. An
// invitation that is no good is as if there were none.
func (s *service) befriend(ctx context.Context, p *packet.Packet) error {
	shown, _ := token(p)
	owner, who := packet.Bare(p.To), packet.Bare(p.From)
	i, err := invite.Get(ctx, s.store, packet.Domain(owner), shown)
	switch {
	case errors.Is(err, invite.ErrNone):
		return nil
	case err != nil:
		return err
	case i.By != owner || !i.Contact || i.New || owner == who || !i.Expires.IsZero() && time.Now().After(i.Expires):
		return nil
	}
	switch err := invite.Take(ctx, s.store, i.Host, i.Token, who); {
	case errors.Is(err, invite.ErrNone):
		return nil
	case err != nil:
		return err
	}
	s.env.Log().Info("an invitation has made contacts", "account", owner, "host", i.Host, "contact", who)
	return sessions.Befriend(ctx, s.asker, owner, who)
}
