package c2s

import (
	"context"
	"sync"
	"time"

	"github.com/jabberii/server/plugins/sdk/disco"
	"github.com/jabberii/server/plugins/sdk/xdb"
	"github.com/jabberii/server/plugins/xmpp/session"
)

// Capabilities is the feature with which a host says what it offers (XEP-0115
// section 6.3), so that clients which have seen the same before need not ask.
// Clients get it once they have logged in.
type capabilities struct {
	announcement // of nothing; see Append
	s            *Service
	host         string

	mu      sync.Mutex
	element []byte
	read    time.Time
}

// capsAge is how old the element may be.
const capsAge = time.Minute

func (c *capabilities) Append(dst []byte, r *session.Receiver) []byte {
	if r.Account().IsZero() {
		return dst
	}
	c.mu.Lock()
	element, stale := c.element, time.Since(c.read) > capsAge
	if stale {
		c.read = time.Now()
	}
	c.mu.Unlock()
	if !stale {
		return append(dst, element...)
	}
	ctx, cancel := context.WithTimeout(c.s.opening, decoyTime)
	defer cancel()
	element, err := disco.ReadCapabilities(ctx, xdb.New(c.s.env, c.s.env.Section()), c.host)
	if err != nil {
		c.s.env.Log().Debug("capabilities: "+err.Error(), "host", c.host)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.element = element
	return append(dst, element...)
}
