package sm

import (
	"slices"

	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/xmpp/ns"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

// A contact is what a roster has about one address.
type contact struct {
	jid    string // bare
	name   string
	groups []string // shared, never changed
	state  subscription

	// listed says that the account's clients see it. One that has only asked
	// to be let in is not (RFC 6121 section 3.1.3).
	listed  bool
	request []byte // with pendingIn: the content of what it asked with
}

// isGone reports whether nothing is left to be known.
func (c *contact) isGone() bool { return !c.listed && c.state == none }

func (c *contact) equal(d *contact) bool {
	return c.sameToClients(d) && c.state == d.state && string(c.request) == string(d.request)
}

// visible are the parts of a subscription that clients see.
const visible = to | from | pendingOut | approved

func (c *contact) sameToClients(d *contact) bool {
	return c.listed == d.listed && c.name == d.name && c.state&visible == d.state&visible && slices.Equal(c.groups, d.groups)
}

// appendItem writes the contact as clients see it.
func (c *contact) appendItem(dst []byte) []byte { return c.append(dst, nil) }

// append writes the contact, with further attributes and content.
func (c *contact) append(dst, content []byte, more ...string) []byte {
	ask, approval := "", ""
	if c.state&pendingOut != 0 {
		ask = "subscribe"
	}
	if c.state&approved != 0 {
		approval = "true"
	}
	attrs := append([]string{"jid", c.jid, "name", c.name, "subscription", c.state.String(), "ask", ask, "approved", approval}, more...)
	if len(c.groups) == 0 && len(content) == 0 {
		return xml.AppendEmpty(dst, "item", "", attrs...)
	}
	dst = xml.AppendStart(dst, "item", "", attrs...)
	for _, g := range c.groups {
		dst = xml.AppendElement(dst, "group", "", g)
	}
	return xml.AppendEnd(append(dst, content...), "item")
}

// value is the contact as it is stored.
func (c *contact) value() []byte {
	more := []string{"xmlns", ns.Roster}
	if !c.listed {
		more = append(more, "listed", "false")
	}
	if c.state&pendingIn != 0 {
		more = append(more, "pending", "in")
	}
	var request []byte
	if len(c.request) > 0 {
		request = xml.AppendStart(request, "request", ns.Client)
		request = append(request, c.request...)
		request = xml.AppendEnd(request, "request")
	}
	return c.append(nil, request, more...)
}

// parseContact reads a stored contact.
func parseContact(jid string, value []byte) contact {
	c := contact{jid: jid}
	el, ok := xml.First(value, ns.Roster)
	if !ok {
		return c
	}
	c.name = el.Attr("name")
	switch el.Attr("subscription") {
	case "to":
		c.state = to
	case "from":
		c.state = from
	case "both":
		c.state = both
	}
	if el.Attr("ask") == "subscribe" {
		c.state |= pendingOut
	}
	if el.Attr("approved") == "true" {
		c.state |= approved
	}
	if el.Attr("pending") == "in" {
		c.state |= pendingIn
	}
	c.listed = el.Attr("listed") != "false"
	for child := range el.Elements() {
		switch {
		case child.Is("group", ns.Roster):
			c.groups = append(c.groups, child.Text())
		case child.Is("request", ns.Client):
			c.request = slices.Clone(child.Inner())
		}
	}
	return c
}

// ask is the request of a contact that the account has not answered.
func (c *contact) ask(jid string) packet.Packet {
	return packet.Packet{To: jid, From: c.jid, Name: "presence", Type: "subscribe", Body: c.request}
}
