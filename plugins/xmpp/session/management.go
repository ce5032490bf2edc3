package session

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"

	"github.com/jabberii/server/plugins/xmpp/ns"
	"github.com/jabberii/server/plugins/xmpp/stanza"
	"github.com/jabberii/server/plugins/xmpp/stream"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

// management is the state of XEP-0198 for one session. Both counters are modulo 2^32,
// as in the protocol. The methods may be called on nil, which is a session without it.
type management struct {
	id      string // "" if the session cannot be resumed
	window  int    // how many stanzas may be unacknowledged
	handled uint32 // stanzas that came in
	acked   uint32 // stanzas that went out and that the peer has acknowledged
	pending []stanza.Stanza
	unasked int // stanzas sent since an acknowledgement was last asked for
}

// A resumption is what is said to resume a session, and what comes back.
type resumption struct {
	state   management // the session's, as it was when its connection was lost
	handled uint32     // what the peer has of ours
}

const defaultWindow = 1000

const askForAck = "<r xmlns='" + ns.StreamManagement + "'/>"

// StreamManagement is XEP-0198: stanzas are acknowledged, and the session survives its
// connection, see Session.Resume. It has its place in front of Bind. A server that does
// not have it is none the worse. Window is how many stanzas may be unacknowledged
// before Send waits; 0 means 1000.
func StreamManagement(window int) Feature {
	if window <= 0 {
		window = defaultWindow
	}
	return func(_ context.Context, n *Negotiator) (Progress, error) {
		if !n.authenticated || n.management != nil {
			return Skip, nil
		}
		_, offered := n.Offered().Find("sm", ns.StreamManagement)
		switch {
		case n.resuming != nil && !offered:
			return Skip, fmt.Errorf("%w: server does not offer it", ErrNotResumed)
		case n.resuming != nil:
			return Complete, n.resume()
		case n.bound && offered:
			return Done, n.enable(window)
		}
		return Skip, nil
	}
}

func (n *Negotiator) enable(window int) error {
	if err := n.Write(xml.AppendEmpty(nil, "enable", ns.StreamManagement, "resume", "true")); err != nil {
		return err
	}
	t, err := n.Next()
	switch {
	case err != nil:
		return fmt.Errorf("stream management: %w", err)
	case t.NS != ns.StreamManagement || t.Name != "enabled" && t.Name != "failed":
		return fmt.Errorf("stream management: unexpected element %s", t.Name)
	case t.Name == "failed":
		return nil
	}
	n.management = &management{window: window}
	if r := string(t.Attr("resume")); r == "true" || r == "1" {
		n.management.id = string(t.ID)
	}
	return nil
}

func (n *Negotiator) resume() error {
	m := &n.resuming.state
	err := n.Write(xml.AppendEmpty(nil, "resume", ns.StreamManagement,
		"previd", m.id, "h", strconv.FormatUint(uint64(m.handled), 10)))
	if err != nil {
		return err
	}
	t, err := n.Next()
	if err != nil {
		return fmt.Errorf("resume: %w", err)
	}
	if t.NS != ns.StreamManagement || t.Name != "resumed" {
		return ErrNotResumed
	}
	n.resuming.handled, err = counter(t)
	return err
}

func counter(t *xml.Token) (uint32, error) {
	h, err := strconv.ParseUint(string(t.Attr("h")), 10, 32)
	if err != nil {
		return 0, &stream.Error{Condition: stream.BadFormat, Text: "no counter in " + t.Name}
	}
	return uint32(h), nil
}

func (m *management) resumable() bool { return m != nil && m.id != "" }

// forget makes a session that cannot be resumed.
func (m *management) forget() {
	if m != nil {
		m.id = ""
	}
}

func (m *management) room(stanzas int) bool {
	return m == nil || len(m.pending) == 0 || len(m.pending)+stanzas <= m.window
}

func (m *management) received() {
	if m != nil {
		m.handled++
	}
}

// sent keeps what was written to dst and, now and then, has it acknowledged.
func (m *management) sent(dst []byte, stanzas []stanza.Stanza) []byte {
	if m == nil || len(stanzas) == 0 {
		return dst
	}
	m.pending = append(m.pending, stanzas...)
	if m.unasked += len(stanzas); m.unasked < max(1, min(16, m.window/4)) && m.room(1) {
		return dst
	}
	m.unasked = 0
	return append(dst, askForAck...)
}

// acknowledged takes the peer's counter.
func (m *management) acknowledged(h uint32) error {
	n := h - m.acked
	if uint64(n) > uint64(len(m.pending)) {
		m.forget() // nobody knows any more what has arrived
		return &stream.Error{
			Condition: stream.UndefinedCondition,
			Text:      fmt.Sprintf("acknowledged %d stanzas of %d", h, m.acked+uint32(len(m.pending))),
			App: xml.AppendEmpty(nil, "handled-count-too-high", ns.StreamManagement,
				"h", fmt.Sprint(h), "send-count", fmt.Sprint(m.acked+uint32(len(m.pending)))),
		}
	}
	m.acked = h
	m.pending = m.pending[n:]
	if len(m.pending) == 0 {
		m.pending = nil
	}
	return nil
}

// acknowledge takes an element of XEP-0198.
func (s *Session) acknowledge(t *xml.Token) (handled bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.management
	switch {
	case m == nil:
		return false, nil
	case t.Name == "r":
		s.sendCount()
		return true, nil
	case t.Name == "a":
		h, err := counter(t)
		if err == nil {
			err = m.acknowledged(h)
		}
		s.wake()
		return true, err
	}
	return false, nil
}

// Acknowledge tells the peer which of its stanzas have come, though it has not asked.
// Those that Receive has not returned yet are among them. It does not wait.
func (s *Session) Acknowledge() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sendCount()
}

// sendCount sends the counter of the peer's stanzas. With the lock held.
func (s *Session) sendCount() {
	if m := s.management; m != nil && s.err == nil && !s.closing {
		s.unsent = xml.AppendEmpty(s.unsent, "a", ns.StreamManagement, "h", strconv.FormatUint(uint64(m.handled), 10))
		s.flush()
	}
}

// Managed tells whether the session has XEP-0198, and Resumable whether it can be
// resumed after its connection was lost.
func (s *Session) Managed() bool { return s.management != nil }

// Resumable tells whether the server has promised to keep the session for Resume. It
// has not any more when it has closed the stream, or ended it with conflict,
// not-authorized or reset.
func (s *Session) Resumable() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.management.resumable()
}

// Sync waits until the peer has acknowledged all that was sent before.
func (s *Session) Sync(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.management
	if m == nil {
		return errors.New("sync: no stream management")
	}
	goal := m.acked + uint32(len(m.pending))
	if s.err == nil && !s.closing && len(m.pending) > 0 {
		s.unsent, m.unasked = append(s.unsent, askForAck...), 0
		s.flush()
	}
	err := s.wait(ctx, func() bool { return int32(m.acked-goal) >= 0 || s.err != nil && m.id == "" })
	if err == nil && int32(m.acked-goal) < 0 {
		err = s.err
	}
	if err != nil {
		return fmt.Errorf("sync: %w", err)
	}
	return nil
}

// Unacknowledged are the stanzas that the peer has not acknowledged, in order. For a
// session that could not be resumed, they are those that may be lost, or not.
func (s *Session) Unacknowledged() []stanza.Stanza {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.management == nil {
		return nil
	}
	return slices.Clone(s.management.pending)
}

// Resume goes on with a session on a new connection: it negotiates with the features
// that the session began with, has the server take it up, and sends again what the
// server does not have. Nothing is lost, repeated or out of order on the way; Request
// and Sync go on waiting, Send and Receive return errors while the connection is down. It
// is called once at a time. On an error the connection is closed; ErrNotResumed, or
// ErrNotResumable, is final, others may be tried again.
func (s *Session) Resume(ctx context.Context, conn net.Conn) error {
	s.Drop()
	s.mu.Lock()
	if !s.management.resumable() {
		s.mu.Unlock()
		conn.Close()
		return ErrNotResumable
	}
	again := &resumption{state: *s.management}
	s.mu.Unlock()

	n, err := initiate(ctx, conn, &s.config, again)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil && !s.management.resumable() {
		err = ErrClosed
	}
	if err == nil {
		err = s.management.acknowledged(again.handled)
	}
	if err != nil {
		if n != nil {
			n.conn.Close()
		}
		if errors.Is(err, ErrNotResumed) {
			s.management.forget()
			s.wake()
		}
		return err
	}
	s.takeUp(n)
	return nil
}

// takeUp puts a new connection in place of the lost one. With the lock held.
func (s *Session) takeUp(n *Negotiator) {
	s.conn, s.reader, s.features = n.conn, n.reader, n.offered
	s.err, s.closing, s.flushing = nil, false, false
	s.unsent = nil
	for _, st := range s.management.pending {
		s.unsent = st.Append(s.unsent, "")
	}
	s.unsent, s.management.unasked = append(s.unsent, askForAck...), 0
	s.inbox = append(s.inbox, n.early...)
	s.start()
	s.flush()
	s.wake()
}
