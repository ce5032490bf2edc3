package sm

import (
	"context"
	"encoding/base64"
	"strconv"
	"strings"
	"time"

	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/xmpp/ns"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

// requestDelay is how long the client has to acknowledge without being asked.
const requestDelay = moment(2 * time.Second / tick)

// manage handles the elements of XEP-0198.
func (s *Service) manage(ctx context.Context, x *session, p *packet.Packet) (packet.Verdict, error) {
	switch p.Name {
	case "enable":
		return s.enable(ctx, x, p)
	case "resume":
		return s.resume(ctx, x, p)
	case "r":
		return s.answerRequest(ctx, x, p)
	case "a":
		return s.acknowledged(ctx, x, p)
	}
	return s.refuseStream(ctx, p, "unsupported-stanza-type")
}

// attribute returns an attribute among those that c2s does not know.
func attribute(p *packet.Packet, name string) string {
	el, ok := xml.First([]byte("<x"+p.Attrs+"/>"), "")
	if !ok {
		return ""
	}
	return el.Attr(name)
}

// failed says that stream management was not enabled or resumed.
func (s *Service) failed(ctx context.Context, p *packet.Packet, condition, attrs string) (packet.Verdict, error) {
	q := failure(p.From, condition)
	q.Kind, q.Flags, q.Host, q.Section = packet.Session, packet.Down, p.Near.Host, p.Near.Section
	q.Near, q.Far, q.Attrs = p.Far, p.Near, attrs
	return packet.Claim, s.env.Deliver(ctx, &q)
}

// failure is the element that says so.
func failure(jid, condition string) packet.Packet {
	return packet.Packet{To: jid, Name: "failed", NS: ns.StreamManagement, Body: xml.AppendEmpty(nil, condition, ns.StanzaErrors)}
}

// enable begins stream management for a session.
func (s *Service) enable(ctx context.Context, x *session, p *packet.Packet) (packet.Verdict, error) {
	if x == nil {
		return s.failed(ctx, p, "unexpected-request", "")
	}
	a := x.account
	a.mu.Lock()
	if !s.isNew(x, p) {
		a.mu.Unlock()
		return packet.Claim, nil
	}
	if x.isManaged() {
		x.managed.excess++ // behind the answer to the first, which may have to wait
		a.mu.Unlock()
		s.drain(x)
		return packet.Claim, nil
	}
	s.beginManaged(x, attribute(p, "resume"), attribute(p, "max"))
	m := x.managed
	m.kind = isEnabled
	// What another handler addressed to the connection a moment ago may still
	// be on its way into the tree, uncounted: it must not come after enabled.
	if s.clock.now() <= x.strange+1 {
		m.after = x.strange + 2
	}
	s.greet(x)
	s.journalState(x)
	a.mu.Unlock()
	if err := s.commit(); err != nil {
		return packet.Pass, err
	}
	s.drain(x)
	return packet.Claim, nil
}

// resumeTime is how long a session may be resumed whose client wishes so many
// seconds.
func (s *Service) resumeTime(wish string) time.Duration {
	most := s.args().Management.Resume.Std()
	if n, err := strconv.ParseUint(wish, 10, 31); err == nil && n > 0 {
		most = min(most, time.Duration(n)*time.Second)
	}
	return most.Truncate(time.Second)
}

// greet makes the element that opens a managed connection. The account is
// locked.
func (s *Service) greet(x *session) {
	m := x.managed
	p := &packet.Packet{Flags: x.doubt(), To: x.jid, NS: ns.StreamManagement}
	switch m.kind {
	case isEnabled:
		p.Name, p.Attrs = "enabled", string(s.appendEnabled(nil, x))
	case isResumed:
		p.Name = "resumed"
		attrs := xml.AppendAttr(nil, "previd", m.name(x.token))
		p.Attrs = string(xml.AppendAttr(attrs, "h", count(m.helloH)))
	case isBound:
		p.Name, p.NS = "bound", ns.Bind2
		b := s.appendEnabled([]byte("<enabled xmlns='"+ns.StreamManagement+"'"), x)
		p.Body = append(b, "/>"...)
	default:
		return
	}
	m.hello = p
}

// appendEnabled writes the attributes of enabled.
func (s *Service) appendEnabled(dst []byte, x *session) []byte {
	m := x.managed
	if !m.resumable() {
		return dst
	}
	dst = xml.AppendAttr(dst, "id", m.name(x.token))
	dst = xml.AppendAttr(dst, "max", strconv.Itoa(int(m.max.Seconds())))
	dst = xml.AppendAttr(dst, "resume", "true")
	if location := s.args().Management.Location; location != "" {
		dst = xml.AppendAttr(dst, "location", location)
	}
	return dst
}

// count writes a number of stanzas as XEP-0198 does, in 32 bits.
func count(n uint64) string { return strconv.FormatUint(uint64(uint32(n)), 10) }

// answerRequest tells the client how many of its stanzas are in the journal,
// once all are. What it has asked together it is told once.
func (s *Service) answerRequest(ctx context.Context, x *session, p *packet.Packet) (packet.Verdict, error) {
	if x == nil {
		return packet.Claim, nil
	}
	a := x.account
	a.mu.Lock()
	isNew := s.isNew(x, p) && x.isManaged()
	if isNew {
		x.managed.owes = true
	}
	a.mu.Unlock()
	if !isNew {
		return packet.Claim, nil
	}
	return packet.Claim, s.gather(ctx, x)
}

// acknowledged takes what the client says that it has.
func (s *Service) acknowledged(ctx context.Context, x *session, p *packet.Packet) (packet.Verdict, error) {
	if x == nil {
		return packet.Claim, nil
	}
	h, err := strconv.ParseUint(attribute(p, "h"), 10, 32)
	a := x.account
	a.mu.Lock()
	if !s.isNew(x, p) || !x.isManaged() {
		a.mu.Unlock()
		return packet.Claim, nil
	}
	if err != nil {
		a.mu.Unlock()
		return s.refuseStream(ctx, p, "bad-format")
	}
	m := x.managed
	stored, ok := s.ack(x, uint32(h))
	if !ok {
		app := tooHigh(h, m.given)
		a.mu.Unlock()
		return packet.Claim, s.env.Deliver(ctx, streamEnd(p.Near, x.token, x.jid, "undefined-condition", app))
	}
	m.asked = 0
	more := m.written > m.acked || m.written < m.last()
	a.mu.Unlock()
	if stored {
		s.forgetStored(ctx, a)
	}
	if more {
		s.drain(x)
	}
	return packet.Claim, nil
}

// tooHigh is why the stream of a client ends that has more than it was sent.
func tooHigh(h, sent uint64) []byte {
	return xml.AppendEmpty(nil, "handled-count-too-high", ns.StreamManagement, "h", count(h), "send-count", count(sent))
}

// ask notes that the client is asked for an acknowledgement. The account is locked.
func (s *Service) ask(x *session) {
	m := x.managed
	m.asked = s.clock.now()
	if m.isLate() {
		m.late = 0
	}
	s.clock.wake(x, m.asked+s.ackTimeout())
}

// ackTimeout is how long a client may take to acknowledge.
func (s *Service) ackTimeout() moment {
	return moment(s.args().Management.Timeout.Std() / tick)
}

// lookAcks asks for an acknowledgement that is late, and reports whether the
// client owes one for too long. The account is locked; drain comes next.
func (s *Service) lookAcks(x *session, now moment) (dead bool) {
	m := x.managed
	switch {
	case m.asked != 0 && now >= m.asked+s.ackTimeout():
		return true
	case m.asked != 0:
		s.clock.wake(x, m.asked+s.ackTimeout())
	case m.written > m.acked:
		m.late = m.acked + 1
	}
	return false
}

// name is what a client resumes a session with: the session's place, and what
// nobody can guess.
func (m *managed) name(token packet.Token) string {
	b := make([]byte, 0, 24)
	b = appendUint32(appendUint32(b, token.Slot), token.Incarnation)
	return base64.RawURLEncoding.EncodeToString(append(b, m.id[:]...))
}

func appendUint32(b []byte, n uint32) []byte {
	return append(b, byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
}

// parseName splits a name.
func parseName(name string) (token packet.Token, id [16]byte, ok bool) {
	b, err := base64.RawURLEncoding.DecodeString(strings.TrimSpace(name))
	if err != nil || len(b) != 24 {
		return token, id, false
	}
	be := func(b []byte) uint32 { return uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3]) }
	token.Slot, token.Incarnation = be(b), be(b[4:])
	copy(id[:], b[8:])
	return token, id, true
}
