package sm

import (
	"context"
	"crypto/rand"

	"github.com/jabberii/server/jabberd/packet"
	logged "github.com/jabberii/server/plugins/sdk/entry"
	"github.com/jabberii/server/plugins/xmpp/jid"
	"github.com/jabberii/server/plugins/xmpp/ns"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

// bind gives a connection its session (RFC 6120 section 7). If the resource
// has one already, that one ends: the client that comes is more likely alive.
func (s *Service) bind(ctx context.Context, p *packet.Packet) (packet.Verdict, error) {
	el, ok := xml.Find(p.Body, ns.Client, "bind", ns.Bind)
	if !ok || p.Type != "set" {
		return s.refuseStream(ctx, p, "not-authorized")
	}
	resource := ""
	if r, ok := el.Find("resource", ns.Bind); ok {
		resource = r.Text()
	}
	if resource == "" {
		resource = newResource()
	}
	account, err := jid.Parse(packet.Bare(p.From))
	if err != nil || account.Local() == "" {
		return s.refuseStream(ctx, p, "not-authorized")
	}
	full, err := account.WithResource(resource)
	if err != nil {
		return s.refuseBind(ctx, p, packet.Refuse("bad-request", "the resource is no resource"))
	}
	x, old, reject := s.open(full, p, nil)
	if reject != nil {
		return s.refuseBind(ctx, p, reject)
	}
	if old.session != nil {
		s.bury(old.session, old.conn, ending{condition: old.condition})
	}
	if err := s.commit(); err != nil {
		return packet.Pass, err
	}
	s.tell(logged.SessionCreated, x)
	return s.bound(ctx, x, p)
}

// tell has the log tell of an event of a session.
func (s *Service) tell(event string, x *session) {
	s.env.Log().Debug(event, logged.Event, event, "host", packet.Domain(x.jid), "session", x.jid)
}

// bound tells a connection its session.
func (s *Service) bound(ctx context.Context, x *session, p *packet.Packet) (packet.Verdict, error) {
	body := xml.AppendStart(nil, "bind", ns.Bind)
	body = xml.AppendElement(body, "jid", "", x.jid)
	body = xml.AppendEnd(body, "bind")
	return packet.Claim, s.env.Deliver(ctx, &packet.Packet{
		Kind: packet.Session, Flags: packet.Down | x.doubt(), Host: p.Near.Host, Section: p.Near.Section, Near: x.token, Far: p.Near, Seq: seqBound,
		To: x.jid, Name: "iq", Type: "result", ID: p.ID, Body: body,
	})
}

// A replaced session has to make room for another.
type replaced struct {
	session   *session
	conn      packet.Token
	condition string
}

// open makes the session of a full JID for the connection that p came by.
// What it replaces is to be buried by the caller. b is nil if it is not by Bind 2.
func (s *Service) open(full jid.JID, p *packet.Packet, b *bind2) (x *session, old replaced, reject *packet.Reject) {
	a := s.accounts.hold(full.Bare().String())
	defer s.accounts.release(a)
	a.mu.Lock()
	defer a.mu.Unlock()
	before := a.before(full.Resource(), b)
	if b == nil && before != nil && !before.conn.IsZero() { // one that is lost makes room in any case
		switch s.args().Conflict {
		case "refuse":
			return nil, old, packet.Refuse("conflict", "another connection has the resource")
		case "rename":
			if full, before = rename(a, full), nil; full.IsZero() {
				return nil, old, packet.Refuse("conflict", "another connection has the resource")
			}
		}
	}
	if before != nil {
		old = replaced{session: before, condition: "conflict"}
	} else if len(a.sessions) >= s.args().Sessions {
		if old.session = oldestLost(a); old.session == nil {
			return nil, old, packet.Refuse("resource-constraint", "the account has too many sessions")
		}
	}
	x = &session{account: a, jid: full.String(), resource: full.Resource(), conn: p.Near.Own(), seq: p.Seq, heard: s.clock.now()}
	if !s.sessions.enter(x, full.Domain()) {
		old.session = nil
		return nil, old, packet.Refuse("resource-constraint", "the server has too many sessions")
	}
	if old.session != nil {
		old.conn = s.end(old.session)
	}
	s.sessions.connect(x, packet.Token{}, x.conn)
	a.sessions = append(a.sessions, x)
	x.recheck = s.changes.overtake(a.jid, p)
	b.begin(s, x)
	s.journalState(x)
	return x, old, nil
}

// rename returns a full JID of an account that no session has.
func rename(a *account, full jid.JID) jid.JID {
	for {
		other, err := full.WithResource(newResource())
		if err != nil || a.bound(other.Resource()) == nil {
			return other
		}
	}
}

// oldestLost returns the session of an account that has been without a
// connection for the longest time, nil if all have one.
func oldestLost(a *account) *session {
	var oldest *session
	for _, x := range a.sessions {
		if x.conn.IsZero() && x.isManaged() && (oldest == nil || x.managed.lost < oldest.managed.lost) {
			oldest = x
		}
	}
	return oldest
}

// newResource makes a resource for a client that wants none in particular.
func newResource() string { return rand.Text()[:12] }

// refuseBind answers with an error; the client may try again.
func (s *Service) refuseBind(ctx context.Context, p *packet.Packet, reject *packet.Reject) (packet.Verdict, error) {
	return packet.Claim, s.env.Deliver(ctx, &packet.Packet{
		Kind: packet.Session, Flags: packet.Down, Host: p.Near.Host, Section: p.Near.Section, Far: p.Near,
		To: p.From, Name: "iq", Type: "error", ID: p.ID, Body: errorBody(reject),
	})
}
