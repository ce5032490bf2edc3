package sm

import (
	"bytes"
	"slices"

	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/xmpp/ns"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

// A client announces what it can do with an element in its presence (XEP-0115).
// Mostly that is the same as before, and all who get the presence have had it:
// where sm optimises that (section 8.4), it tells them once, and keeps what was
// announced for who asks later, also if the client itself says it only once.

// capsOptimize is the feature that says so.
const capsOptimize = ns.Caps + "#optimize"

// splitCaps parts what the content of a presence announces from the rest.
func splitCaps(body []byte) (caps, rest []byte) {
	for el := range xml.Elements(body, ns.Client) {
		if el.Is("c", ns.Caps) {
			caps = append(caps, el.Outer()...)
		} else {
			rest = append(rest, el.Outer()...)
		}
	}
	return caps, rest
}

// abridge returns what a presence shows that follows another one of its session:
// the whole, for who asks, and news, for those who have had the one before. The
// contents are never changed, since packets may still have them.
func abridge(before, now []byte) (whole, news []byte) {
	known, _ := splitCaps(before)
	caps, rest := splitCaps(now)
	switch {
	case len(known) == 0:
		return now, now
	case len(caps) == 0:
		return append(slices.Clip(now), known...), now
	case bytes.Equal(caps, known):
		return now, rest
	}
	return now, now
}

// takePresence has x show the presence p from now on, and returns it as it is
// broadcast. Who saw none before, or may not have, gets the whole: with a privacy
// list, those whom it let in meanwhile, by their group for example. The account
// is locked.
func (s *Service) takePresence(x *session, p *packet.Packet, first bool) packet.Packet {
	before := x.presence
	x.presence = shownBy(p)
	x.priority = priority(p)
	if before == nil || !s.args().Caps.Optimize {
		return x.available()
	}
	whole, news := abridge(before.body, x.presence.body)
	x.presence.body = whole
	q := x.available()
	if !first && x.account.list(x) == nil {
		q.Body = news
	}
	return q
}

// hasCaps reports whether a presence announces something.
func hasCaps(p *packet.Packet) bool {
	_, ok := xml.Find(p.Body, ns.Client, "c", ns.Caps)
	return ok
}
