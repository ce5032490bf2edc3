package bosh

import (
	"bytes"
	"crypto/sha1"
	"encoding/hex"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jabberii/server/plugins/xmpp/ns"
	"github.com/jabberii/server/plugins/xmpp/stream"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

// A Session is that of one client. Next is for one goroutine at a time, as is
// Write; all else may be called by any.
type Session struct {
	server   *Server
	sid      string
	wait     time.Duration
	hold     int
	requests int // that may be under way
	polls    bool
	acks     bool
	secure   bool         // it began encrypted
	version  string       // of the protocol
	scanner  *xml.Scanner // for Next
	cond     *sync.Cond   // something has changed

	mu      sync.Mutex
	rid     int64      // of the last request that was taken in order
	to      string     // of the header
	begun   bool       // the first response went out
	early   []*request // whose predecessors are not there yet
	held    []*request // that wait for their response, in order
	kept    []kept     // the last responses
	last    *request   // taken in order
	key     string     // that the next one has to fit
	in      inbox
	out     []byte // that waits for a request
	over    bool   // no more is taken and written
	ending  []byte // the last response, once it is over
	idle    *time.Timer
	allowed time.Duration // without a request
	sleeper Sleeper
	limit   deadline
}

// A Sleeper is woken when a session that was parked has something to read; see
// [Session.Park]. Wake does not wait.
type Sleeper interface{ Wake() }

// kept is a response that can be sent again.
type kept struct {
	rid  int64
	body []byte
}

// take puts a request where it belongs, or answers it.
func (s *Session) take(q *request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.idle.Stop()
	defer s.settle()
	if q.ack > 0 {
		s.kept = slices.DeleteFunc(s.kept, func(k kept) bool { return k.rid <= q.ack })
	}
	switch i := slices.IndexFunc(s.kept, func(k kept) bool { return k.rid == q.rid }); {
	case i >= 0:
		q.answer <- s.kept[i].body
	case s.over:
		q.answer <- s.ending
	case s.replace(s.held, q), s.replace(s.early, q):
	case q.rid <= s.rid || q.rid > s.rid+int64(s.requests)+1:
		s.end(terminated(nil, ItemNotFound, nil))
		q.answer <- s.ending
	case len(s.held)+len(s.early) >= s.requests && !q.terminates && !q.pauses:
		s.end(terminated(nil, PolicyViolation, nil))
		q.answer <- s.ending
	default:
		s.early = append(s.early, q)
		s.deliver()
	}
}

// replace has a request take the place of the same one that came before, whose
// connection is gone or useless.
func (s *Session) replace(list []*request, q *request) bool {
	i := slices.IndexFunc(list, func(other *request) bool { return other.rid == q.rid })
	if i < 0 {
		return false
	}
	list[i].answer <- recoverable
	q.body = nil
	if !slices.Contains(s.held, list[i]) {
		q.body = list[i].body
	}
	list[i] = q
	return true
}

// deliver takes the requests whose turn it is, one after another as they are read,
// or sooner where what is written needs one: whoever reads may be the one who writes.
func (s *Session) deliver() {
	for !s.over {
		i := slices.IndexFunc(s.early, func(q *request) bool { return q.rid == s.rid+1 })
		if i < 0 {
			return
		}
		q := s.early[i]
		if !s.in.empty() && (len(s.out) == 0 || !s.in.fits(q, s.server.config.Limits.Bytes)) {
			return
		}
		s.early = slices.Delete(s.early, i, i+1)
		s.held = append(s.held, q)
		s.rid = q.rid
		s.kept = slices.DeleteFunc(s.kept, func(k kept) bool { return k.rid <= s.rid-int64(s.requests) })
		if problem := s.check(q); problem != "" {
			s.end(terminated(nil, problem, nil))
			return
		}
		s.last = q
		s.in.add(q)
		if q.begins || q.restarts {
			s.to = q.to
		}
		s.answerSome(q)
		s.signal()
	}
}

// check looks whether a request may come, by its key and its time.
func (s *Session) check(q *request) Condition {
	if s.key != "" {
		sum := sha1.Sum([]byte(q.key))
		if hex.EncodeToString(sum[:]) != strings.ToLower(s.key) {
			return ItemNotFound
		}
	}
	if s.key != "" || q.begins {
		s.key = q.key
		if q.newKey != "" {
			s.key = q.newKey
		}
	}
	soon := s.last != nil && q.empty() && q.arrived.Sub(s.last.arrived) < s.server.config.Polling
	switch {
	case q.pause > s.server.config.MaxPause:
		return PolicyViolation
	case soon && s.polls && s.last.empty() && s.lastWasEmpty():
		return PolicyViolation
	case soon && !s.polls && len(s.held) >= s.requests:
		return PolicyViolation
	}
	return ""
}

// lastWasEmpty reports whether the last response had no payload.
func (s *Session) lastWasEmpty() bool {
	return len(s.kept) > 0 && bytes.HasSuffix(s.kept[len(s.kept)-1].body, []byte("/>"))
}

// answerSome answers those of the held requests that need not wait: all if the
// client pauses, else the oldest ones beyond what is held. What waits to be
// written goes out with the first.
func (s *Session) answerSome(q *request) {
	if len(s.out) > 0 && !q.pauses {
		out := s.out
		s.out = nil
		s.answer(out)
	}
	s.allowed = s.server.config.Inactivity
	keep := s.hold
	if q.pauses {
		s.allowed, keep = q.pause, 0
	}
	if s.polls {
		keep = 0
	}
	for len(s.held) > keep && (s.begun || len(s.held) > 1) && !q.terminates {
		s.answer(nil)
	}
}

// answer gives the oldest request its response.
func (s *Session) answer(payload []byte) {
	q := s.held[0]
	s.held = slices.Delete(s.held, 0, 1)
	body := s.response(q, payload)
	s.kept = append(s.kept, kept{q.rid, body})
	if extra := len(s.kept) - s.requests; extra > 0 {
		s.kept = slices.Delete(s.kept, 0, extra)
	}
	q.answer <- body
	s.settle()
	s.cond.Broadcast()
}

// release answers a request that may not wait any longer.
func (s *Session) release(q *request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for slices.Contains(s.held, q) { // in order
		s.answer(nil)
	}
	if i := slices.Index(s.early, q); i >= 0 {
		s.early = slices.Delete(s.early, i, i+1)
		q.answer <- recoverable
	}
	s.settle()
}

// settle has the session end some time after its last request, if none is there.
func (s *Session) settle() {
	if len(s.held) == 0 && len(s.early) == 0 {
		s.idle.Reset(s.allowed)
	}
}

// Write sends elements, and waits until a request takes them. If they end with
// the end tag of a stream, which does not go out, the session ends, and it does
// not wait. An error is [net.ErrClosed].
func (s *Session) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if payload, ends := bytes.CutSuffix(b, []byte(stream.Close)); ends && !s.over {
		condition := Condition("")
		if bytes.HasSuffix(payload, []byte("</stream:error>")) {
			condition = RemoteStreamError
		}
		s.end(s.final(condition, payload))
		return len(b), nil
	}
	if len(b) == 0 {
		return 0, nil
	}
	if len(s.held) > 0 && !s.over {
		s.answer(b)
		return len(b), nil
	}
	s.out = b // the caller has to leave it alone until we return
	s.deliver()
	for len(s.out) > 0 && !s.over {
		s.cond.Wait()
	}
	if s.over {
		return 0, net.ErrClosed
	}
	return len(b), nil
}

// Close ends the session; its client is told.
func (s *Session) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.end(s.final("", nil))
	return nil
}

// end ends the session. The client is told by the response to each of its
// requests, or by that to the next one.
func (s *Session) end(body []byte) {
	if s.over {
		return
	}
	s.over, s.ending, s.out = true, body, nil
	for _, q := range slices.Concat(s.held, s.early) {
		q.answer <- body
		s.kept = []kept{{q.rid, body}}
		body = terminated(nil, "", nil)
	}
	s.held, s.early = nil, nil
	s.allowed = s.server.config.Inactivity
	s.settle()
	s.signal()
}

// forget ends the session, and takes it from the server.
func (s *Session) forget() {
	s.server.mu.Lock()
	delete(s.server.sessions, s.sid)
	s.server.mu.Unlock()
	s.Cut()
}

// Cut ends the session at once.
func (s *Session) Cut() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.end(terminated(nil, ItemNotFound, nil))
	s.in = inbox{}
	return nil
}

// Next returns the next token, which is valid until the next call. The error is
// [io.ErrUnexpectedEOF] if the session has ended, os.ErrDeadlineExceeded after
// the deadline, and that of a scanner if an element is not right. Before it waits
// it calls waits.
func (s *Session) Next(waits func()) (*xml.Token, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		t, element := s.in.next()
		if t == nil && element == nil {
			s.deliver()
		}
		switch {
		case t != nil:
			if t.Kind == xml.Open {
				s.scanner.SetLang(t.Lang)
			}
			return t, nil
		case element != nil:
			return s.scanner.Document(element)
		case !s.in.empty():
			continue
		case s.over:
			return nil, io.ErrUnexpectedEOF
		case s.limit.passed():
			return nil, os.ErrDeadlineExceeded
		}
		s.mu.Unlock()
		waits()
		s.mu.Lock()
		if s.readable() || s.limit.passed() {
			continue
		}
		s.cond.Wait()
	}
}

// readable reports whether Next need not wait.
func (s *Session) readable() bool { return !s.in.empty() || s.over }

// Rest gives back what Next needs only while something comes. The last token is
// no longer valid.
func (s *Session) Rest() { s.scanner.Park() }

// SetReadDeadline is that of [net.Conn], for Next.
func (s *Session) SetReadDeadline(at time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.limit.set(at, s.awake)
	s.cond.Broadcast()
	return nil
}

func (s *Session) awake() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cond.Broadcast()
}

// Park has x woken once, when there is something to read; at once if there is.
func (s *Session) Park(x Sleeper) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sleeper = x
	if s.readable() {
		s.signal()
	}
}

// Leave forgets x, if it is parked.
func (s *Session) Leave(x Sleeper) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sleeper == x {
		s.sleeper = nil
	}
}

// signal has whoever waits look.
func (s *Session) signal() {
	s.cond.Broadcast()
	if x := s.sleeper; x != nil {
		s.sleeper = nil
		x.Wake()
	}
}

// An inbox has what a request says and was not read yet.
type inbox struct {
	header   *xml.Token
	elements []byte
	some     bool // there may be elements
	closes   bool
}

func (in *inbox) empty() bool { return in.header == nil && !in.some && !in.closes }

// fits reports whether a request may be added to what was not read yet.
func (in *inbox) fits(q *request, most int) bool {
	return !q.begins && !q.restarts && !in.closes && len(in.elements)+len(q.body) <= most
}

func (in *inbox) add(q *request) {
	if q.begins || q.restarts {
		in.header = q.header()
	}
	switch {
	case !q.some || q.restarts:
	case in.some:
		in.elements = slices.Concat(in.elements, q.body)
	default:
		in.elements, in.some = q.body, true
	}
	in.closes = in.closes || q.terminates
	q.body = nil
}

// next returns a token, or an element that stands alone.
func (in *inbox) next() (t *xml.Token, element []byte) {
	if t = in.header; t != nil {
		in.header = nil
		return t, nil
	}
	if in.some {
		// Old clients leave out the namespace of stanzas (XEP-0206, 2).
		if el, ok := xml.First(in.elements, ns.Client); ok {
			element = el.Append(nil)
			_, in.elements, _ = bytes.Cut(in.elements, el.Outer())
			return nil, element
		}
		in.some, in.elements = false, nil
	}
	if in.closes {
		in.closes = false
		return &xml.Token{Kind: xml.Close}, nil
	}
	return nil, nil
}

// A deadline is that of somebody who waits.
type deadline struct {
	at    time.Time
	timer *time.Timer
}

func (d *deadline) passed() bool { return !d.at.IsZero() && !time.Now().Before(d.at) }

func (d *deadline) set(at time.Time, wake func()) {
	d.at = at
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
	if wait := time.Until(at); !at.IsZero() && wait > 0 {
		d.timer = time.AfterFunc(wait, wake)
	}
}
