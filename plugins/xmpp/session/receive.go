package session

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/jabberii/server/plugins/xmpp/ns"
	"github.com/jabberii/server/plugins/xmpp/stanza"
	"github.com/jabberii/server/plugins/xmpp/stream"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

// Receive returns the next stanza that is not an answer to a Request. When all that
// came before the connection went down have been returned, the error is that of Err.
// An IQ of type get or set has to be answered; package mux does it for those that nobody
// knows.
func (s *Session) Receive(ctx context.Context) (stanza.Stanza, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.wait(ctx, func() bool { return len(s.inbox) > 0 || s.err != nil }); err != nil {
		return stanza.Stanza{}, err
	}
	if len(s.inbox) == 0 {
		return stanza.Stanza{}, s.err
	}
	st := s.inbox[0]
	s.inbox[0] = stanza.Stanza{}
	if s.inbox = s.inbox[1:]; len(s.inbox) == 0 {
		s.inbox = nil
	}
	s.wake()
	return st, nil
}

// start begins to read.
func (s *Session) start() {
	s.reading = make(chan struct{})
	go s.read(s.reader, s.reading)
}

func (s *Session) read(reader *xml.Reader, done chan<- struct{}) {
	defer close(done)
	for {
		t, err := reader.Next()
		var syntax *xml.SyntaxError
		if err != nil && !errors.As(err, &syntax) {
			s.lost(err)
			return
		}
		if err == nil {
			err = s.element(t)
		}
		if err != nil {
			s.finish(err)
			return
		}
	}
}

// over is the end of a stream by its peer.
type over struct{ reason error }

func (o over) Error() string { return o.reason.Error() }

// element takes what was read. An error that is not over is a fault that the peer is
// told of.
func (s *Session) element(t *xml.Token) error {
	switch t.Kind {
	case xml.Close:
		return over{errClosed}
	case xml.Open:
		return &stream.Error{Condition: stream.BadFormat}
	}
	if e, ok := stream.ParseError(t); ok {
		return over{e}
	}
	if t.NS == ns.StreamManagement {
		if handled, err := s.acknowledge(t); handled || err != nil {
			return err
		}
	}
	if stanza.IsName(t.Name) && t.NS == s.config.space() {
		return s.stanza(t)
	}
	if s.config.Element != nil {
		return s.config.Element(t)
	}
	return nil
}

// stanza takes a stanza: an answer for its request, any other for whoever receives.
func (s *Session) stanza(t *xml.Token) error {
	st, err := stanza.FromToken(t)
	s.mu.Lock()
	s.management.received()
	if err != nil {
		s.malformed(st, err)
		s.mu.Unlock()
		return nil
	}
	answer := s.answer(st)
	if answer || s.config.Element != nil {
		s.mu.Unlock()
		if answer {
			return nil
		}
		return s.config.Element(t)
	}
	defer s.mu.Unlock()
	s.wait(context.Background(), func() bool { return len(s.inbox) < s.config.inbox() || s.err != nil })
	s.inbox = append(s.inbox, st) // it is counted, so it stays, even if the connection went down
	s.wake()
	return nil
}

// malformed answers a stanza with an address that is none. With the lock held.
func (s *Session) malformed(st stanza.Stanza, err error) {
	var e *stanza.Error
	if !errors.As(err, &e) || !st.Answerable() || s.closing {
		return
	}
	reply := st.ErrorReply(e)
	s.unsent = reply.Append(s.unsent, "")
	s.unsent = s.management.sent(s.unsent, []stanza.Stanza{reply})
	s.flush()
}

// lost notes that the connection is of no more use.
func (s *Session) lost(err error) {
	if err == io.EOF {
		err = io.ErrUnexpectedEOF // the connection ended, and the stream did not
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down(fmt.Errorf("receive: %w", err))
}

// endsSession reports whether a stream error says that the session is another
// connection's, or that who logged in to it may not any more: it is not resumed.
func endsSession(err error) bool {
	var e *stream.Error
	if !errors.As(err, &e) {
		return false
	}
	switch e.Condition {
	case stream.Conflict, stream.NotAuthorized, stream.Reset:
		return true
	}
	return false
}

// finish ends our stream because the peer has ended its own, or made a mistake, of
// which it is told.
func (s *Session) finish(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	end, isOver := err.(over)
	if isOver {
		err = end.reason
	}
	if err == error(errClosed) || isOver && endsSession(err) {
		s.management.forget()
	}
	if s.closing {
		err = ErrClosed
	} else if s.err == nil {
		s.closing = true
		if !isOver {
			s.unsent = stream.ErrorOf(err).Append(s.unsent)
		}
		s.unsent = append(s.unsent, stream.Close...)
		s.flush()
	}
	ctx, cancel := context.WithTimeout(context.Background(), s.config.timeout())
	defer cancel()
	s.wait(ctx, func() bool { return !s.flushing || s.err != nil })
	s.down(err)
}
