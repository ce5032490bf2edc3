package vcard

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sdk/xdb"
	"github.com/jabberii/server/plugins/xmpp/ns"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

// photos are the hashes of accounts' pictures, "" of those without one.
type photos struct {
	store *xdb.Store
	max   int

	mu      sync.Mutex
	known   map[string]string
	changes int // how often set was called
}

// set notes the picture that an account has now.
func (c *photos) set(account, hash string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.changes++
	c.put(account, hash)
}

// put makes room by forgetting any other. c is locked.
func (c *photos) put(account, hash string) {
	if _, there := c.known[account]; !there && len(c.known) >= c.max {
		for other := range c.known {
			delete(c.known, other)
			break
		}
	}
	c.known[strings.Clone(account)] = hash // it may lie in a frame
}

// of returns the hash of an account's picture.
func (c *photos) of(ctx context.Context, account string) (string, error) {
	c.mu.Lock()
	hash, known := c.known[account]
	changes := c.changes
	c.mu.Unlock()
	if known {
		return hash, nil
	}
	it, _, err := c.store.Get(ctx, account, storage, photoKey)
	if err != nil {
		return "", err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.changes == changes { // else it may be older than what was set
		c.put(account, string(it.Value))
	}
	return string(it.Value), nil
}

// completes reports whether p is presence of a client, to all, that says nothing
// of pictures. One that knows them says at least that it is not ready to
// (XEP-0153 section 4.1).
func (s *service) completes(p *packet.Packet) bool {
	if !s.args.Photo || p.Kind != packet.Session || p.Flags&packet.Down != 0 || p.Name != "presence" || p.NS != "" || p.Type != "" || p.To != "" {
		return false
	}
	_, says := xml.Find(p.Body, ns.Client, "x", ns.VCardUpdate)
	return !says
}

// patience is how long a presence waits for storage.
const patience = time.Second

// presence adds to a presence which picture its account has. It goes
// without if storage does not answer.
func (s *service) presence(ctx context.Context, p *packet.Packet) {
	if !s.completes(p) {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	hash, err := s.photos.of(ctx, packet.Bare(p.From))
	if err != nil {
		s.env.Log().Warn("presence goes without the picture: "+err.Error(), "account", packet.Bare(p.From))
		return
	}
	if hash == "" {
		return
	}
	body := xml.AppendStart(append(make([]byte, 0, len(p.Body)+128), p.Body...), "x", ns.VCardUpdate)
	body = xml.AppendElement(body, "photo", "", hash)
	p.Body = xml.AppendEnd(body, "x")
}
