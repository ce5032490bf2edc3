package clients

import "time"

// Message sends a chat message and returns its id once it was written.
func (c *Client) Message(to, body string) string {
	c.t.Helper()
	return c.sent("message", map[string]any{"to": to, "body": body})
}

// MessageFrom sends a chat message from an address of a component.
func (c *Client) MessageFrom(from, to, body string) string {
	c.t.Helper()
	return c.sent("message", map[string]any{"from": from, "to": to, "body": body})
}

// Presence sends presence.
func (c *Client) Presence(p Presence) {
	c.t.Helper()
	args := map[string]any{"to": p.To, "type": p.Type, "show": p.Show, "status": p.Status, "from": p.From}
	if p.Priority != 0 {
		args["priority"] = p.Priority
	}
	c.sent("presence", args)
}

// Subscribe asks a contact for its presence. What comes of it is told to clients
// that have asked for their Roster, RFC 6121 2.2.
func (c *Client) Subscribe(to string) {
	c.t.Helper()
	c.Presence(Presence{To: to, Type: "subscribe"})
}

// Approve lets a contact that asked see our presence.
func (c *Client) Approve(to string) {
	c.t.Helper()
	c.Presence(Presence{To: to, Type: "subscribed"})
}

// Send sends one stanza as it stands, without declaring its namespace:
// `<message to='bob@localhost'><x xmlns='...'/></message>`.
func (c *Client) Send(xml string) string {
	c.t.Helper()
	return c.sent("send", map[string]any{"xml": xml})
}

func (c *Client) sent(do string, args map[string]any) string {
	c.t.Helper()
	var stanza struct{ ID string }
	c.must(do, args, &stanza)
	return stanza.ID
}

// IQ sends an IQ as it stands and returns the answer, which may be an error.
func (c *Client) IQ(xml string) Event {
	c.t.Helper()
	var answer Event
	c.must("iq", map[string]any{"xml": xml}, &answer)
	return answer
}

// Roster asks for the roster.
func (c *Client) Roster() []Contact {
	c.t.Helper()
	var roster struct{ Items []Contact }
	c.must("roster", nil, &roster)
	return roster.Items
}

// Contact returns the item of the roster with an address, and whether there is one.
func (c *Client) Contact(jid string) (Contact, bool) {
	c.t.Helper()
	for _, contact := range c.Roster() {
		if contact.JID == jid {
			return contact, true
		}
	}
	return Contact{}, false
}

// AddContact puts an address into the roster, or changes its name and groups.
func (c *Client) AddContact(jid, name string, groups ...string) {
	c.t.Helper()
	if groups == nil {
		groups = []string{}
	}
	c.must("roster_set", map[string]any{"jid": jid, "name": name, "groups": groups}, nil)
}

// RemoveContact takes an address off the roster, and its subscriptions.
func (c *Client) RemoveContact(jid string) {
	c.t.Helper()
	c.must("roster_remove", map[string]any{"jid": jid}, nil)
}

// Ping pings an address, XEP-0199, and returns the time to its answer. Since
// the answer comes behind all that was sent before it, this is also how to wait
// for a server to be through with that.
func (c *Client) Ping(to string) time.Duration {
	c.t.Helper()
	return c.ping(map[string]any{"to": to})
}

// PingFrom pings from an address of a component.
func (c *Client) PingFrom(from, to string) time.Duration {
	c.t.Helper()
	return c.ping(map[string]any{"from": from, "to": to})
}

func (c *Client) ping(args map[string]any) time.Duration {
	c.t.Helper()
	var trip struct{ Seconds float64 }
	c.must("ping", args, &trip)
	return time.Duration(trip.Seconds * float64(time.Second))
}

// Disco asks an address what it is, what it can do and what is there.
func (c *Client) Disco(to string) Disco {
	c.t.Helper()
	var disco Disco
	c.must("disco", map[string]any{"to": to}, &disco)
	return disco
}

// DiscoFrom asks from an address of a component.
func (c *Client) DiscoFrom(from, to string) Disco {
	c.t.Helper()
	var disco Disco
	c.must("disco", map[string]any{"from": from, "to": to}, &disco)
	return disco
}

// Drop cuts the TCP connection without a word, as a dead network does.
func (c *Client) Drop() {
	c.t.Helper()
	c.must("drop", nil, nil)
}

// Reconnect comes back after Drop, or after the server went away, for which it
// goes on trying. It reports whether the stream was resumed, XEP-0198; if not, the
// session is a new one.
func (c *Client) Reconnect() (resumed bool) {
	c.t.Helper()
	var session struct {
		JID     string
		Resumed bool
	}
	c.must("reconnect", nil, &session)
	c.JID = session.JID
	return session.Resumed
}

// Unacknowledged asks the server to acknowledge and returns how many stanzas
// it had not acknowledged until then. Acknowledgements are events "acked".
func (c *Client) Unacknowledged() int {
	c.t.Helper()
	var queue struct{ Unacknowledged int }
	c.must("ack", nil, &queue)
	return queue.Unacknowledged
}

// Disconnect closes the stream and waits for the server to do so.
func (c *Client) Disconnect() {
	c.t.Helper()
	c.must("disconnect", nil, nil)
}
