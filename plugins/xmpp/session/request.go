package session

import (
	"context"
	"fmt"
	"strconv"

	"github.com/jabberii/server/plugins/xmpp/jid"
	"github.com/jabberii/server/plugins/xmpp/stanza"
)

// A request is an IQ that waits for its answer.
type request struct {
	to       jid.JID
	answered bool
	answer   stanza.Stanza
}

// Request sends an IQ of type get or set and waits for its answer. Without an id it is
// given one. If the answer is an error, it is returned with its *stanza.Error. A session
// that can be resumed goes on waiting while its connection is down.
func (s *Session) Request(ctx context.Context, iq stanza.Stanza) (stanza.Stanza, error) {
	r := &request{to: iq.To}
	s.mu.Lock()
	if iq.ID == "" {
		s.serial++
		iq.ID = "jii-" + strconv.FormatUint(s.serial, 36)
	}
	if s.requests[iq.ID] != nil {
		s.mu.Unlock()
		return stanza.Stanza{}, fmt.Errorf("request %s: id is in use", iq.ID)
	}
	s.requests[iq.ID] = r
	s.mu.Unlock()

	err := s.Send(ctx, iq)
	s.mu.Lock()
	defer s.mu.Unlock()
	defer delete(s.requests, iq.ID)
	if err != nil {
		return stanza.Stanza{}, err
	}
	err = s.wait(ctx, func() bool { return r.answered || s.err != nil && !s.management.resumable() })
	switch {
	case r.answered && r.answer.Type == stanza.TypeError:
		return r.answer, stanza.ParseError(r.answer.Body)
	case r.answered:
		return r.answer, nil
	case err != nil:
		return stanza.Stanza{}, err
	}
	return stanza.Stanza{}, fmt.Errorf("request: %w", s.err)
}

// answer gives a stanza to who waits for it. With the lock held.
func (s *Session) answer(st stanza.Stanza) bool {
	r := s.find(st)
	if r == nil {
		return false
	}
	r.answered, r.answer = true, st
	s.wake()
	return true
}

func (s *Session) find(st stanza.Stanza) *request {
	if st.Name != stanza.IQ || st.IsRequest() {
		return nil
	}
	r := s.requests[st.ID]
	if r == nil || r.answered || !s.speaksFor(st.From, r.to) {
		return nil
	}
	return r
}

// speaksFor tells whether an answer from one address can be that of another: a guessed
// id must not be enough to answer for somebody else. Who asks nobody asks the own account.
func (s *Session) speaksFor(from, to jid.JID) bool {
	account := func(j jid.JID) bool {
		return j.IsZero() || j == s.local || j == s.local.Bare() || j == s.local.Server() && to.IsZero()
	}
	return from == to || account(from) && account(to) || from.IsZero() && to == s.config.Remote
}
