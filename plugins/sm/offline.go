package sm

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"strconv"
	"time"

	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sdk/xdb"
	"github.com/jabberii/server/plugins/xmpp/ns"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

// Offline messages (XEP-0160) are a queue in the account's storage. A session
// that becomes available first gets them all, in order; until it has them,
// what comes meanwhile is put behind them.
const offlineNS = "offline"

// believed is how long an account that exists is not asked for again. One that
// is removed meanwhile with jabberd's own command is asked for at once.
const believed = moment(10 * time.Second / tick)

// keep stores a message for an account that has nobody to take it. It reports
// false if meanwhile there is somebody.
func (s *Service) keep(ctx context.Context, p *packet.Packet) (bool, error) {
	a := s.accounts.hold(packet.Bare(p.To))
	defer s.accounts.release(a)
	a.mu.Lock()
	var room [8]*session
	if _, where := a.route(p, room[:0]); where != toStorage {
		a.mu.Unlock()
		return false, nil
	}
	known := len(a.sessions) > 0 || s.clock.now() < a.exists
	a.storing++
	a.mu.Unlock()
	err := s.storeMessage(ctx, a, p, known)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.storing--
	a.kept++
	a.signal()
	return err == nil, err
}

// storeMessage stores a message for an account of which it may be known that it
// exists.
func (s *Service) storeMessage(ctx context.Context, a *account, p *packet.Packet, known bool) error {
	if s.args().Offline.Max == 0 {
		return unavailable()
	}
	if !known {
		if there, err := s.exists(ctx, a.jid); err != nil {
			return err
		} else if !there && s.tellsUnknown(p) {
			return unavailable()
		} else if !there {
			return nil
		}
		a.mu.Lock()
		a.exists = s.clock.now() + believed
		a.mu.Unlock()
	}
	if isFleeting(p) {
		return nil
	}
	if err := s.beginAppend(ctx, a); err != nil {
		return err
	}
	defer a.endAppend()
	if p.Flags&packet.Redelivered != 0 {
		there, err := s.isStored(ctx, a, p)
		if err != nil || there || s.repeats.has(a.jid, p) { // a client may have got it meanwhile
			return err
		}
	}
	identify(p, true)
	value := storedMessage(p, packet.Domain(a.jid), time.Now())
	before, err := s.backlogOf(ctx, a, len(value))
	switch {
	case err != nil:
		return err
	case !s.hasRoom(before, len(value)):
		return packet.Refuse("service-unavailable", "too much waits for the recipient")
	}
	return s.appendMessage(ctx, a, p, value, before)
}

// beginAppend waits until nobody else adds a message for the account. One at a
// time does, so that none comes to be before another that a spool has seen, and
// that there are never too many.
func (s *Service) beginAppend(ctx context.Context, a *account) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	for a.appending {
		if err := s.await(ctx, a); err != nil {
			return err
		}
	}
	a.appending = true
	return nil
}

func (a *account) endAppend() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.appending = false
	a.signal()
}

// appendMessage puts a message behind those in storage. It gives the key, so
// that a question which comes to storage twice stores the message once.
func (s *Service) appendMessage(ctx context.Context, a *account, p *packet.Packet, value []byte, before backlog) error {
	after := before.with(len(value))
	err := s.store.Batch(ctx, a.jid, []xdb.Change{{
		Op: xdb.Append, NS: offlineNS, Key: s.keys.Next(1).String(), With: packet.Bare(p.From), Value: after.appendSum(value),
	}})
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.stored.count >= 0 && err == nil {
		a.stored = after
	} else {
		a.stored.count = unknown
	}
	return err
}

// sawKey has the keys to come go on from one that was used, whatever the clock
// says.
func (s *Service) sawKey(key string) {
	if last, err := xdb.ParseRev(key); err == nil {
		s.keys.Saw(last)
	}
}

// isStored reports whether a message that comes again is in storage.
func (s *Service) isStored(ctx context.Context, a *account, p *packet.Packet) (bool, error) {
	q := xdb.Query{With: packet.Bare(p.From), Reverse: true}
	for {
		page, err := s.store.Query(ctx, a.jid, offlineNS, q)
		if err != nil {
			return false, err
		}
		for _, it := range page.Items {
			stored, ok := readMessage(it.Value)
			switch {
			case !ok:
			case hasOrigin(p) && stored.Near == p.Near: // they come in order: this one is not behind the last
				return stored.Seq >= p.Seq, nil
			case !hasOrigin(p) && sameContent(&stored, p):
				return true, nil
			}
			q.Before = it.Key
		}
		if !page.More {
			return false, nil
		}
	}
}

// hasOrigin reports whether a stanza says where it comes from.
func hasOrigin(p *packet.Packet) bool { return !p.Near.IsZero() && p.Seq != 0 }

// sameContent reports whether a message that nobody has numbered is one that is
// stored. Without an id nobody can tell, and two are better than none.
func sameContent(stored, p *packet.Packet) bool {
	if p.ID == "" || stored.ID != p.ID || stored.From != p.From || stored.Type != p.Type {
		return false
	}
	by := packet.Bare(p.To)
	rest, ok := bytes.CutPrefix(stored.Body, withoutForged(p.Body, by))
	for el := range xml.Elements(rest, ns.Client) { // what was added to it
		ok = ok && (el.Is("delay", ns.Delay) || isID(&el, by))
	}
	return ok
}

// isFleeting reports whether a message is of no use later: it says only that
// somebody is typing, or its sender wants it not to be kept (XEP-0334). A hint
// to keep it is obeyed too.
func isFleeting(p *packet.Packet) bool {
	if !bytes.Contains(p.Body, []byte("store")) { // an element's name can be written in one way only
		return isChatState(p.Body)
	}
	for el := range xml.Elements(p.Body, ns.Client) {
		switch {
		case el.Is("no-store", ns.Hints):
			return true
		case el.Is("store", ns.Hints):
			return false
		}
	}
	return isChatState(p.Body)
}

// isChatState reports whether the content of a message says only what somebody
// is about (XEP-0085).
func isChatState(body []byte) bool {
	state := false
	for el := range xml.Elements(body, ns.Client) {
		switch {
		case el.NS() == ns.ChatStates:
			state = true
		case el.Is("thread", ns.Client), el.NS() == ns.Hints, el.Is("private", ns.Carbons):
		default:
			return false
		}
	}
	return state
}

// withDelay adds to the content of a message since when it has waited
// (XEP-0203), unless that is said already.
func withDelay(body []byte, domain string, at time.Time) []byte {
	for el := range xml.Elements(body, ns.Client) {
		if el.Is("delay", ns.Delay) && el.Attr("from") == domain {
			return body
		}
	}
	out := make([]byte, 0, len(body)+100)
	out = append(out, body...)
	return xml.AppendEmpty(out, "delay", ns.Delay, "from", domain, "stamp", at.UTC().Format("2006-01-02T15:04:05.000Z"))
}

// storedMessage is a message as it is stored, and where it comes from.
func storedMessage(p *packet.Packet, domain string, at time.Time) []byte {
	body := withDelay(p.Body, domain, at)
	b := writeMessage(make([]byte, 0, len(body)+len(p.Attrs)+200), p, body)
	if !hasOrigin(p) {
		return b
	}
	origin := binary.AppendUvarint(appendToken(nil, p.Near), p.Seq)
	return xml.AppendElement(b, "origin", originNS, base64.StdEncoding.EncodeToString(origin))
}

// originNS is the namespace of what is stored beside a message.
const originNS = "urn:jabberd:origin"

// readMessage reads a stored message.
func readMessage(value []byte) (packet.Packet, bool) {
	el, ok := xml.First(value, ns.Client)
	if !ok {
		return packet.Packet{}, false
	}
	p := packet.Packet{
		To: el.Attr("to"), From: el.Attr("from"), Name: "message", Type: el.Attr("type"), ID: el.Attr("id"), Lang: el.Lang(),
		Attrs: otherAttrs(&el), Body: el.Inner(),
	}
	if origin, ok := xml.Find(value, ns.Client, "origin", originNS); ok {
		if b, err := base64.StdEncoding.DecodeString(origin.Text()); err == nil {
			r := reader{b: b}
			p.Near, p.Seq = r.token(), r.uint()
		}
	}
	return p, true
}

// otherAttrs writes the attributes of a stanza that have no field in a packet, or
// say that there is no language, which an empty field does not.
func otherAttrs(el *xml.Element) string {
	var b []byte
	prefixes := 0
	for at := range el.Attrs() {
		switch name := string(at.Name); {
		case at.NS == "" && (name == "to" || name == "from" || name == "type" || name == "id"):
		case at.NS == ns.XML && name == "lang" && len(at.Value) > 0:
		case at.NS == ns.XML:
			b = xml.AppendAttr(b, "xml:"+name, at.Value)
		case at.NS == "":
			b = xml.AppendAttr(b, name, at.Value)
		default:
			prefix := "x" + strconv.Itoa(prefixes)
			prefixes++
			b = xml.AppendAttr(b, "xmlns:"+prefix, at.NS)
			b = xml.AppendAttr(b, prefix+":"+name, at.Value)
		}
	}
	return string(b)
}
