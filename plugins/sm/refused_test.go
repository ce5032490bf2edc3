package sm_test

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sdk/sessions"
	"github.com/jabberii/server/plugins/xmpp/stanza"
)

// refusal is what c2s says of a stanza that it cannot send on.
func refusal(id string) packet.Packet {
	e := stanza.Error{Condition: stanza.JIDMalformed}
	return packet.Packet{NS: sessions.Refused, Name: "message", ID: id, Body: e.Append(nil)}
}

// refuse is what c2s says of a stanza that a handler has refused: it had a
// number, by which its repetition is known.
func (c *client) refuse(id string) {
	c.sent++
	c.unacked = append(c.unacked, `<message id='`+id+`' to='nowhere.localhost'/>`)
	c.w.mu.Lock()
	c.conn.sent++
	p := refusal(id)
	p.Kind, p.Host, p.From, p.Near, p.Far = packet.Session, "localhost", c.address, c.token, c.far
	p.Attrs = fmt.Sprintf(" seq='%d'", c.conn.sent)
	c.w.mu.Unlock()
	c.deliver(&p)
}

// A stanza that was refused before it came to its session is counted once, and
// so is its error, also if the process dies at any packet.
func TestRefusedBeforeTheSession(t *testing.T) {
	for at := range 30 {
		bubble(t, fmt.Sprintf("dies at %d", at), func(t *testing.T) {
			w := newWorld(t, `{}`, "ann@localhost", "bob@localhost")
			c := w.manage("ann@localhost/phone", true)
			bob := w.login("bob@localhost/desk")
			w.die(at)
			c.refuse("first")
			p := refusal("second")
			c.sent++
			c.unacked = append(c.unacked, "<message id='second' to='nowhere.localhost'/>")
			c.up(p)
			c.say(`<message to='bob@localhost/desk' id='third'/>`)
			c.refuse("fourth")
			p = refusal("")
			p.Body = nil // one that is not answered
			c.sent++
			c.unacked = append(c.unacked, "<message type='error'/>")
			c.up(p)
			w.die(0)
			if w.env.dead.Load() {
				w.kill()
			}
			c.request()
			var ids []string
			for _, p := range c.take() {
				if p.Name == "message" && p.Type == "error" {
					ids = append(ids, p.ID)
				}
				c.handle(&p)
			}
			for _, id := range []string{"first", "second", "fourth"} {
				if !slices.Contains(ids, id) {
					t.Errorf("no error for %s", id)
				}
			}
			if len(c.unacked) != 0 {
				t.Errorf("not counted: %q", c.unacked)
			}
			if len(bob.take()) == 0 {
				t.Error("the stanza between the refused ones is gone")
			}
			c.ack()
			c.request()
			c.read()
			if len(c.ends) > 0 {
				t.Errorf("the stream ends: %q", c.ends)
			}
			c.resume()
			if c.resumes == "" || len(c.unacked) != 0 {
				t.Errorf("not resumed with all that was said: %q", c.unacked)
			}
		})
	}
}

func TestRefusedWithoutStreamManagement(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, `{}`, "ann@localhost")
		c := w.connect("ann@localhost")
		c.up(refusal("a"))
		expect(t, "before it has a session", c.got(), "message:error >ann@localhost jid-malformed")
		c = w.login("ann@localhost/phone")
		c.up(refusal("a"))
		expect(t, "with a session", c.got(), "message:error ann@localhost>ann@localhost/phone jid-malformed")
	})
}
