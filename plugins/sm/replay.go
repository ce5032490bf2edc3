package sm

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sdk/journal"
)

// A replay makes the sessions of before out of the records of the journal. A
// record may be about a session whose state comes only later, since what was
// before it has been released.
type replay struct {
	s        *Service
	sessions map[packet.Token]*session
	ending   map[packet.Token]bool
	pending  map[packet.Token][]unhandled

	spooling map[packet.Token]string // accounts of sessions that were being given offline messages
	taken    map[string][]string     // by account: keys of offline messages that clients have
	accounts map[string]*account     // those of both

	guarded map[packet.Token]bool // whose accounts may have privacy lists

	newer bool // a state had something that this build does not know
}

// unhandled is a stanza of a client whose handling had not ended.
type unhandled struct {
	in inbound
	p  packet.Packet
}

func newReplay(s *Service) *replay {
	return &replay{
		s: s, sessions: map[packet.Token]*session{}, ending: map[packet.Token]bool{},
		pending: map[packet.Token][]unhandled{}, spooling: map[packet.Token]string{}, taken: map[string][]string{}, accounts: map[string]*account{},
		guarded: map[packet.Token]bool{},
	}
}

// record takes a record.
func (r *replay) record(at journal.Pos, b []byte) error {
	in := reader{b: b}
	switch kind(in.byte()) {
	case recState:
		r.state(at, &in)
	case recEnding:
		r.ending[in.token()] = true
	case recEnd:
		token := in.token()
		delete(r.sessions, token)
		delete(r.ending, token)
	case recIn:
		r.in(at, &in)
	case recDone:
		token, number := in.token(), in.uint()
		r.pending[token] = slices.DeleteFunc(r.pending[token], func(u unhandled) bool { return u.in.number == number })
	case recOut:
		r.out(at, &in)
	case recAck:
		if x, number := r.sessions[in.token()], in.uint(); x != nil && x.isManaged() && number > x.managed.acked {
			n := min(number-x.managed.acked, uint64(x.managed.queue.len()))
			if keys := x.managed.queue.drop(int(n)); len(keys) > 0 {
				jid := packet.Bare(x.jid)
				r.taken[jid] = append(r.taken[jid], keys...)
			}
			x.managed.acked = number
		}
	case recDirected:
		x, jid, sees := r.sessions[in.token()], in.string(), in.bool()
		if x != nil {
			x.show(jid, sees)
		}
	case recSkip:
		x, number := r.sessions[in.token()], in.uint()
		if x != nil && x.isManaged() && number > x.managed.acked && number <= x.managed.last() {
			x.managed.queue.remove(int(number - x.managed.acked - 1))
		}
	default:
		return errNewer
	}
	if r.newer {
		return errNewer
	}
	if in.bad {
		return errRecord
	}
	return nil
}

func (r *replay) state(at journal.Pos, in *reader) {
	token := in.token()
	x := r.sessions[token]
	if x == nil {
		x = &session{token: token, recorded: true, place: at}
	}
	x.jid = in.string()
	x.resource = packet.Resource(x.jid)
	x.conn, x.seq, x.base = in.token(), in.uint(), in.uint()
	x.interested = in.bool()
	spooling := in.bool()
	x.priority = int8(in.byte())
	x.presence = nil
	if in.bool() {
		p := in.stanza()
		x.presence = shownBy(&p)
	}
	if in.bool() {
		if x.managed == nil {
			x.managed = r.s.newManaged(x)
		}
		m := x.managed
		for i := range m.id {
			m.id[i] = in.byte()
		}
		m.kind = helloKind(in.byte())
		m.max, m.lost = time.Duration(in.uint()), moment(in.uint())
		m.received = max(m.received, in.uint())
		acked := in.uint()
		if m.queue.len() == 0 {
			m.acked = max(m.acked, acked)
		}
		m.first, m.helloH = in.uint(), in.uint()
	} else {
		x.seq = 0 // its stanzas are not in the journal; what comes again has to be handled
	}
	r.additions(x, in)
	if in.bad {
		return
	}
	r.sessions[token] = x
	if spooling {
		r.spooling[token] = packet.Bare(x.jid)
	} else {
		delete(r.spooling, token)
	}
}

// additions reads what states did not always have.
func (r *replay) additions(x *session, in *reader) {
	x.carbons, x.inactive, x.active, x.blocking = false, false, "", false
	guarded := false
	for len(in.b) > 0 {
		tag, value := in.byte(), in.bytes()
		switch tag {
		case tagCarbons:
			x.carbons = true
		case tagInactive:
			x.inactive = true
		case tagActive:
			x.active = string(value)
		case tagBlocking:
			x.blocking = true
		case tagGuarded:
			guarded = true
		case tagRefused:
			if x.isManaged() {
				x.managed.refused, _ = strconv.ParseUint(string(value), 10, 64)
			}
		default:
			r.newer = true
		}
	}
	if guarded {
		r.guarded[x.token] = true
	} else {
		delete(r.guarded, x.token)
	}
}

func (r *replay) in(at journal.Pos, in *reader) {
	token, number, seq, p := in.token(), in.uint(), in.uint(), in.stanza()
	if in.bad {
		return
	}
	r.pending[token] = append(r.pending[token], unhandled{in: inbound{number: number, left: 1, place: at}, p: p})
	if x := r.sessions[token]; x != nil && x.isManaged() && number > x.managed.received {
		x.managed.received = number
		if p.Name == refusedName && p.Attrs != "" {
			x.managed.refused = max(x.managed.refused, seq)
			return
		}
		x.seq = max(x.seq, seq)
	}
}

func (r *replay) out(at journal.Pos, in *reader) {
	type target struct {
		x      *session
		number uint64
	}
	var targets []target
	n := in.uint()
	for i := uint64(0); i < n && !in.bad; i++ {
		targets = append(targets, target{r.sessions[in.token()], in.uint()})
	}
	q := queued{at: int64(in.uint()), stored: in.string(), place: at}
	taken := in.bool()
	q.p = in.stanza()
	if in.bad {
		return
	}
	r.s.repeats.note(packet.Bare(q.p.To), &q.p)
	r.s.sawKey(q.stored)
	if len(targets) > 1 || taken {
		q.copies = &copies{taken: taken}
	}
	for _, t := range targets {
		if t.x == nil || !t.x.isManaged() || t.number != t.x.managed.last()+1 {
			if q.copies != nil && t.x == nil {
				q.copies.taken = true
			}
			continue
		}
		t.x.managed.queue.push(&q)
		if q.copies != nil {
			q.copies.held++
		}
	}
}

// finish puts the sessions where they belong.
func (r *replay) finish() {
	s := r.s
	list := make([]*session, 0, len(r.sessions))
	for token, x := range r.sessions {
		list = append(list, x)
		if m := x.managed; m != nil {
			for _, u := range r.pending[token] {
				m.pending = append(m.pending, u.in)
			}
		}
	}
	slices.SortFunc(list, func(a, b *session) int {
		return cmp.Or(cmp.Compare(a.jid, b.jid), cmp.Compare(a.token.Incarnation, b.token.Incarnation))
	})
	for _, x := range list {
		a := s.accounts.hold(packet.Bare(x.jid))
		x.account = a
		x.heard, x.recheck = s.clock.now(), true // whom others have doubted is not known
		if r.ending[x.token] || a.bound(x.resource) != nil || !s.sessions.enterAgain(x) {
			r.ending[x.token] = true
			x.ended, x.conn = true, packet.Token{}
			if x.holdsStored() {
				r.spooling[x.token] = a.jid
			}
			s.dying.add(x)
			s.accounts.release(a)
			continue
		}
		a.mu.Lock()
		a.sessions = append(a.sessions, x)
		r.unguard(a, x)
		s.sessions.connect(x, packet.Token{}, x.conn)
		if m := x.managed; m != nil {
			m.written, m.given, m.urgent = m.acked, m.last(), m.last()
			if x.conn.IsZero() {
				s.clock.wake(x, m.end())
			} else {
				s.greet(x)
			}
		}
		a.mu.Unlock()
		s.accounts.release(a)
	}
	s.sessions.findFree()
	r.beginSpools()
	if len(r.sessions)+len(r.pending) > 0 {
		s.repeats.until(s.clock.now() + remembered)
	} else {
		s.repeats.until(1) // nothing was under way
	}
}

// unguard notes that an account has no privacy lists, if no session of it says
// that there may be some. The account is locked, x the last of its sessions.
func (r *replay) unguard(a *account, x *session) {
	switch {
	case r.guarded[x.token]:
		a.guard.Store(nil)
	case len(a.sessions) == 1:
		a.guard.Store(open)
	}
}

// beginSpools has accounts wait for what is in storage for them, before anything
// else comes for them. The accounts stay in memory until endSpools.
func (r *replay) beginSpools() {
	for _, jid := range r.spooling {
		a := r.account(jid)
		a.mu.Lock()
		if a.spool == nil {
			r.s.spoolToAny(a)
		}
		a.mu.Unlock()
	}
	for jid, keys := range r.taken {
		a := r.account(jid)
		a.mu.Lock()
		a.take(keys)
		a.mu.Unlock()
	}
}

func (r *replay) account(jid string) *account {
	a := r.accounts[jid]
	if a == nil {
		a = r.s.accounts.hold(jid)
		r.accounts[jid] = a
	}
	return a
}

// recovery is how long what had begun before may hold up what comes.
const recovery = 10 * time.Second

// atOnce is how many accounts are looked after at once.
const atOnce = 32

// recover lets the sessions of before go on: what had begun is ended, what the
// clients have not acknowledged is sent again, and connections are asked
// whether they are still there.
func (s *Service) recover() {
	r := s.replay
	ctx, cancel := context.WithTimeout(s.ctx, recovery)
	defer cancel()
	for _, token := range inOrder(r.ending) {
		if x := r.sessions[token]; x != nil {
			s.buryAgain(x)
		}
	}
	for _, token := range inOrder(r.pending) {
		s.handleAgain(ctx, r.sessions[token], r.pending[token])
	}
	for _, token := range inOrder(r.sessions) {
		x := r.sessions[token]
		if x.isManaged() {
			s.drain(x)
			s.source.Flush()
		}
		a := x.account
		a.mu.Lock()
		conn := x.conn
		a.mu.Unlock()
		if !conn.IsZero() {
			s.probe(x, conn)
		}
	}
	s.endSpools(r.accounts)
	r.sessions, r.ending, r.pending, r.spooling, r.taken, r.accounts, r.guarded = nil, nil, nil, nil, nil, nil, nil
}

// endSpools goes on with what accounts have in storage, some at a time, and
// lets go of them. It does not wait.
func (s *Service) endSpools(accounts map[string]*account) {
	queue := make(chan *account, len(accounts))
	for _, a := range accounts {
		queue <- a
	}
	close(queue)
	for range min(atOnce, len(accounts)) {
		s.background.Go(func() {
			for a := range queue {
				s.forgetStored(s.ctx, a)
				s.runSpool(s.ctx, a)
				s.accounts.release(a)
			}
		})
	}
}

// inOrder returns the tokens of a map in the order of their slots.
func inOrder[V any](m map[packet.Token]V) []packet.Token {
	return slices.SortedFunc(maps.Keys(m), func(a, b packet.Token) int {
		return cmp.Or(cmp.Compare(a.Slot, b.Slot), cmp.Compare(a.Incarnation, b.Incarnation))
	})
}

// handleAgain handles stanzas of a client that were acknowledged to it. x is
// nil if the session has been forgotten since.
func (s *Service) handleAgain(ctx context.Context, x *session, list []unhandled) {
	slices.SortFunc(list, func(a, b unhandled) int { return int(a.in.number) - int(b.in.number) })
	for i := range list {
		p := &list[i].p
		p.Kind = packet.Session
		t := act{s: s, ctx: ctx, alone: true, flags: packet.Redelivered}
		switch {
		case x != nil && x.isManaged():
			t.x, t.number = x, list[i].in.number
			s.handleClient(&t, x, p)
		case p.Name == "message" && p.To != "":
			t.errand = s.errand(func() {})
			t.normal(p)
			t.errand.end()
		}
	}
}

// graves are the sessions that have ended, while what that led to has not.
type graves struct {
	mu  sync.Mutex
	set map[*session]struct{}
}

func (g *graves) add(x *session) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.set == nil {
		g.set = map[*session]struct{}{}
	}
	g.set[x] = struct{}{}
}

// oldest returns the place of the oldest record that they need, or at.
func (g *graves) oldest(at journal.Pos) journal.Pos {
	g.mu.Lock()
	list := make([]*session, 0, len(g.set))
	for x := range g.set {
		list = append(list, x)
	}
	g.mu.Unlock()
	for _, x := range list {
		x.account.mu.Lock()
		busy := x.isManaged() && len(x.managed.pending) > 0
		if busy {
			at = min(at, x.managed.pending[0].place)
		}
		if !x.buried {
			at = min(at, x.place)
		}
		forget := x.buried && !busy
		x.account.mu.Unlock()
		if forget {
			g.mu.Lock()
			delete(g.set, x)
			g.mu.Unlock()
		}
	}
	return at
}
