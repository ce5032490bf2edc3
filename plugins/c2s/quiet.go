package c2s

import (
	"context"
	"strconv"
	"time"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/xmpp/ns"
	"github.com/jabberii/server/plugins/xmpp/session"
	"github.com/jabberii/server/plugins/xmpp/stanza"
	"github.com/jabberii/server/plugins/xmpp/stream"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

// A client that has said nothing for long, not even a space (RFC 6120, 4.6.1),
// is asked whether it is there: by the request of stream management where that
// is on, for a stanza of ours would not be counted by its session, else by a
// ping (XEP-0199). What it says then is its answer. One without an answer has
// its stream ended with connection-timeout (4.6.4).
type quietArgs struct {
	After  module.Duration `json:"after" default:"15m" doc:"How long a client may say nothing until it is asked whether it is there; 0 never asks. Announced to clients (XEP-0478)."`
	Answer module.Duration `json:"answer" default:"1m" doc:"How long it has to answer; then its stream is ended."`
}

const (
	pingID = "c2s-quiet"
	ping   = "<ping xmlns='" + ns.Ping + "'/>"
)

// ticksIn is how many ticks make a duration, at least one.
func ticksIn(d module.Duration) uint32 { return uint32(max(1, d.Std()/tick)) }

// quietLook is how often, in ticks, the quiet are looked for: all connections
// in one go, but seldom, so that none needs a timer.
func (a quietArgs) look() uint32 {
	return min(ticksIn(a.After)/8, ticksIn(a.Answer)/4, ticksIn(module.Duration(15*time.Second))) + 1
}

// lookForQuiet asks those who have been quiet for long, and ends the streams
// of those who were asked in vain.
func (s *Service) lookForQuiet(now uint32) {
	after, answer := ticksIn(s.args.Quiet.After), ticksIn(s.args.Quiet.Answer)
	if s.args.Quiet.After == 0 || now%s.args.Quiet.look() != 0 {
		return
	}
	var ask, gone []*conn
	s.mu.Lock()
	for _, c := range s.slots {
		if c == nil {
			continue
		}
		heard := c.heard.Load()
		switch asked := c.asked.Load(); {
		case now-heard <= after || c.ending.Load():
		case int32(asked-heard) <= 0: // asked before, and has answered that
			c.asked.Store(now)
			ask = append(ask, c)
		case now-asked > answer:
			gone = append(gone, c)
		}
	}
	s.mu.Unlock()
	for _, c := range ask {
		c.ask()
	}
	for _, c := range gone {
		c.endWith(&stream.Error{Condition: stream.ConnectionTimeout, Text: "no answer", Lang: "en"})
	}
	if len(gone) > 0 {
		s.env.Log().Info("ended streams of clients that did not answer", "connections", len(gone))
	}
}

// ask has the client say something.
func (c *conn) ask() {
	c.mu.Lock()
	to, managed := c.address, c.managed
	c.mu.Unlock()
	switch {
	case managed:
		c.write(&packet.Packet{Name: "r", NS: ns.StreamManagement})
	case packet.Resource(to) != "":
		c.pinged.Store(true)
		c.write(&packet.Packet{Name: stanza.IQ, Type: stanza.TypeGet, ID: pingID, From: c.domain, To: to, Body: []byte(ping)})
	default:
		c.endWith(&stream.Error{Condition: stream.ConnectionTimeout, Text: "no resource was bound", Lang: "en"})
	}
}

// isPong reports whether an element is the answer to our ping, which is not for
// the session.
func (c *conn) isPong(t *xml.Token) bool {
	return c.pinged.Load() && t.Name == stanza.IQ && string(t.ID) == pingID && (t.Type == stanza.TypeResult || t.Type == stanza.TypeError)
}

// offerLimits announces what a stream may not exceed (XEP-0478).
func (s *Service) offerLimits() session.Offer {
	limits := xml.AppendStart(nil, "limits", ns.StreamLimits)
	limits = xml.AppendElement(limits, "max-bytes", "", strconv.FormatInt(int64(s.args.Stanza), 10))
	if after := s.args.Quiet.After.Std(); after > 0 {
		limits = xml.AppendElement(limits, "idle-seconds", "", strconv.Itoa(max(1, int(after.Seconds()))))
	}
	return announcement(xml.AppendEnd(limits, "limits"))
}

// An announcement is a feature with nothing to negotiate, for streams before
// the login and behind it.
type announcement []byte

func (a announcement) Append(dst []byte, _ *session.Receiver) []byte { return append(dst, a...) }

func (a announcement) Pending(*session.Receiver) bool { return false }

func (a announcement) Feed(context.Context, *session.Receiver, *xml.Token) (session.Reply, bool) {
	return session.Reply{}, false
}
