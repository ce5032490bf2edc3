package clients

import (
	"fmt"
	"regexp"
	"strings"
	"time"
)

// A Chatter is what a client can do whichever it is: what people do who become
// contacts and chat. A [Chat], a [Terminal] and a [Converse] are Chatters.
type Chatter interface {
	GoOnline()               // tells who may know that it is available
	Subscribe(jid string)    // asks for somebody's presence
	Approve(jid string)      // waits until somebody asks for its presence, and says yes
	AwaitContact(jid string) // waits until the roster has somebody, each sees the other
	AwaitThere(jid string)   // waits until the contact is available
	AwaitGone(jid string)    // waits until the contact is not
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

// AwaitThere waits until the last presence of the contact is that of somebody available.
func (c Chat) AwaitThere(jid string) { c.t.Helper(); c.awaitLast(jid, "") }

// AwaitGone waits until the last presence of the contact is that of somebody unavailable.
func (c Chat) AwaitGone(jid string) { c.t.Helper(); c.awaitLast(jid, "unavailable") }

func (c Chat) awaitLast(jid, kind string) {
	c.t.Helper()
	deadline := time.After(Patience)
	for {
		last := "nothing"
		for _, e := range c.events {
			if e.Event == "presence" && isFrom(e, jid) && (e.Type == "" || e.Type == "unavailable") {
				last = e.Type
			}
		}
		if last == kind {
			return
		}
		if _, err := c.next(deadline); err != nil {
			c.t.Fatalf("%s waited for presence of type %q from %s: %v%s", c.JID, kind, jid, err, c.history())
		}
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

// AwaitThere looks at what the console says last of the contact.
func (p *Terminal) AwaitThere(jid string) { p.t.Helper(); p.awaitLast(jid, "is online", "is offline") }

// AwaitGone looks at what the console says last of the contact.
func (p *Terminal) AwaitGone(jid string) { p.t.Helper(); p.awaitLast(jid, "is offline", "is online") }

func (p *Terminal) awaitLast(jid, want, other string) {
	p.t.Helper()
	p.Console()
	p.awaitScreen(fmt.Sprintf("%s %s", jid, want), func(screen string) bool {
		return lastOf(screen, jid, want) > lastOf(screen, jid, other)
	})
}

// lastOf returns where on a screen it is last said of a contact what it does.
func lastOf(screen, jid, does string) int {
	lines := regexp.MustCompile(regexp.QuoteMeta(jid)+`\S*( \(\S*\))? `+does).FindAllStringIndex(screen, -1)
	if len(lines) == 0 {
		return -1
	}
	return lines[len(lines)-1][0]
}

// Say opens the chat with somebody and says something there.
func (p *Terminal) Say(to, body string) { p.t.Helper(); p.Message(to, body) }

// Hear opens the chat with somebody and waits until a message stands there.
func (p *Terminal) Hear(from, body string) { p.t.Helper(); p.AwaitMessage(from, body) }

// Leave ends profanity.
func (p *Terminal) Leave() { p.t.Helper(); p.Quit() }
