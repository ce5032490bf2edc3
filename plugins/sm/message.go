package sm

import (
	"context"
	"time"

	"github.com/jabberii/server/jabberd/packet"
	auth "github.com/jabberii/server/plugins/sdk/account"
	"github.com/jabberii/server/plugins/xmpp/carbons"
	"github.com/jabberii/server/plugins/xmpp/privacy"
)

// stanza handles a stanza for one of the hosts.
func (s *Service) stanza(ctx context.Context, p *packet.Packet) (packet.Verdict, error) {
	if packet.Local(p.To) == "" {
		return s.host(ctx, p)
	}
	if p.Flags&packet.Redelivered != 0 && s.repeats.has(packet.Bare(p.To), p) {
		return packet.Claim, nil
	}
	if p.Name == "message" {
		return s.message(ctx, p)
	}
	if apart, err := s.isRefused(ctx, p); err != nil {
		return packet.Pass, err
	} else if apart {
		return refused(p)
	}
	switch p.Name {
	case "presence":
		return s.presence(ctx, p)
	case "iq":
		return s.iq(ctx, p)
	}
	return packet.Pass, nil
}

// A way is what becomes of a message to an account.
type way uint8

const (
	toSessions way = iota
	toStorage      // kept until somebody is there
	toSender       // refused
	nowhere        // ignored
)

// unavailable is what the sender of a stanza is told that cannot be delivered.
func unavailable() error { return packet.Refuse("service-unavailable", "") }

// route decides where a message goes (RFC 6121 section 8.5), and appends the
// sessions that it goes to. The account is locked.
func (a *account) route(p *packet.Packet, targets []*session) ([]*session, way) {
	if resource := packet.Resource(p.To); resource != "" {
		if x := a.bound(resource); x != nil {
			if a.isSpooling(x) && isKept(p.Type) {
				return targets, toStorage
			}
			return append(targets, x), toSessions
		}
		switch p.Type {
		case "chat": // as if it were to the bare address
		case "error", "headline":
			return targets, nowhere
		default:
			return targets, toSender
		}
	}
	switch p.Type {
	case "groupchat":
		return targets, toSender
	case "error":
		return targets, nowhere
	case "headline":
		for _, x := range a.sessions {
			if x.presence != nil && x.priority >= 0 {
				targets = append(targets, x)
			}
		}
		if len(targets) == 0 {
			return targets, nowhere
		}
		return targets, toSessions
	}
	if targets = a.mostAvailable(targets); len(targets) == 0 {
		return targets, toStorage
	}
	return targets, toSessions
}

// mostAvailable appends the sessions with the highest priority, unless it is
// negative. The account is locked.
func (a *account) mostAvailable(targets []*session) []*session {
	highest := -1
	for _, x := range a.sessions {
		if x.presence != nil && int(x.priority) > highest && !a.isSpooling(x) {
			highest = int(x.priority)
		}
	}
	for _, x := range a.sessions {
		if highest >= 0 && x.presence != nil && int(x.priority) == highest && !a.isSpooling(x) {
			targets = append(targets, x)
		}
	}
	return targets
}

// isKept reports whether messages of a type are kept while nobody is there
// (XEP-0160 section 3). One that is unknown is normal.
func isKept(kind string) bool { return kind != "groupchat" && kind != "headline" && kind != "error" }

// message delivers a message to an account.
func (s *Service) message(ctx context.Context, p *packet.Packet) (packet.Verdict, error) {
	return s.deliverMessage(ctx, p, false)
}

// deliverMessage is message. guarded says that the account is held and that it
// is known from whom it is kept away.
func (s *Service) deliverMessage(ctx context.Context, p *packet.Packet, guarded bool) (packet.Verdict, error) {
	for {
		a := s.accounts.lock(packet.Bare(p.To))
		if a == nil {
			a = new(account)
			a.mu.Lock()
		}
		if !guarded && a.guard.Load() != open {
			a.mu.Unlock()
			return s.guardedMessage(ctx, p)
		}
		var room, rest [8]*session
		targets, where := a.route(p, room[:0])
		if guarded {
			targets, where = a.admit(p, targets, where)
		}
		var copies []*session
		x := s.full(targets)
		if where == toSessions && x == nil {
			copies = a.copied(carbons.Received, p, targets, rest[:0])
			if guarded {
				copies = a.admitted(copies, privacy.Inbound(p.Name, p.Type), p.From)
			}
			x = s.full(copies)
		}
		if where == toSessions && x == nil {
			identify(p, anyManaged(targets) || anyManaged(copies))
			t := act{s: s, ctx: ctx, flags: p.Flags}
			t.copy(a, carbons.Received, p, copies)
			t.down(a, targets, p)
			a.mu.Unlock()
			return packet.Claim, t.done()
		}
		a.mu.Unlock()
		switch {
		case x != nil:
			if err := s.makeRoom(ctx, x); err != nil {
				return packet.Pass, err
			}
		case where == nowhere:
			return packet.Claim, nil
		case where == toSender:
			return packet.Pass, unavailable()
		default:
			if kept, err := s.keep(ctx, p); err != nil {
				return packet.Claim, err
			} else if kept {
				return packet.Claim, s.copyKept(ctx, p)
			}
		}
	}
}

// full returns one of the sessions whose queue is full, nil if none is.
func (s *Service) full(targets []*session) *session {
	for _, x := range targets {
		if s.isFull(x) {
			return x
		}
	}
	return nil
}

func anyManaged(list []*session) bool {
	for _, x := range list {
		if x.isManaged() {
			return true
		}
	}
	return false
}

// roomPatience is how long a client with a full queue may take to acknowledge
// anything. Whoever sends to it waits for that long, and no longer: it may be
// that the client waits for the sender in the same way.
const roomPatience = 2 * time.Second

// makeRoom waits for a client with a full queue to acknowledge some of it. A
// session whose client does not is ended. No lock is held.
func (s *Service) makeRoom(ctx context.Context, x *session) error {
	limit, cancel := context.WithTimeout(ctx, roomPatience)
	defer cancel()
	a := x.account
	a.mu.Lock()
	s.finishBeforeWaiting(a)
	acked := x.managed.acked
	for s.isFull(x) && !x.ended && !x.conn.IsZero() && limit.Err() == nil {
		s.await(limit, a)
	}
	stuck := s.isFull(x) && !x.ended && x.managed.acked == acked
	a.mu.Unlock()
	if stuck {
		s.overflow(x)
	}
	if ctx.Err() != nil {
		return packet.Refuse("resource-constraint", "too much waits for the recipient")
	}
	return nil
}

// overflow ends a session whose client does not acknowledge.
func (s *Service) overflow(x *session) {
	s.env.Log().Warn("too many stanzas wait for the client's acknowledgement; its session ends", "session", x.jid)
	s.finish(x, ending{condition: "resource-constraint"})
}

// tellsUnknown reports whether the sender of a message is told that there is no
// account which it is for. To others it looks as if the message were kept.
func (s *Service) tellsUnknown(p *packet.Packet) bool {
	switch s.args().Unknown {
	case "all":
		return true
	case "local":
		return packet.Local(p.From) != "" && s.env.Serves(packet.Session, packet.Domain(p.From))
	}
	return false
}

// exists reports whether there is an account with a bare JID.
func (s *Service) exists(ctx context.Context, jid string) (bool, error) {
	return auth.Exists(ctx, s.store, jid)
}
