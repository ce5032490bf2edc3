package sm

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sdk/disco"
	"github.com/jabberii/server/plugins/xmpp/ns"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

// Capabilities are what hosts offered when it was last looked (XEP-0115).
type capabilities struct {
	mu     sync.Mutex
	byHost map[string]string // the element that announces it
}

// askOwn asks each host what it offers, in its own name: modules of the chain add
// what is theirs, and keepOwn gets the whole. They may change with a reload.
func (s *Service) askOwn() {
	for _, host := range s.env.Hosts() {
		if strings.HasPrefix(host, "*") {
			continue
		}
		s.source.Deliver(s.ctx, &packet.Packet{
			Kind: packet.Normal, To: host, From: host, Name: "iq", Type: "get", ID: "capabilities",
			Body: xml.AppendEmpty(nil, "query", ns.DiscoInfo),
		}, 0)
	}
}

// keepOwn keeps what a host offers where those find it who announce it.
func (s *Service) keepOwn(ctx context.Context, host string, a *disco.Answer) {
	element := string(a.AppendCapabilities(nil))
	c := &s.capabilities
	c.mu.Lock()
	known := c.byHost[host] == element
	c.mu.Unlock()
	if known {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	if err := disco.WriteCapabilities(ctx, s.store, host, []byte(element)); err != nil {
		s.env.Log().Debug("capabilities are not kept: "+err.Error(), "host", host)
		return // the next look tries again
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.byHost == nil {
		c.byHost = map[string]string{}
	}
	c.byHost[host] = element
}
