package admin

import (
	"context"
	"crypto/rand"
	"strings"
	"sync"
	"time"

	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sdk/account"
	"github.com/jabberii/server/plugins/sdk/xdb"
	"github.com/jabberii/server/plugins/xmpp/ns"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

// A notice is what each account of a host is told once: the message of the day, or the
// welcome to those who are new. It is in namespace "motd" of the host's storage; of an
// account's, it has the id of the one that the account was told. The zero notice is none.
type notice struct {
	id, text string
	since    time.Time
}

// A board has the notices of a host.
type board struct{ motd, welcome notice }

const (
	boardNS    = "motd"
	motdKey    = "text"
	welcomeKey = "welcome"
	noticeNS   = "urn:jabberd:motd"
)

func newNotice(text string) notice { return notice{rand.Text(), text, time.Now()} }

func (n notice) body() []byte { return xml.AppendElement(nil, "body", "", n.text) }

func (n notice) lines() []string {
	if n.text == "" {
		return nil
	}
	return strings.Split(n.text, "\n")
}

func parseNotice(value []byte) notice {
	el, ok := xml.First(value, noticeNS)
	if !ok {
		return notice{}
	}
	since, _ := time.Parse(time.RFC3339, el.Attr("since")) // one without is for all
	return notice{el.Attr("id"), el.Text(), since}
}

// notices are those of the hosts, and who was told.
type notices struct {
	store  *xdb.Store
	boards recent[board]

	mu   sync.Mutex
	told map[[2]string]string // by account and key: the id of the last one, of some accounts
}

// maxTold is of how many accounts it is kept in memory what they were told.
const maxTold = 20000

// of returns the notices of a host.
func (t *notices) of(ctx context.Context, host string) (board, error) {
	return t.boards.get(ctx, host, func(ctx context.Context, host string) (b board, err error) {
		items, err := t.store.GetAll(ctx, host, boardNS)
		for _, it := range items {
			switch it.Key {
			case motdKey:
				b.motd = parseNotice(it.Value)
			case welcomeKey:
				b.welcome = parseNotice(it.Value)
			}
		}
		return b, err
	})
}

// set makes a notice that of a host; the zero notice takes it away.
func (t *notices) set(ctx context.Context, host, key string, n notice) error {
	defer t.boards.forget(host)
	if n.id == "" {
		return t.store.Delete(ctx, host, boardNS, key)
	}
	_, err := t.store.Put(ctx, host, boardNS, key, xml.AppendElement(nil, "motd", noticeNS, n.text, "id", n.id, "since", n.since.UTC().Format(time.RFC3339Nano)))
	return err
}

// tells notes that an account is told a notice, and reports whether it is to be: of
// several who are about to tell it, one does. again has one told that has been before.
func (t *notices) tells(ctx context.Context, jid, key string, n notice, again bool) (bool, error) {
	mark := [2]string{jid, key}
	t.mu.Lock()
	last := t.told[mark]
	t.mu.Unlock()
	if n.id == "" || last == n.id && !again {
		return false, nil
	}
	fresh, err := t.mark(ctx, jid, key, n, again)
	if err != nil {
		return false, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.told == nil || len(t.told) >= maxTold {
		t.told = map[[2]string]string{}
	}
	t.told[mark] = n.id
	return fresh, nil
}

// mark is tells in storage.
func (t *notices) mark(ctx context.Context, jid, key string, n notice, again bool) (bool, error) {
	if key == welcomeKey { // only those who came after it was set are new
		made, err := account.Created(ctx, t.store, jid)
		if err != nil || made.IsZero() || made.Before(n.since) {
			return false, err
		}
	}
	item := "told"
	if key != motdKey {
		item += " " + key
	}
	it, _, err := t.store.Get(ctx, jid, boardNS, item)
	if err != nil {
		return false, err
	}
	if string(it.Value) == n.id {
		return again, nil
	}
	_, err = t.store.CompareAndSet(ctx, jid, boardNS, item, it.Rev, []byte(n.id))
	if xdb.IsConflict(err) {
		return false, nil
	}
	return err == nil, err
}

// isGreeted reports whether p is the presence of a client to all.
func isGreeted(p *packet.Packet) bool {
	return p.Kind == packet.Session && p.Flags&packet.Down == 0 && p.Name == "presence" && p.NS == "" && p.Type == "" && p.To == "" && packet.Resource(p.From) != ""
}

// greet tells a client that has come the notices that its account has not been told. One
// that comes again after a death is told again: nobody knows whether it was. The shorter
// of the two contexts is for storage.
func (s *service) greet(ctx, short context.Context, p *packet.Packet) error {
	b, err := s.notices.of(short, packet.Domain(p.From))
	again := p.Flags&packet.Redelivered != 0
	for _, x := range []struct {
		key string
		n   notice
	}{{welcomeKey, b.welcome}, {motdKey, b.motd}} {
		fresh := false
		if err == nil {
			fresh, err = s.notices.tells(short, packet.Bare(p.From), x.key, x.n, again)
		}
		if !fresh {
			continue
		}
		// To this client only: the others have it, or get it by themselves.
		body := xml.AppendEmpty(x.n.body(), "private", ns.Carbons)
		body = xml.AppendEmpty(body, "no-copy", ns.Hints)
		if err := s.env.Deliver(ctx, &packet.Packet{Kind: packet.Normal, To: p.From, From: packet.Domain(p.From), Name: "message", Body: body}); err != nil {
			return err
		}
	}
	if err != nil { // presence does not depend on it
		s.env.Log().Warn("what is to be told is not: "+err.Error(), "account", packet.Bare(p.From))
	}
	return nil
}
