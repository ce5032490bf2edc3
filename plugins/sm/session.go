package sm

import (
	"context"
	"slices"

	"github.com/jabberii/server/jabberd/packet"
	logged "github.com/jabberii/server/plugins/sdk/entry"
	"github.com/jabberii/server/plugins/sdk/journal"
	"github.com/jabberii/server/plugins/sdk/sessions"
	"github.com/jabberii/server/plugins/xmpp/ns"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

// A session is what a client has bound: a resource of an account. All but the
// first fields are guarded by the account's lock.
type session struct {
	token    packet.Token
	account  *account
	jid      string // full
	resource string

	conn  packet.Token // of the connection; zero while it has none
	seq   uint64       // of the last packet of the connection
	base  uint64       // sum of these of the connections before
	heard moment       // when the connection was last heard of
	ended bool
	given bool // offline messages are on their way to it that nobody counts

	presence   *shown // as subscribers see it; nil while unavailable
	priority   int8
	interested bool                // it has asked for the roster, and is told of changes
	directed   map[string]struct{} // addresses beside subscribers that see the presence
	carbons    bool                // it wants copies of what the account's others say and get, see carbons.go
	inactive   bool                // its client says that nobody looks at it, see clientstate.go
	active     string              // the privacy list that it has chosen, "" is the default one, see lists.go
	blocking   bool                // it has asked for the block list, and is told of changes

	managed *managed // stream management, nil while it is not enabled
	recheck bool     // its client has proved something that may count no more
	strange moment   // when a stanza of somebody else last went to it directly
	due     moment   // when the clock looks at it; 0 is never

	recorded bool        // it is in the journal
	place    journal.Pos // of the first of its records that count
	buried   bool        // it has ended, and so has what that led to
}

// isManaged reports whether stanzas to x are counted.
func (x *session) isManaged() bool { return x.managed != nil }

// up handles a packet from a connection.
func (s *Service) up(ctx context.Context, p *packet.Packet) (packet.Verdict, error) {
	if p.Flags&packet.Down != 0 {
		return packet.Pass, nil
	}
	if (isStanza(p) || p.NS != "") && !s.isReady() {
		if err := s.awaitReady(ctx); err != nil {
			return packet.Pass, err
		}
	}
	var x *session
	if p.Far.IsZero() {
		x = s.sessions.of(p.Near)
	} else if x = s.sessions.find(p.Far); x == nil {
		return packet.Pass, nil // so that the connection is told that its session has ended
	}
	switch {
	case isStanza(p) && x != nil:
		return s.client(ctx, x, p)
	case p.NS == "":
		return s.connection(ctx, x, p)
	case p.NS == sessions.Refused:
		return s.refusedBefore(ctx, x, p)
	case p.NS == ns.StreamManagement:
		return s.manage(ctx, x, p)
	case p.NS == ns.ClientState:
		return s.clientState(x, p)
	case p.NS == ns.Bind2 && p.Name == "bind":
		return s.bindInline(ctx, x, p)
	}
	return s.refuseStream(ctx, p, "unsupported-stanza-type")
}

// isStanza reports whether p is a stanza of the client.
func isStanza(p *packet.Packet) bool {
	return p.NS == "" && (p.Name == "message" || p.Name == "presence" || p.Name == "iq")
}

// connection handles what c2s itself has to say, and what a client says before
// it has a session.
func (s *Service) connection(ctx context.Context, x *session, p *packet.Packet) (packet.Verdict, error) {
	switch p.Name {
	case "open", "sync":
		if x != nil {
			s.hear(x, p)
		}
		return packet.Claim, nil
	case "close":
		if x != nil {
			s.closed(x, p.Near, p.Type != "end")
		}
		return packet.Claim, nil
	case "end": // what went down had nobody to go to
		if x != nil && p.Flags&packet.Bounced != 0 && s.closed(x, p.Near, true) {
			s.doubt(p.Near.Section)
		}
		return packet.Claim, nil
	case "iq":
		return s.bind(ctx, p)
	}
	if isStanza(p) {
		return s.refuseStream(ctx, p, "not-authorized")
	}
	return s.refuseStream(ctx, p, "unsupported-stanza-type")
}

// hear notes that a connection is alive, and reports whether p is one of its
// packets that has not been seen.
func (s *Service) hear(x *session, p *packet.Packet) bool {
	x.account.mu.Lock()
	defer x.account.mu.Unlock()
	return s.isNew(x, p)
}

// isNew is hear with the account locked.
func (s *Service) isNew(x *session, p *packet.Packet) bool {
	if x.ended || p.Near != x.conn {
		return false // a connection that the session has left
	}
	x.heard = s.clock.now()
	if p.Seq == 0 {
		return true
	}
	if p.Seq <= x.seq {
		return false
	}
	x.seq = p.Seq
	return true
}

// refuseStream ends the stream of a client that does what it must not.
func (s *Service) refuseStream(ctx context.Context, p *packet.Packet, condition string) (packet.Verdict, error) {
	return packet.Claim, s.env.Deliver(ctx, streamEnd(p.Near, p.Far, p.From, condition, nil))
}

// streamEnd is the packet that ends a stream with an error, or without one if
// condition is "". app is what stands in the error beside the condition.
func streamEnd(conn, session packet.Token, jid, condition string, app []byte) *packet.Packet {
	return &packet.Packet{
		Kind: packet.Session, Flags: packet.Down, Host: conn.Host, Section: conn.Section, Near: session, Far: conn,
		To: jid, Name: "end", Type: condition, Body: app,
	}
}

// closed says that a connection of a session has ended; lost that the client
// did not close its stream. It reports whether the session still had it.
func (s *Service) closed(x *session, conn packet.Token, lost bool) bool {
	a := x.account
	a.mu.Lock()
	if x.ended || x.conn != conn {
		a.mu.Unlock()
		return false
	}
	if lost && x.isManaged() && x.managed.resumable() {
		s.disconnect(x)
		a.mu.Unlock()
		s.commit()
		return true
	}
	a.mu.Unlock()
	s.finish(x, ending{})
	return true
}

// disconnect leaves a session without a connection, to be resumed. The account
// is locked.
func (s *Service) disconnect(x *session) {
	s.sessions.connect(x, x.conn, packet.Token{})
	x.base += x.seq
	x.seq = 0
	x.conn = packet.Token{}
	m := x.managed
	m.lost = s.clock.now()
	m.asked, m.owes = 0, false
	m.hello, m.refused, m.excess = nil, 0, 0
	s.journalState(x)
	s.clock.wake(x, m.end())
}

// An ending is what the connection of a session that ends is told: a stream error,
// none if the condition is "".
type ending struct{ condition, text string }

// said is what stands in the error beside the condition.
func (e ending) said() []byte {
	if e.text == "" {
		return nil
	}
	return xml.AppendElement(nil, "text", ns.StreamErrors, e.text, "xml:lang", "en")
}

// finish ends a session: its connection is told why, contacts that it is unavailable, and messages that its client has not
// acknowledged go where they would go without it (XEP-0198 section 4).
func (s *Service) finish(x *session, why ending) {
	a := x.account
	a.mu.Lock()
	if x.ended {
		a.mu.Unlock()
		return
	}
	conn := s.end(x)
	a.mu.Unlock()
	s.commit()
	s.bury(x, conn, why)
}

// end takes a session out of its account. The account is locked; bury comes
// next.
func (s *Service) end(x *session) (conn packet.Token) {
	a := x.account
	x.ended = true
	a.sessions = slices.DeleteFunc(a.sessions, func(y *session) bool { return y == x })
	conn = x.conn
	s.sessions.connect(x, conn, packet.Token{})
	s.sessions.leave(x)
	x.conn = packet.Token{}
	if m := x.managed; m != nil {
		s.expired.add(m.name(x.token), expiry{a.jid, m.received})
	}
	a.signal()
	s.dying.add(x)
	s.leaveSpool(a, x)
	if a.spool == nil && x.holdsStored() {
		s.spoolToAny(a)
	}
	s.journalEnding(x)
	return conn
}

// bury does what the end of a session leads to, and then forgets it in the
// journal.
func (s *Service) bury(x *session, conn packet.Token, why ending) {
	s.tell(logged.SessionClosed, x)
	e := s.burial(x)
	t := act{s: s, ctx: s.ctx, alone: true, errand: e}
	if !conn.IsZero() && why.condition != "" {
		t.later = append(t.later, *streamEnd(conn, x.token, x.jid, why.condition, why.said()))
	}
	s.gone(e, x)
	s.reroute(&t, x)
	t.done()
	e.end()
	s.runSpool(s.ctx, x.account)
}

// buryAgain is bury for a session that the process before has begun to bury.
// Only its stanzas are sent before what came after them.
func (s *Service) buryAgain(x *session) {
	e := s.burial(x)
	t := act{s: s, ctx: s.ctx, alone: true, errand: e, flags: packet.Redelivered}
	s.reroute(&t, x)
	t.done()
	s.background.Go(func() {
		s.gone(e, x)
		e.end()
	})
}

func (s *Service) burial(x *session) *errand {
	return s.errand(func() {
		x.account.mu.Lock()
		defer x.account.mu.Unlock()
		s.journalEnd(x)
	})
}
