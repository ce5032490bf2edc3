package sm

import (
	"time"

	"github.com/jabberii/server/jabberd/packet"
)

// reroute sends what the client of an ended session has not acknowledged where
// it would go without the session (XEP-0198 section 4).
func (s *Service) reroute(t *act, x *session) {
	m := x.managed
	if m == nil {
		return
	}
	origin := x.token
	origin.Section += unread // it numbers others than those of the client
	x.account.mu.Lock()
	number := m.acked
	var list []packet.Packet
	for _, q := range m.queue.all() {
		number++
		if q.copies != nil {
			q.copies.held--
			if q.copies.taken || q.copies.held > 0 {
				continue
			}
		}
		if p, ok := q.again(); ok {
			p.Near, p.Seq = origin, number
			list = append(list, p)
		}
	}
	m.queue = queue{pool: m.queue.pool}
	x.account.mu.Unlock()
	for i := range list {
		t.normal(&list[i])
	}
}

// holdsStored reports whether an offline message waits for the client's
// acknowledgement. The account is locked.
func (x *session) holdsStored() bool {
	if !x.isManaged() {
		return false
	}
	for _, q := range x.managed.queue.all() {
		if q.stored != "" {
			return true
		}
	}
	return false
}

// again is what becomes of a stanza that its session has not taken.
func (q *queued) again() (packet.Packet, bool) {
	p := q.p
	switch {
	case q.stored != "", isCopy(&p): // it is in storage, or another client has it
		return p, false
	case p.Name == "message" && isKept(p.Type):
		p.To = packet.Bare(p.To)
		p.Body = withDelay(p.Body, packet.Domain(p.To), time.UnixMilli(q.at))
		return p, true
	case p.Name == "message" && p.Type == "groupchat", p.Name == "iq" && (p.Type == "get" || p.Type == "set"):
		return packet.Packet{
			To: p.From, From: p.To, Name: p.Name, Type: "error", ID: p.ID, Body: errorBody(packet.Refuse("service-unavailable", "")),
		}, true
	}
	return p, false
}
