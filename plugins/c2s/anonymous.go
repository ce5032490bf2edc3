package c2s

import (
	"context"
	"crypto/rand"
	"slices"
	"strings"
	"time"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sdk/xdb"
	"github.com/jabberii/server/plugins/xmpp/sasl"
)

func (s *Service) isAnonymous(domain string) bool { return slices.Contains(s.args.Anonymous, domain) }

// anonymous lets everybody in, each as somebody whom there was never before.
func (s *Service) anonymous() *sasl.Authenticator {
	return &sasl.Authenticator{
		Mechanisms: []string{sasl.Anonymous},
		Anonymous: func(context.Context, string) (string, error) {
			return strings.ToLower(rand.Text()), nil
		},
	}
}

// forgetTime is how long storage may take to forget an account.
const forgetTime = 30 * time.Second

// vanish ends the session of an account that was made up, which nobody resumes, and
// takes away what the account has left in storage.
func (c *conn) vanish(p packet.Packet) {
	c.source.Flush()
	ctx, cancel := context.WithTimeout(c.s.ctx, forgetTime)
	defer cancel()
	over := make(chan struct{})
	last := c.s.env.Source(module.SourceConfig{Settled: func([]packet.Outcome) { close(over) }})
	defer last.Close()
	c.sent++
	p.Seq, p.Type = c.sent, "end"
	err := last.Deliver(ctx, &p, p.Seq)
	if err == nil {
		select {
		case <-over:
		case <-ctx.Done():
		}
		err = xdb.New(c.s.env, c.s.env.Section()).Drop(ctx, packet.Bare(p.From), "", "")
	}
	if err != nil {
		c.s.env.Log().Warn("an anonymous account is not forgotten: "+err.Error(), "account", packet.Bare(p.From))
	}
}
