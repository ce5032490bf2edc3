package session

import (
	"context"
	"fmt"
	"net"
	"time"

	"github.com/jabberii/server/plugins/xmpp/stanza"
)

// Send hands stanzas to the connection, in order and together, and waits only while too
// much waits to be written. That they are on their way is all that nil says. With
// XEP-0198 it says more: whatever happens to the connection, they are acknowledged,
// sent again by Resume, or listed by Unacknowledged.
func (s *Session) Send(ctx context.Context, stanzas ...stanza.Stanza) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.room(ctx, len(stanzas)); err != nil {
		return err
	}
	for _, st := range stanzas {
		s.unsent = st.Append(s.unsent, "")
	}
	s.unsent = s.management.sent(s.unsent, stanzas)
	s.flush()
	return nil
}

// Write hands bytes to the connection as they are: whole elements that are no stanzas,
// or white space to keep a connection alive. They are copied.
func (s *Session) Write(ctx context.Context, raw []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.room(ctx, 0); err != nil {
		return err
	}
	s.unsent = append(s.unsent, raw...)
	s.flush()
	return nil
}

// room waits until so many stanzas more may be sent. With the lock held.
func (s *Session) room(ctx context.Context, stanzas int) error {
	err := s.wait(ctx, func() bool {
		return s.err != nil || s.closing || len(s.unsent) < maxUnsent && s.management.room(stanzas)
	})
	switch {
	case err != nil:
		return err
	case s.err != nil:
		return fmt.Errorf("send: %w", s.err)
	case s.closing:
		return ErrClosed
	}
	return nil
}

// flush sees to it that what is unsent is being written. With the lock held.
func (s *Session) flush() {
	if !s.flushing && len(s.unsent) > 0 && s.err == nil {
		s.flushing = true
		go s.write(s.conn)
	}
}

// write writes until nothing is left. Callers never write themselves: one that reads
// must go on reading while a peer that does the same does not.
func (s *Session) write(conn net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.conn == conn && s.err == nil && len(s.unsent) > 0 {
		out := s.unsent
		s.unsent, s.spare = s.spare[:0], nil
		s.wake()
		s.mu.Unlock()
		conn.SetWriteDeadline(time.Now().Add(s.config.timeout()))
		_, err := conn.Write(out)
		s.mu.Lock()
		if cap(out) <= maxUnsent {
			s.spare = out
		}
		if err != nil && s.conn == conn {
			s.down(fmt.Errorf("write: %w", err))
		}
	}
	if s.conn == conn {
		s.flushing = false
		s.wake()
	}
}
