package tree

import (
	"slices"
	"strings"

	"github.com/jabberii/server/jabberd/packet"
)

// unclaimed ends a delivery that no section claimed, in the way of its kind.
// reject is the first that a handler gave, nil if there was none.
func (e *Engine) unclaimed(w *worker, d *delivery, reject *packet.Reject) {
	d.failed = reject != nil
	if reject == nil {
		reject = packet.Refuse("service-unavailable", "")
	}
	d.result, d.reason = packet.Refused, reject
	if d.hop {
		return // it is answered where it came from
	}
	switch d.p.Kind {
	case packet.Normal:
		if why := unanswerable(&d.p); why != "" {
			d.result, d.reason = packet.Dropped, packet.Refuse(reject.Condition, why)
			return
		}
		e.answer(w, d, bounce(&d.p, reject))
	case packet.Session:
		if d.p.Flags&packet.Bounced != 0 || d.p.Near.IsZero() {
			d.result = packet.Dropped
			return
		}
		if isStanzaRefused(&d.p, reject) {
			e.answer(w, d, stanzaRefused(&d.p, reject))
			return
		}
		e.answer(w, d, sessionEnd(&d.p, reject))
	case packet.Log:
		d.result = packet.Dropped
		d.skipped = e.log.fallback(&d.p) && !d.failed
	}
}

// answer delivers what the tree itself has to say about d.
func (e *Engine) answer(w *worker, d *delivery, p packet.Packet) {
	c := e.pool.get(&p)
	d.causeOf(c)
	c.origin, c.named = d.origin, d.named
	c.mark = d.mark | bounceMark
	c.group = d.group
	c.group.expect(1)
	e.deliver(w, c)
}

// unanswerable says why a stanza is not answered with an error, "" if it is
// (RFC 6120 sections 8.2.3 and 8.3.1, RFC 6121 section 4.3).
func unanswerable(p *packet.Packet) string {
	switch {
	case p.Flags&packet.Bounced != 0 || p.Type == "error":
		return "an error is not answered"
	case p.From == "":
		return "it has no sender to tell"
	case p.Name == "iq" && p.Type == "result":
		return "a result is not answered"
	case p.Name == "presence":
		switch p.Type {
		case "unavailable", "unsubscribe", "unsubscribed", "subscribed", "probe":
			return "presence of type " + p.Type + " is not answered"
		}
	}
	return ""
}

// bounce returns the error stanza that answers p (RFC 6120 section 8.3).
func bounce(p *packet.Packet, r *packet.Reject) packet.Packet {
	return packet.Packet{
		Kind: packet.Normal, Flags: packet.Bounced,
		To: p.From, From: p.To, Name: p.Name, Type: "error", ID: p.ID, NS: p.NS, Lang: p.Lang,
		Body: ErrorElement(r),
	}
}

// sessionEnd returns the packet that tells the sender of a session packet that
// nobody is at the other end.
func sessionEnd(p *packet.Packet, r *packet.Reject) packet.Packet {
	return packet.Packet{
		Kind: packet.Session, Flags: packet.Bounced | p.Flags&packet.Down ^ packet.Down,
		Host: p.Near.Host, Section: p.Near.Section, Near: p.Far, Far: p.Near,
		To: p.From, From: p.To, Name: "end", Type: r.Condition, ID: p.ID, Body: ErrorElement(r),
	}
}

// isStanza reports whether a session packet is a stanza of the client, on its
// way up.
func isStanza(p *packet.Packet) bool {
	up := p.Kind == packet.Session && p.Flags&packet.Down == 0 && p.NS == ""
	return up && (p.Name == "message" || p.Name == "presence" || p.Name == "iq")
}

// isStanzaRefused reports whether a reject is about one stanza of the client,
// and not about its session, as one that says that this cannot be reached.
func isStanzaRefused(p *packet.Packet, r *packet.Reject) bool {
	return isStanza(p) && !slices.Contains(unreachable, r.Condition)
}

// unreachable are the conditions that end a session: those that the tree gives
// itself when a handler fails, is away, or takes too long.
var unreachable = []string{"internal-server-error", "service-unavailable", "remote-server-timeout", "resource-constraint"}

// stanzaRefused returns the packet that tells a connection of a stanza that a
// handler on the way to the session has refused: which one it was, by Seq, and
// the error, if it is one that is answered.
func stanzaRefused(p *packet.Packet, r *packet.Reject) packet.Packet {
	q := packet.Packet{
		Kind: packet.Session, Flags: packet.Bounced | packet.Down,
		Host: p.Near.Host, Section: p.Near.Section, Near: p.Far, Far: p.Near, Seq: p.Seq,
		To: p.From, From: p.To, Name: p.Name, Type: "error", ID: p.ID, Lang: p.Lang,
	}
	if unanswerable(p) == "" {
		q.Body = ErrorElement(r)
	}
	return q
}

// ErrorElement returns the error element of a stanza (RFC 6120 section 8.3.2).
func ErrorElement(r *packet.Reject) []byte {
	const ns = ` xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'`
	b := make([]byte, 0, 160+len(r.Text))
	b = append(append(append(b, "<error type='"...), r.ErrorType()...), "'><"...)
	b = append(append(append(b, r.Condition...), ns...), "/>"...)
	if r.Text != "" {
		b = append(append(append(b, "<text"...), ns...), '>')
		b = append(b, escapeText.Replace(r.Text)...)
		b = append(b, "</text>"...)
	}
	return append(b, "</error>"...)
}

var escapeText = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")
