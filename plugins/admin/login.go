package admin

import (
	"context"
	"time"

	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sdk/account"
	"github.com/jabberii/server/plugins/xmpp/ns"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

// patience is how long a client waits for storage here.
const patience = time.Second

// isLogin reports whether p has a client that has logged in bind its session.
func isLogin(p *packet.Packet) bool {
	if p.Kind != packet.Session || !p.Far.IsZero() || p.Flags&packet.Down != 0 || packet.Local(p.From) == "" {
		return false
	}
	if p.NS == ns.Bind2 {
		return p.Name == "bind"
	}
	if p.Name != "iq" || p.NS != "" || p.Type != "set" {
		return false
	}
	_, ok := xml.Find(p.Body, ns.Client, "bind", ns.Bind)
	return ok
}

// meet is about who comes: that it has logged in is kept, and what it is to be told is
// said. That neither can be done keeps nobody away.
func (s *service) meet(ctx context.Context, p *packet.Packet) error {
	greeted := isGreeted(p)
	if !greeted && !isLogin(p) {
		return nil
	}
	short, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if greeted {
		return s.greet(ctx, short, p)
	}
	if err := account.KeepLogin(short, s.store, packet.Bare(p.From)); err != nil {
		s.env.Log().Warn("it is not kept when an account has logged in: "+err.Error(), "account", packet.Bare(p.From))
	}
	return nil
}
