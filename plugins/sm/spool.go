package sm

import (
	"context"
	"slices"
	"sync/atomic"
	"time"

	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sdk/xdb"
	"github.com/jabberii/server/plugins/xmpp/privacy"
)

// A spool is the delivery of the offline messages of an account to a session.
// While there is one, the session gets nothing else that could be kept: that is
// put behind them.
type spool struct {
	x         *session
	next      *session // goes on once it is cancelled; nil is whoever is there then
	after     string   // the key of the last message that was read
	running   bool
	cancelled bool
}

// spoolSize is how many offline messages are read at once.
const spoolSize = 50

// spoolRetry is how long messages wait that storage did not give.
const spoolRetry = 30 * time.Second

// isSpooling reports whether x is still being given what came before. The
// account is locked.
func (a *account) isSpooling(x *session) bool {
	return a.spool != nil && (a.spool.x == x || a.spool.next == x)
}

// beginSpool makes a session that has become available wait until it has what
// came while nobody was there. While others are available there is nothing that
// they are not given. The account is locked; runSpool comes next.
func (s *Service) beginSpool(a *account, x *session) {
	if p := a.spool; p != nil {
		if p.cancelled && p.next == nil {
			p.next = x
			s.journalState(x)
		}
		return
	}
	for _, y := range a.sessions {
		if y != x && y.presence != nil && y.priority >= 0 {
			return
		}
	}
	s.spoolTo(a, x)
}

// spoolTo begins a spool. The journal has it before anything of the session
// that is written later, so that the next process goes on with it.
func (s *Service) spoolTo(a *account, x *session) {
	a.spool = &spool{x: x}
	a.holders++
	s.journalState(x)
}

// spoolToAny begins a spool if anybody is there to take it. The account is
// locked, and has none.
func (s *Service) spoolToAny(a *account) {
	if some := a.mostAvailable(nil); len(some) > 0 {
		s.spoolTo(a, some[0])
	}
}

// leaveSpool says that a session, which has ended, is unavailable or has a negative
// priority, takes no more offline messages: another does, if there is one. The account is locked.
func (s *Service) leaveSpool(a *account, x *session) {
	p := a.spool
	if p == nil || p.x != x && p.next != x {
		return
	}
	if p.x == x {
		p.cancelled = true
		a.signal()
	}
	if p.next == x {
		p.next = nil
	}
	if some := a.mostAvailable(nil); p.next == nil && len(some) > 0 {
		p.next = some[0]
		s.journalState(p.next)
	}
}

// runSpool delivers the offline messages of an account if a spool has begun. If
// there are any, that takes as long as the client does to read them, and a
// goroutine of its own.
func (s *Service) runSpool(ctx context.Context, a *account) {
	a.mu.Lock()
	p := a.spool
	if p == nil || p.running {
		a.mu.Unlock()
		return
	}
	p.running = true
	a.mu.Unlock()
	page, err := s.nextPage(ctx, a, p)
	if err != nil || page.done {
		s.endSpool(a, p, err)
		return
	}
	s.background.Go(func() { s.endSpool(a, p, s.spoolAll(s.ctx, a, p, page)) })
}

// endSpool lets others go on where a spool was cancelled.
func (s *Service) endSpool(a *account, p *spool, err error) {
	defer s.accounts.release(a)
	failed := err != nil && s.ctx.Err() == nil
	if failed {
		s.env.Log().Error("offline messages are not delivered: "+err.Error(), "session", p.x.jid)
	}
	a.mu.Lock()
	if a.spool == p {
		a.spool = nil
		switch {
		case err != nil:
		case p.next != nil:
			s.spoolTo(a, p.next)
		case p.cancelled:
			s.spoolToAny(a)
		}
	}
	retry := failed && !a.retrying
	a.retrying = a.retrying || retry
	a.mu.Unlock()
	if retry {
		s.background.Go(func() { s.spoolLater(a.jid) })
	}
	s.runSpool(s.ctx, a)
}

// spoolLater tries again to deliver what storage did not give.
func (s *Service) spoolLater(jid string) {
	select {
	case <-time.After(spoolRetry):
	case <-s.ctx.Done():
		return
	}
	a := s.accounts.hold(jid)
	defer s.accounts.release(a)
	a.mu.Lock()
	a.retrying = false
	if a.spool == nil {
		s.spoolToAny(a)
	}
	a.mu.Unlock()
	s.runSpool(s.ctx, a)
}

// spoolAll delivers pages of messages until none is left.
func (s *Service) spoolAll(ctx context.Context, a *account, p *spool, n page) (err error) {
	for !n.done {
		if n.empty {
			err = s.awaitStored(ctx, a, p, n.kept)
		} else {
			err = s.spoolPage(ctx, a, p, n.items)
		}
		if err == nil {
			n, err = s.nextPage(ctx, a, p)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// A page is what a spool found in storage.
type page struct {
	items []xdb.Item // those that nobody has yet
	empty bool       // there are none, nor others
	kept  int        // messages that had been stored before
	done  bool       // nothing is left, and nothing is being stored
}

// nextPage reads what a spool has to deliver next. When there is nothing, the
// spool is over at that moment.
func (s *Service) nextPage(ctx context.Context, a *account, p *spool) (page, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	n := page{done: p.cancelled}
	var found xdb.Page
	for read := false; !read && !n.done; {
		forgotten := a.forgotten
		n.kept = a.kept
		a.mu.Unlock()
		var err error
		found, err = s.store.Query(ctx, a.jid, offlineNS, xdb.Query{After: p.after, Max: spoolSize})
		a.mu.Lock()
		if err != nil {
			return n, err
		}
		// What has left storage meanwhile may still be in the answer.
		read, n.done = a.forgotten == forgotten, p.cancelled
	}
	if n.done {
		return n, nil
	}
	if n.empty = len(found.Items) == 0; !n.empty {
		p.after = found.Items[len(found.Items)-1].Key
		s.sawKey(p.after)
		n.items = a.untaken(found.Items)
	}
	n.done = n.empty && a.storing == 0 && a.kept == n.kept
	if n.done && a.spool == p {
		a.spool = nil
		s.journalState(p.x)
	}
	return n, nil
}

// untaken returns those of the messages in storage that no client has, and that
// wait in no queue for a client's acknowledgement. The account is locked.
func (a *account) untaken(items []xdb.Item) []xdb.Item {
	taken := map[string]bool{}
	for _, y := range a.sessions {
		if y.isManaged() {
			for _, q := range y.managed.queue.all() {
				if q.stored != "" {
					taken[q.stored] = true
				}
			}
		}
	}
	return slices.DeleteFunc(items, func(it xdb.Item) bool {
		_, had := a.taken[it.Key]
		return had || taken[it.Key]
	})
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
// they leave storage.
func (s *Service) spoolPage(ctx context.Context, a *account, p *spool, items []xdb.Item) error {
	a.mu.Lock()
	x := p.x
	if x.isManaged() {
		defer a.mu.Unlock()
		return s.spoolManaged(ctx, a, p, items)
	}
	if p.cancelled {
		a.mu.Unlock()
		return nil
	}
	conn := x.conn
	x.given = true // if its client enables stream management meanwhile, that begins behind them
	a.mu.Unlock()
	defer s.gaveDirectly(x)
	var refused atomic.Bool
	ended := make(chan struct{})
	e := s.errand(func() { close(ended) })
	e.refused = func() { refused.Store(true) }
	keys := make([]string, 0, len(items))
	for i := range items {
		keys = append(keys, items[i].Key)
		a.mu.Lock()
		q, ok := a.readFor(x, items[i].Value)
		a.mu.Unlock()
		if ok {
			s.repeats.note(a.jid, &q)
			q.Kind, q.Flags, q.Host, q.Section, q.Near, q.Far, q.Seq = packet.Session, packet.Down, conn.Host, conn.Section, x.token, conn, 0
			e.deliver(&q)
		}
	}
	e.end()
	select {
	case <-ended:
	case <-ctx.Done():
		return ctx.Err()
	}
	a.mu.Lock()
	if refused.Load() {
		p.cancelled = true // the connection is gone
		a.mu.Unlock()
		return nil
	}
	a.take(keys)
	a.mu.Unlock()
	s.forgetStored(ctx, a)
	return nil
}

// gaveDirectly says that what was on its way to a session has reached the
// connection, or that there is none any more.
func (s *Service) gaveDirectly(x *session) {
	x.account.mu.Lock()
	x.given = false
	managed := x.isManaged()
	x.account.mu.Unlock()
	if managed {
		s.drain(x)
		s.source.Flush()
	}
}

// spoolManaged is spoolPage for a session with stream management: the messages
// go into its queue, as far as that leaves room for others, and leave storage
// when the client has acknowledged them. The account is locked.
func (s *Service) spoolManaged(ctx context.Context, a *account, p *spool, items []xdb.Item) error {
	for len(items) > 0 && !p.cancelled {
		t := act{s: s, ctx: ctx, alone: true}
		n := 0
		for ; n < len(items) && s.hasSpoolRoom(p.x); n++ {
			q, ok := a.readFor(p.x, items[n].Value)
			if !ok { // nobody can, or may
				a.take([]string{items[n].Key})
				continue
			}
			t.stored = items[n].Key
			t.down(a, []*session{p.x}, &q)
		}
		if n == 0 {
			if err := s.await(ctx, a); err != nil {
				return err
			}
			continue
		}
		items = items[n:]
		p.x.managed.late = p.x.managed.last() // the next wait for it
		a.mu.Unlock()
		err := t.done()
		a.mu.Lock()
		if err != nil {
			return err
		}
	}
	return nil
}

// readFor reads a message in storage for a session, and reports whether it may
// have it: its sender may have been blocked since. The account is locked.
func (a *account) readFor(x *session, value []byte) (packet.Packet, bool) {
	p, ok := readMessage(value)
	return p, ok && !a.denies(x, privacy.Message, p.From)
}

// hasSpoolRoom reports whether the queue of a managed session takes an offline
// message: they fill the half of it. The account is locked.
func (s *Service) hasSpoolRoom(x *session) bool {
	limits := &s.args().Management
	return x.managed.queue.len() < max(limits.Queue/2, 1) && x.managed.queue.bytes < int(limits.Size/2)
}

// take notes that a client has messages that are still in storage. The account
// is locked; forgetStored comes next.
func (a *account) take(keys []string) {
	if a.taken == nil && len(keys) > 0 {
		a.taken = map[string]struct{}{}
	}
	for _, key := range keys {
		a.taken[key] = struct{}{}
	}
}

// forgetStored takes out of storage what clients have. What stays there, since
// storage fails, is tried with the next; if sm forgets the account before, it
// comes again, which is better than that it is lost.
func (s *Service) forgetStored(ctx context.Context, a *account) {
	a.mu.Lock()
	changes := make([]xdb.Change, 0, len(a.taken))
	for key := range a.taken {
		changes = append(changes, xdb.Change{Op: xdb.Delete, NS: offlineNS, Key: key})
	}
	a.mu.Unlock()
	for some := range slices.Chunk(changes, xdb.MaxChanges) {
		if err := s.store.Batch(ctx, a.jid, some); err != nil {
			s.env.Log().Error("delivered messages stay in storage: "+err.Error(), "account", a.jid)
			return
		}
		a.mu.Lock()
		for i := range some {
			delete(a.taken, some[i].Key)
		}
		a.stored.count = unknown
		a.forgotten++
		a.mu.Unlock()
	}
}
