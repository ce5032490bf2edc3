package admin

import (
	"context"
	"crypto/rand"
	"strings"
	"sync"
	"time"

	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sdk/xdb"
	"github.com/jabberii/server/plugins/xmpp/ns"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

// A motd is a message of the day. It is in namespace "motd" of the host's
// storage; of an account's, it has the id of the one that the account was told.
// The zero motd is none.
type motd struct{ id, text string }

const (
	storage = "motd"
	textKey = "text"
	toldKey = "told"
	motdNS  = "urn:jabberd:motd"
)

func newMotd(text string) motd { return motd{rand.Text(), text} }

func (m motd) body() []byte { return xml.AppendElement(nil, "body", "", m.text) }

func (m motd) lines() []string {
	if m.text == "" {
		return nil
	}
	return strings.Split(m.text, "\n")
}

// motds are those of the hosts, and who was told.
type motds struct {
	store *xdb.Store

	mu      sync.Mutex
	hosts   map[string]motd
	changes int
	told    map[string]string // by account: the id of the last one, of some accounts
}

// maxTold is of how many accounts it is kept in memory what they were told.
const maxTold = 20000

func (t *motds) init(store *xdb.Store) {
	t.store, t.hosts, t.told = store, map[string]motd{}, map[string]string{}
}

// of returns the message of a host, which it reads once.
func (t *motds) of(ctx context.Context, host string) (motd, error) {
	t.mu.Lock()
	m, known := t.hosts[host]
	changes := t.changes
	t.mu.Unlock()
	if known {
		return m, nil
	}
	it, found, err := t.store.Get(ctx, host, storage, textKey)
	if err != nil {
		return motd{}, err
	}
	if el, ok := xml.First(it.Value, motdNS); found && ok {
		m = motd{el.Attr("id"), el.Text()}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.changes == changes {
		t.hosts[host] = m
	}
	return m, nil
}

// set makes a message that of a host; the zero motd takes it away.
func (t *motds) set(ctx context.Context, host string, m motd) error {
	var err error
	if m.id == "" {
		err = t.store.Delete(ctx, host, storage, textKey)
	} else {
		_, err = t.store.Put(ctx, host, storage, textKey, xml.AppendElement(nil, "motd", motdNS, m.text, "id", m.id))
	}
	if err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.changes++
	t.hosts[host] = m
	return nil
}

// tells notes that an account is told a message, and reports whether it had not
// been.
func (t *motds) tells(ctx context.Context, account, id string) (bool, error) {
	t.mu.Lock()
	last := t.told[account]
	t.mu.Unlock()
	if last == id {
		return false, nil
	}
	it, _, err := t.store.Get(ctx, account, storage, toldKey)
	if err != nil {
		return false, err
	}
	fresh := string(it.Value) != id
	if fresh {
		if _, err := t.store.Put(ctx, account, storage, toldKey, []byte(id)); err != nil {
			return false, err
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.told) >= maxTold {
		clear(t.told)
	}
	t.told[account] = id
	return fresh, nil
}

// patience is how long a presence waits for storage.
const patience = time.Second

// isGreeted reports whether p is the presence of a client to all.
func isGreeted(p *packet.Packet) bool {
	return p.Kind == packet.Session && p.Flags&packet.Down == 0 && p.Name == "presence" && p.NS == "" && p.Type == "" && p.To == "" && packet.Resource(p.From) != ""
}

// greet tells a client that has come the message of the day, if its account has
// not been told. One that comes again after a death is told again: nobody knows
// whether it was.
func (s *service) greet(ctx context.Context, p *packet.Packet) error {
	if !isGreeted(p) {
		return nil
	}
	short, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	m, err := s.motds.of(short, packet.Domain(p.From))
	if err == nil && m.id == "" {
		return nil
	}
	fresh := false
	if err == nil {
		fresh, err = s.motds.tells(short, packet.Bare(p.From), m.id)
	}
	if err != nil { // presence does not depend on it
		s.env.Log().Warn("no message of the day: "+err.Error(), "account", packet.Bare(p.From))
		return nil
	}
	if !fresh && p.Flags&packet.Redelivered == 0 {
		return nil
	}
	// To this client only: the others have it, or get it by themselves.
	body := xml.AppendEmpty(m.body(), "private", ns.Carbons)
	body = xml.AppendEmpty(body, "no-copy", ns.Hints)
	return s.env.Deliver(ctx, &packet.Packet{Kind: packet.Normal, To: p.From, From: packet.Domain(p.From), Name: "message", Body: body})
}
