package sm

import (
	"context"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sdk/xdb"
	"github.com/jabberii/server/plugins/xmpp/ns"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

// Offline messages (XEP-0160) are a queue in the account's storage. A session
// that becomes available first gets them all, in order; until it has them,
// what comes meanwhile is put behind them.
const offlineNS = "offline"

// spoolPage is how many offline messages are delivered at once.
const spoolPage = 50

// A spool is the delivery of the offline messages of an account to a session.
type spool struct {
	x         *session
	after     string // the key of the last that some session has already
	cancelled bool
}

func (p *spool) cancel() { p.cancelled = true }

// isSpooling reports whether x is still being given what came before. The
// account is locked.
func (a *account) isSpooling(x *session) bool { return a.spool != nil && a.spool.x == x }

// keep stores a message for an account that has nobody to take it. It reports
// false if meanwhile there is somebody.
func (s *Service) keep(ctx context.Context, p *packet.Packet) (bool, error) {
	a := s.accounts.hold(packet.Bare(p.To))
	defer s.accounts.release(a)
	a.mu.Lock()
	var room [8]*session
	if _, where := a.route(p, room[:0]); where != toStorage {
		a.mu.Unlock()
		return false, nil
	}
	known, stored := len(a.sessions) > 0, a.stored
	a.storing++
	a.mu.Unlock()
	added, err := s.storeMessage(ctx, a, p, known, stored)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.storing--
	a.kept++
	if added && a.stored >= 0 {
		a.stored++
	}
	a.signal()
	return err == nil, err
}

// storeMessage stores a message for an account of which it may be known that it
// exists, and how many it has stored. It reports whether there is one more.
func (s *Service) storeMessage(ctx context.Context, a *account, p *packet.Packet, known bool, stored int) (bool, error) {
	if s.args().Offline.Max == 0 {
		return false, unavailable()
	}
	if !known {
		if there, err := s.exists(ctx, a.jid); err != nil {
			return false, err
		} else if !there {
			return false, unavailable()
		}
	}
	if isFleeting(p) {
		return false, nil
	}
	if stored < 0 {
		n, err := s.countStored(ctx, a)
		if err != nil {
			return false, err
		}
		stored = n
	}
	if stored >= s.args().Offline.Max {
		return false, packet.Refuse("service-unavailable", "too many messages wait for the recipient")
	}
	value := storedMessage(p, packet.Domain(a.jid), time.Now())
	if p.Flags&packet.Redelivered != 0 {
		if there, err := s.isStored(ctx, a.jid, p); err != nil || there {
			return false, err
		}
	}
	_, err := s.store.Append(ctx, a.jid, offlineNS, packet.Bare(p.From), value)
	return err == nil, err
}

// countStored counts the messages of an account in storage, and remembers it.
func (s *Service) countStored(ctx context.Context, a *account) (int, error) {
	page, err := s.store.Query(ctx, a.jid, offlineNS, xdb.Query{Max: -1, Count: true})
	if err != nil {
		return 0, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.storing == 1 { // nobody else adds
		a.stored = page.Count
	}
	return page.Count, nil
}

// isStored reports whether a message that comes again is in storage.
func (s *Service) isStored(ctx context.Context, jid string, p *packet.Packet) (bool, error) {
	page, err := s.store.Query(ctx, jid, offlineNS, xdb.Query{With: packet.Bare(p.From), Reverse: true})
	if err != nil {
		return false, err
	}
	for _, it := range page.Items {
		q, ok := readMessage(it.Value)
		if ok && q.From == p.From && q.ID == p.ID && q.Type == p.Type && strings.HasPrefix(string(q.Body), string(p.Body)) {
			return true, nil
		}
	}
	return false, nil
}

// isFleeting reports whether a message is of no use later: it says only that
// somebody is typing, or its sender wants it not to be kept (XEP-0334).
func isFleeting(p *packet.Packet) bool {
	state, other := false, false
	for el := range xml.Elements(p.Body, ns.Client) {
		switch {
		case el.Is("no-store", ns.Hints):
			return true
		case el.NS() == ns.ChatStates:
			state = true
		case el.Is("thread", ns.Client) || el.Is("no-copy", ns.Hints):
		default:
			other = true
		}
	}
	return state && !other
}

// withDelay adds to the content of a message since when it has waited
// (XEP-0203), unless that is said already.
func withDelay(body []byte, domain string, at time.Time) []byte {
	for el := range xml.Elements(body, ns.Client) {
		if el.Is("delay", ns.Delay) && el.Attr("from") == domain {
			return body
		}
	}
	out := make([]byte, 0, len(body)+100)
	out = append(out, body...)
	return xml.AppendEmpty(out, "delay", ns.Delay, "from", domain, "stamp", at.UTC().Format("2006-01-02T15:04:05.000Z"))
}

// storedMessage is a message as it is stored.
func storedMessage(p *packet.Packet, domain string, at time.Time) []byte {
	body := withDelay(p.Body, domain, at)
	b := make([]byte, 0, len(body)+len(p.Attrs)+200)
	b = xml.AppendStart(b, "message", ns.Client, "to", p.To, "from", p.From, "type", p.Type, "id", p.ID, "xml:lang", p.Lang)
	b = append(b[:len(b)-1], p.Attrs...)
	b = append(append(b, '>'), body...)
	return xml.AppendEnd(b, "message")
}

// readMessage reads a stored message.
func readMessage(value []byte) (packet.Packet, bool) {
	el, ok := xml.First(value, ns.Client)
	if !ok {
		return packet.Packet{}, false
	}
	p := packet.Packet{
		To: el.Attr("to"), From: el.Attr("from"), Name: "message", Type: el.Attr("type"), ID: el.Attr("id"), Lang: el.Lang(),
		Body: el.Inner(),
	}
	var attrs []byte
	for at := range el.Attrs() {
		switch name := string(at.Name); {
		case at.NS == "" && (name == "to" || name == "from" || name == "type" || name == "id"), at.NS == ns.XML:
		case at.NS == "":
			attrs = xml.AppendAttr(attrs, name, at.Value)
		default:
			attrs = xml.AppendAttr(attrs, "xmlns:x", at.NS)
			attrs = xml.AppendAttr(attrs, "x:"+name, at.Value)
		}
	}
	p.Attrs = string(attrs)
	return p, true
}

// beginSpool makes a session wait until it has got what came while nobody was
// there; nil says that there can be nothing. The account is locked. runSpool
// comes next.
func (a *account) beginSpool(x *session) *spool {
	for _, y := range a.sessions {
		// What y does not take, the next session will.
		if y != x && y.presence != nil && y.priority >= 0 && !(a.isSpooling(y) && a.spool.cancelled) {
			return nil
		}
	}
	return a.spoolTo(x)
}

// spoolTo begins a spool behind what sessions have in their queues already.
func (a *account) spoolTo(x *session) *spool {
	p := &spool{x: x}
	for _, y := range a.sessions {
		if y.isManaged() {
			for _, q := range y.managed.queue.all() {
				p.after = max(p.after, q.stored)
			}
		}
	}
	a.spool = p
	a.holders++
	return p
}

// runSpool delivers the offline messages of an account. If there are any, that
// takes as long as the client does to read them, and a goroutine of its own.
func (s *Service) runSpool(ctx context.Context, a *account, p *spool) {
	page, err := s.nextPage(ctx, a, p)
	if err != nil || page.done {
		s.endSpool(a, p, err)
		return
	}
	s.spools.Add(1)
	go func() {
		defer s.spools.Done()
		s.endSpool(a, p, s.spoolAll(s.ctx, a, p, page))
	}()
}

func (s *Service) endSpool(a *account, p *spool, err error) {
	if err != nil && s.ctx.Err() == nil {
		s.env.Log().Error("offline messages are not delivered: "+err.Error(), "session", p.x.jid)
	}
	a.mu.Lock()
	if a.spool == p {
		a.spool = nil
	}
	var next *spool
	if others := a.mostAvailable(nil); p.cancelled && a.spool == nil && len(others) > 0 {
		next = a.spoolTo(others[0])
	}
	a.mu.Unlock()
	if next != nil {
		s.runSpool(s.ctx, a, next)
	}
	s.accounts.release(a)
}

// spoolAll delivers pages of messages until none is left.
func (s *Service) spoolAll(ctx context.Context, a *account, p *spool, page page) error {
	var err error
	for !page.done {
		if len(page.items) > 0 {
			more, err := s.spoolPage(ctx, a, p, page.items)
			if !more || err != nil {
				return err
			}
			p.after = page.items[len(page.items)-1].Key
		} else if err := s.awaitStored(ctx, a, p, page.kept); err != nil {
			return err
		}
		if page, err = s.nextPage(ctx, a, p); err != nil {
			return err
		}
	}
	return nil
}

// A page is what a spool found in storage.
type page struct {
	items []xdb.Item
	kept  int  // messages that had been stored before
	done  bool // nothing is left, and nothing is being stored
}

// nextPage reads what a spool has to deliver next. When there is nothing, the
// spool is over at that moment.
func (s *Service) nextPage(ctx context.Context, a *account, p *spool) (page, error) {
	a.mu.Lock()
	n := page{kept: a.kept}
	a.mu.Unlock()
	found, err := s.store.Query(ctx, a.jid, offlineNS, xdb.Query{After: p.after, Max: spoolPage})
	if err != nil {
		return n, err
	}
	n.items = found.Items
	a.mu.Lock()
	defer a.mu.Unlock()
	n.done = p.cancelled || len(n.items) == 0 && a.storing == 0 && a.kept == n.kept
	if n.done && a.spool == p {
		a.spool = nil
	}
	return n, nil
}

// awaitStored waits until what was being stored is.
func (s *Service) awaitStored(ctx context.Context, a *account, p *spool, kept int) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	for !p.cancelled && a.kept == kept && a.storing > 0 {
		if err := s.await(ctx, a); err != nil {
			return err
		}
	}
	return nil
}

// spoolPage delivers some messages and waits until the session has them; then
// they leave storage. It reports false if the session is gone.
func (s *Service) spoolPage(ctx context.Context, a *account, p *spool, items []xdb.Item) (bool, error) {
	a.mu.Lock()
	if p.cancelled {
		a.mu.Unlock()
		return false, nil
	}
	x := p.x
	if x.isManaged() {
		return s.spoolManaged(ctx, a, p, items)
	}
	conn := x.conn
	x.strange = s.clock.now()
	a.mu.Unlock()
	var refused atomic.Bool
	ended := make(chan struct{})
	e := s.errand(func() { close(ended) })
	e.refused = func() { refused.Store(true) }
	for i := range items {
		q, ok := readMessage(items[i].Value)
		if !ok {
			continue
		}
		q.Kind, q.Flags, q.Host, q.Section, q.Near, q.Far = packet.Session, packet.Down, conn.Host, conn.Section, x.token, conn
		e.deliver(&q)
	}
	e.end()
	select {
	case <-ended:
	case <-ctx.Done():
		return false, ctx.Err()
	}
	if refused.Load() {
		return false, nil
	}
	s.forgetStored(ctx, a, items[len(items)-1].Key)
	return true, nil
}

// spoolManaged is spoolPage for a session with stream management: the messages
// go into its queue, and leave storage when the client has acknowledged them.
// The account is locked.
func (s *Service) spoolManaged(ctx context.Context, a *account, p *spool, items []xdb.Item) (bool, error) {
	x := p.x
	t := act{s: s, ctx: ctx, alone: true}
	for i := range items {
		for s.isFull(x) && !p.cancelled {
			if err := s.await(ctx, a); err != nil {
				a.mu.Unlock()
				return false, err
			}
		}
		if p.cancelled {
			break
		}
		if q, ok := readMessage(items[i].Value); ok {
			t.stored = items[i].Key
			t.down(a, []*session{x}, &q)
		}
	}
	a.mu.Unlock()
	if err := t.done(); err != nil {
		return false, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for !p.cancelled && x.managed.holdsStored() {
		if err := s.await(ctx, a); err != nil {
			return false, err
		}
	}
	return !p.cancelled, nil
}

// holdsStored reports whether an offline message waits for the client.
func (m *managed) holdsStored() bool {
	for _, q := range m.queue.all() {
		if q.stored != "" {
			return true
		}
	}
	return false
}

// forgetStored takes the offline messages up to a key out of storage. If that
// fails they come again, which is better than that they are lost.
func (s *Service) forgetStored(ctx context.Context, a *account, key string) {
	a.mu.Lock()
	a.stored = -1
	a.mu.Unlock()
	// Keys have all the same length, so that this one is before the next.
	if err := s.store.Drop(ctx, a.jid, offlineNS, key+"0"); err != nil {
		s.env.Log().Error("delivered messages stay in storage: "+err.Error(), "account", a.jid)
	}
}

// reroute sends what the client of an ended session has not acknowledged where
// it would go without the session (XEP-0198 section 4).
func (s *Service) reroute(t *act, x *session) {
	m := x.managed
	if m == nil {
		return
	}
	x.account.mu.Lock()
	number := m.acked
	var list []packet.Packet
	for _, q := range m.queue.all() {
		number++
		if q.copies != nil {
			q.copies.held--
			if q.copies.taken || q.copies.held > 0 {
				continue
			}
		}
		if p, ok := q.again(); ok {
			p.Near, p.Seq = x.token, number
			list = append(list, p)
		}
	}
	m.queue = queue{pool: m.queue.pool}
	x.account.mu.Unlock()
	for i := range list {
		t.normal(&list[i])
	}
}

// again is what becomes of a stanza that its session has not taken.
func (q *queued) again() (packet.Packet, bool) {
	p := q.p
	switch {
	case q.stored != "": // it is in storage
		return p, false
	case p.Name == "message" && isKept(p.Type):
		p.To = packet.Bare(p.To)
		p.Body = withDelay(p.Body, packet.Domain(p.To), time.UnixMilli(q.at))
		return p, true
	case p.Name == "message" && p.Type == "groupchat", p.Name == "iq" && (p.Type == "get" || p.Type == "set"):
		return packet.Packet{
			To: p.From, From: p.To, Name: p.Name, Type: "error", ID: p.ID, Body: errorBody(packet.Refuse("service-unavailable", "")),
		}, true
	}
	return p, false
}
