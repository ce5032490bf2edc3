// Package sessions is how the server's own parts ask a session manager for the
// sessions of its hosts, and have it end some: an IQ to the host, in a namespace
// of its own, that is answered only if it comes from the server itself.
//
// The address of who asks is packet.ServerHost for the server's commands, and
// the host itself, with a resource, for a module that stands in the chain of the
// host. No client, server or component can send with either.
package sessions

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/xmpp/ns"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

// NS is the namespace of what is asked.
const NS = "urn:jabberd:sessions"

// Proved is the attribute by which a connection that asks for a session tells when its
// client has proved whose it is, in milliseconds since 1970. If the session manager has
// ended the account's sessions since, or does not know, it gives the session with
// packet.Recheck.
const Proved = "proved"

// MaxPage is how many sessions one answer has at most.
const MaxPage = 500

// A Session is what its session manager says of it.
type Session struct {
	JID       string        `json:"jid"`                  // full
	Available bool          `json:"available"`            // it has sent presence
	Priority  int           `json:"priority"`             // of its presence
	Connected bool          `json:"connected"`            // or it waits to be resumed
	Managed   bool          `json:"managed"`              // stream management is enabled (XEP-0198)
	Queue     int           `json:"queue"`                // stanzas that the client has not acknowledged
	Idle      time.Duration `json:"-"`                    // since the client was heard of; idle_seconds in JSON
	Listener  string        `json:"connection,omitempty"` // the section that has the connection
}

// fields are those of a session that JSON has as they are.
type fields Session

// inJSON is a session in JSON, where a time is in seconds.
type inJSON struct {
	fields
	Idle float64 `json:"idle_seconds"`
}

// MarshalJSON implements json.Marshaler.
func (s Session) MarshalJSON() ([]byte, error) {
	return json.Marshal(inJSON{fields(s), s.Idle.Seconds()})
}

// UnmarshalJSON implements json.Unmarshaler.
func (s *Session) UnmarshalJSON(text []byte) error {
	var x inJSON
	if err := json.Unmarshal(text, &x); err != nil {
		return err
	}
	*s = Session(x.fields)
	s.Idle = time.Duration(x.Idle * float64(time.Second))
	return nil
}

// An Asker sends an IQ and waits for its answer. An error answer is returned as
// *packet.Reject.
type Asker interface {
	Request(ctx context.Context, iq *packet.Packet) (*packet.Packet, error)
}

// Trusted reports whether an IQ to a host comes from the server itself.
func Trusted(p *packet.Packet) bool {
	return packet.Local(p.From) == "" && (packet.Domain(p.From) == packet.ServerHost || packet.Domain(p.From) == packet.Domain(p.To))
}

// List returns the sessions of a host, or with a bare JID those of an account, by
// address: those behind after, MaxPage at most. more says that there are others.
func List(ctx context.Context, a Asker, of, after string) (list []Session, more bool, err error) {
	body := xml.AppendEmpty(nil, "list", NS, "of", of, "after", after)
	answer, err := a.Request(ctx, &packet.Packet{To: packet.Domain(of), Name: "iq", Type: "get", Body: body})
	if err != nil {
		return nil, false, err
	}
	el, ok := xml.Find(answer.Body, ns.Client, "list", NS)
	if !ok {
		return nil, false, fmt.Errorf("%s does not list sessions", packet.Domain(of))
	}
	for child := range el.Elements() {
		list = append(list, parse(child))
	}
	return list, el.Attr("more") == "true", nil
}

// All returns all sessions of a host or an account.
func All(ctx context.Context, a Asker, of string) (all []Session, err error) {
	for after, more := "", true; more; {
		var page []Session
		if page, more, err = List(ctx, a, of, after); err != nil {
			return nil, err
		}
		all = append(all, page...)
		if more = more && len(page) > 0; more {
			after = page[len(page)-1].JID
		}
	}
	return all, nil
}

// An Ending says which sessions end, and what their clients are told: a stream error
// (RFC 6120 section 4.9).
type Ending struct {
	Of        string // the session with a full JID, or all of an account
	But       string // the session with a full JID that goes on; "" is none
	Condition string // such as "policy-violation"
	Text      string // for people, in English; may be empty
}

// End ends sessions, and returns how many there were.
func End(ctx context.Context, a Asker, e Ending) (int, error) {
	return change(ctx, a, e.Of, xml.AppendEmpty(nil, "end", NS, "of", e.Of, "but", e.But, "condition", e.Condition, "text", e.Text))
}

// Renew ends the sessions of an account that has another password, but for the one, a
// full JID or "", whose client has changed it. The others log in with the new one, if
// they know it.
func Renew(ctx context.Context, a Asker, account, but string) error {
	_, err := End(ctx, a, Ending{Of: account, But: but, Condition: "reset", Text: "Password changed"})
	return err
}

// Disabled ends the sessions of an account that may not log in any more.
func Disabled(ctx context.Context, a Asker, account string) error {
	_, err := End(ctx, a, Ending{Of: account, Condition: "not-authorized", Text: "Account disabled"})
	return err
}

// Roster returns the contacts of an account, as its clients are told them: the element
// query (RFC 6121 section 2.1.4).
func Roster(ctx context.Context, a Asker, account string) ([]byte, error) {
	answer, err := a.Request(ctx, &packet.Packet{To: packet.Domain(account), Name: "iq", Type: "get", Body: xml.AppendEmpty(nil, "roster", NS, "of", account)})
	if err != nil {
		return nil, err
	}
	return answer.Body, nil
}

// Forget ends what an account is in: its sessions, and its subscriptions in both
// directions, of which its contacts are told. The
// account's keys have to be gone already, so that nobody logs in meanwhile. If one of
// the sessions has asked for it, with an IQ, that is answered before the session ends;
// asked may be nil. It returns how many sessions there were.
func Forget(ctx context.Context, a Asker, account string, asked *packet.Packet) (int, error) {
	attrs := []string{"of", account}
	if asked != nil {
		attrs = append(attrs, "session", asked.From, "iq", asked.ID, "to", asked.To)
	}
	return change(ctx, a, account, xml.AppendEmpty(nil, "forget", NS, attrs...))
}

// Befriend has an account ask for the presence of a contact, a bare JID, and grant
// the contact its own, now or when it asks (RFC 6121 section 3).
func Befriend(ctx context.Context, a Asker, account, contact string) error {
	body := xml.AppendEmpty(nil, "befriend", NS, "of", account, "contact", contact)
	_, err := a.Request(ctx, &packet.Packet{To: packet.Domain(account), Name: "iq", Type: "set", Body: body})
	return err
}

func change(ctx context.Context, a Asker, of string, body []byte) (int, error) {
	answer, err := a.Request(ctx, &packet.Packet{To: packet.Domain(of), Name: "iq", Type: "set", Body: body})
	if err != nil {
		return 0, err
	}
	el, ok := xml.Find(answer.Body, ns.Client, "ended", NS)
	if !ok {
		return 0, fmt.Errorf("%s does not end sessions", packet.Domain(of))
	}
	return strconv.Atoi(el.Attr("count"))
}

// AppendList appends the answer to List.
func AppendList(dst []byte, list []Session, more bool) []byte {
	dst = xml.AppendStart(dst, "list", NS, "more", flag(more))
	for _, s := range list {
		dst = xml.AppendEmpty(dst, "session", "", "jid", s.JID, "available", flag(s.Available), "priority", strconv.Itoa(s.Priority),
			"connected", flag(s.Connected), "managed", flag(s.Managed), "queue", strconv.Itoa(s.Queue),
			"idle", strconv.FormatInt(s.Idle.Milliseconds(), 10), "connection", s.Listener)
	}
	return xml.AppendEnd(dst, "list")
}

// AppendEnded appends the answer to End and Forget.
func AppendEnded(dst []byte, count int) []byte {
	return xml.AppendEmpty(dst, "ended", NS, "count", strconv.Itoa(count))
}

func parse(el xml.Element) Session {
	number := func(name string) int64 { // what is no number is 0
		n, _ := strconv.ParseInt(el.Attr(name), 10, 64)
		return n
	}
	return Session{
		JID: el.Attr("jid"), Available: el.Attr("available") == "true", Priority: int(number("priority")),
		Connected: el.Attr("connected") == "true", Managed: el.Attr("managed") == "true", Queue: int(number("queue")),
		Idle: time.Duration(number("idle")) * time.Millisecond, Listener: el.Attr("connection"),
	}
}

func flag(b bool) string {
	if b {
		return "true"
	}
	return ""
}
