package sm

import (
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/xmpp/carbons"
	"github.com/jabberii/server/plugins/xmpp/ns"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

// Client state indication (XEP-0352). Nobody looks at a client that says it is
// inactive: what can wait stays at the end of its queue, until something comes
// that cannot, too much waits, or the client is active again. Order is kept.
// What waits is replaced by what makes it obsolete: a presence by the next one
// of the same address, somebody's typing by what comes of it.
//
// A session without stream management has no queue, and gets all at once.

// maxWaiting is how many stanzas wait for an inactive client at most; fewer, if
// they fill a quarter of its queue.
const maxWaiting = 100

// clientState notes that somebody looks at a client, or nobody does.
func (s *Service) clientState(x *session, p *packet.Packet) (packet.Verdict, error) {
	if x == nil {
		return packet.Claim, nil
	}
	a := x.account
	a.mu.Lock()
	inactive := p.Name == "inactive"
	changed := s.isNew(x, p) && x.inactive != inactive
	if changed {
		x.inactive = inactive
		s.journalState(x)
	}
	a.mu.Unlock()
	if !changed {
		return packet.Claim, nil
	}
	if err := s.commit(); err != nil {
		return packet.Pass, err
	}
	if x.isManaged() {
		s.drain(x)
	}
	return packet.Claim, nil
}

// hasToGo reports whether the next stanza of the queue goes to the client now.
// The account is locked.
func (x *session) hasToGo() bool {
	m := x.managed
	return m.written < m.last() && (!x.inactive || m.written < m.urgent)
}

// pressing notes that a stanza at the end of the queue of an inactive client
// takes along all before it, if it can't wait or they are too many. The account
// is locked.
func (s *Service) pressing(x *session, p *packet.Packet) {
	m, limits := x.managed, &s.args().Management
	most := min(maxWaiting, limits.Queue/4)
	waiting := m.last() - max(m.written, m.urgent)
	if !canWait(p) || waiting > uint64(most) || m.queue.len() > limits.Queue/2 || m.queue.bytes > int(limits.Size)/2 {
		m.urgent = m.last()
	}
}

// canWait reports whether a stanza is of use later too, and not before.
func canWait(p *packet.Packet) bool {
	switch p.Name {
	case "presence":
		return p.Type == "" || p.Type == "unavailable"
	case "message":
		body, kind := p.Body, p.Type
		if isCopy(p) {
			message, _ := carbons.Copied(p.Body)
			body = message.Inner()
		}
		if kind == "headline" {
			_, readable := xml.Find(body, ns.Client, "body", ns.Client)
			return !readable
		}
		return kind != "error" && isChatState(body)
	}
	return false
}

// supersede takes out of the queue of an inactive client what a stanza makes
// obsolete that is about to be put behind it. The account is locked.
func (s *Service) supersede(x *session, p *packet.Packet) {
	m := x.managed
	sent := max(m.given, m.urgent)
	for number := m.last(); number > sent; number-- {
		i := int(number - m.acked - 1)
		if old := m.queue.at(i); old.stored != "" || !isObsolete(&old.p, p) {
			continue
		}
		m.queue.remove(i)
		// Those behind must not go out under their new numbers before this is
		// written.
		skip := s.journalSkip(x, number)
		for ; i < m.queue.len(); i++ {
			q := m.queue.at(i)
			q.place = max(q.place, skip)
		}
		return
	}
}

// isObsolete reports whether a stanza that waits says nothing once another one
// has come.
func isObsolete(old, p *packet.Packet) bool {
	if old.Name != p.Name || old.From != p.From || !canWait(old) || isCopy(old) {
		return false
	}
	if p.Name == "presence" {
		// What its client can do one says for those behind it (XEP-0115 section 8.4).
		return canWait(p) && (p.Type != "" || !hasCaps(old) || hasCaps(p))
	}
	return old.Type != "headline" && p.Type != "headline" && p.Type != "error" && old.Type == p.Type
}
