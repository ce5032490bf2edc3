package peer

import (
	"errors"
	"time"

	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/xmpp/ns"
	"github.com/jabberii/server/plugins/xmpp/stanza"
	"github.com/jabberii/server/plugins/xmpp/stream"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

// A pulse finds out whether the peer is there: one that was silent for a while is
// pinged, and whatever it says then is an answer. With the peer's lock.
type pulse struct {
	id    string      // of pings
	timer *time.Timer // nil if it isn't watched
	asked time.Time   // when it was pinged, zero if it wasn't
	now   bool        // ping it, however lately it was heard
}

// errSilent is why the stream of a peer ends that does not answer.
var errSilent = errors.New("the peer does not answer a ping")

// beat looks at the pulse.
func (s *link) beat() {
	p, k := s.peer, &s.pulse
	p.mu.Lock()
	defer p.mu.Unlock()
	if s.broken || s.ending != nil {
		return
	}
	heard, idle := s.conn.lastHeard(), p.Ping.Idle.Std()
	silence := time.Since(heard)
	switch {
	case s.waits.Load(): // not heard because it isn't listened to
		k.asked, k.now = time.Time{}, false
		k.timer.Reset(idle)
	case k.asked.IsZero() && !k.now && silence < idle, !k.asked.IsZero() && heard.After(k.asked):
		k.asked, k.now = time.Time{}, false
		k.timer.Reset(max(idle-silence, time.Millisecond))
	case k.asked.IsZero():
		k.asked, k.now = time.Now(), false
		s.raw = appendPing(s.raw, p.Host, k.id)
		s.wake()
		k.timer.Reset(min(idle, p.Ping.Answer.Std()))
	default:
		if rest := p.Ping.Answer.Std() - time.Since(k.asked); rest > 0 {
			k.timer.Reset(min(idle, rest))
			return
		}
		s.why = errSilent
		s.stop(&stream.Error{Condition: stream.ConnectionTimeout}, false)
		s.conn.hasten()
	}
}

// probe pings the peer now. With the peer's lock held; s may be nil.
func (s *link) probe() {
	if s != nil && s.pulse.timer != nil && s.pulse.asked.IsZero() {
		s.pulse.now = true
		s.pulse.timer.Reset(0)
	}
}

func (s *link) stopPulse() {
	s.peer.mu.Lock()
	defer s.peer.mu.Unlock()
	if s.pulse.timer != nil {
		s.pulse.timer.Stop()
		s.pulse.timer = nil
	}
}

// appendPing writes a ping from the component's domain to itself: the one address
// that both sides are sure to know.
func appendPing(dst []byte, host, id string) []byte {
	body := xml.AppendEmpty(nil, "ping", ns.Ping)
	return appendElement(dst, &packet.Packet{Name: stanza.IQ, Type: stanza.TypeGet, ID: id, To: host, From: host, Body: body})
}
