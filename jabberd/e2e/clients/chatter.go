package clients

import (
	"fmt"
	"strings"
)

// A Chatter is what a client can do whichever it is: what people do who become
// contacts and chat. A [Chat] and a [Terminal] are Chatters.
type Chatter interface {
	GoOnline()               // tells who may know that it is available
	Subscribe(jid string)    // asks for somebody's presence
	Approve(jid string)      // waits until somebody asks for its presence, and says yes
	AwaitContact(jid string) // waits until the roster has somebody, each sees the other
	Say(to, body string)     // sends a chat message
	Hear(from, body string)  // waits for a chat message
	Leave()                  // logs out
}

// Chat is a Client as a Chatter.
type Chat struct{ *Client }

// GoOnline sends presence.
func (c Chat) GoOnline() { c.t.Helper(); c.Presence(Presence{}) }

// Approve waits for a request and grants it.
func (c Chat) Approve(jid string) {
	c.t.Helper()
	c.AwaitPresence(jid, "subscribe")
	c.Client.Approve(jid)
}

// AwaitContact asks for the roster: what this client has sent before is in it.
func (c Chat) AwaitContact(jid string) {
	c.t.Helper()
	if contact, _ := c.Contact(jid); contact.Subscription != "both" {
		c.t.Fatalf("%s: its contact %s is %+v%s", c.JID, jid, contact, c.history())
	}
}

// Say sends a chat message.
func (c Chat) Say(to, body string) { c.t.Helper(); c.Message(to, body) }

// Hear waits for a chat message.
func (c Chat) Hear(from, body string) { c.t.Helper(); c.AwaitMessage(from, body) }

// Leave closes the stream.
func (c Chat) Leave() { c.t.Helper(); c.Disconnect() }

// Gone returns how often somebody was seen to become unavailable so far.
func (c *Client) Gone(jid string) (times int) {
	for _, e := range c.events {
		if e.Event == "presence" && e.Type == "unavailable" && isFrom(e, jid) {
			times++
		}
	}
	return times
}

// GoOnline does nothing, profanity has done it by itself.
func (p *Terminal) GoOnline() {}

// Subscribe asks for presence.
func (p *Terminal) Subscribe(jid string) { p.t.Helper(); p.Type("/sub request " + jid) }

// Approve waits for a request and grants it.
func (p *Terminal) Approve(jid string) {
	p.t.Helper()
	p.Console()
	p.Await("Received authorization request from " + jid)
	p.Type("/sub allow " + jid)
}

// AwaitContact looks at the roster until the contact is there.
func (p *Terminal) AwaitContact(jid string) {
	p.t.Helper()
	p.Console()
	want := unbroken(jid + " - both")
	p.awaitScreen(fmt.Sprintf("%q in the roster", want), func(screen string) bool {
		if strings.Contains(screen, want) {
			return true
		}
		p.Type("/roster")
		return false
	})
}

// Say opens the chat with somebody and says something there.
func (p *Terminal) Say(to, body string) { p.t.Helper(); p.Message(to, body) }

// Hear opens the chat with somebody and waits until a message stands there.
func (p *Terminal) Hear(from, body string) { p.t.Helper(); p.AwaitMessage(from, body) }

// Leave ends profanity.
func (p *Terminal) Leave() { p.t.Helper(); p.Quit() }
