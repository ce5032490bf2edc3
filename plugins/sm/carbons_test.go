package sm_test

import (
	"testing"
	"testing/synctest"

	"github.com/jabberii/server/plugins/xmpp/ns"
)

const enableCarbons = "<iq type='set' id='c'><enable xmlns='" + ns.Carbons + "'/></iq>"

// copies has a session take copies.
func (c *conn) copies() *conn {
	c.w.t.Helper()
	c.send(enableCarbons)
	expect(c.w.t, "enabled", c.got(), "iq:result ann@localhost>"+c.address)
	return c
}

// XEP-0280 sections 7 and 8: who gets a message, who a copy. Of ann's sessions
// phone and desk want copies, plain does not; quiet wants copies and has shown
// no presence, and so does low, with a negative priority.
func TestCarbons(t *testing.T) {
	const (
		fromBob = "<message to='ann@localhost' from='bob@elsewhere/x' type='chat'><body>hi</body></message>"
		toPhone = "<message to='ann@localhost/phone' from='bob@elsewhere/x' type='chat'><body>hi</body></message>"
		toPlain = "<message to='ann@localhost/plain' from='bob@elsewhere/x' type='chat'><body>hi</body></message>"
		sent    = "<message to='bob@elsewhere' from='ann@localhost/phone' type='chat'><body>hi</body></message>"
		sentBy  = "<message to='bob@elsewhere' from='ann@localhost/plain' type='chat'><body>hi</body></message>"
		private = "<private xmlns='" + ns.Carbons + "'/><no-copy xmlns='" + ns.Hints + "'/>"
	)
	everybody := []string{"phone", "desk", "plain", "quiet", "low"}
	for _, test := range []struct {
		name, by, stanza, copied string
		message                  []string // who gets it
		copies                   []string // who gets a copy
	}{
		{"to the account", "bob", fromBob, copyReceived(fromBob), words("phone"), []string{"desk", "quiet", "low"}},
		{"to a session", "bob", toPhone, copyReceived(toPhone), words("phone"), []string{"desk", "quiet", "low"}},
		{"to a session without copies", "bob", toPlain, copyReceived(toPlain), words("plain"), []string{"phone", "desk", "quiet", "low"}},
		{"sent", "phone", "<message to='bob@elsewhere' type='chat'><body>hi</body></message>", copySent(sent), nil, []string{"desk", "quiet", "low"}},
		{"sent by one without copies", "plain", "<message to='bob@elsewhere' type='chat'><body>hi</body></message>", copySent(sentBy), nil, []string{"phone", "desk", "quiet", "low"}},
		{"private, received", "bob", "<message to='ann@localhost/phone' from='bob@elsewhere/x' type='chat'><body>hi</body>" + private + "</message>", "", words("phone"), nil},
		{"private, sent", "phone", "<message to='bob@elsewhere' type='chat'><body>hi</body>" + private + "</message>", "", nil, nil},
		{"groupchat", "bob", "<message to='ann@localhost/phone' from='room@elsewhere/bob' type='groupchat'><body>hi</body></message>", "", words("phone"), nil},
		{"in a room, received", "bob", "<message to='ann@localhost/phone' from='room@elsewhere/bob' type='chat'><body>hi</body><x xmlns='http://jabber.org/protocol/muc#user'/></message>", "", words("phone"), nil},
		{"error of a room that she is in", "bob", "<message to='ann@localhost/phone' from='room@elsewhere' type='error'/>", "", words("phone"), nil},
		{"headline", "bob", "<message to='ann@localhost' from='bob@elsewhere/x' type='headline'><body>hi</body></message>", "", []string{"phone", "desk", "plain"}, nil},
		{"refused", "bob", "<message to='ann@localhost/gone' from='bob@elsewhere/x'><body>hi</body></message>", "", nil, nil},
		{"to herself", "phone", "<message to='ann@localhost/desk' type='chat'><body>hi</body></message>", copyReceived("<message to='ann@localhost/desk' from='ann@localhost/phone' type='chat'><body>hi</body></message>"), words("desk"), []string{"quiet", "low"}},
	} {
		bubble(t, test.name, func(t *testing.T) {
			w := newWorld(t, `{}`, "ann@localhost")
			sessions := map[string]*conn{
				"phone": w.available("ann@localhost/phone", 2).copies(), "desk": w.available("ann@localhost/desk", 1).copies(),
				"plain": w.available("ann@localhost/plain", 0), "quiet": w.login("ann@localhost/quiet").copies(),
				"low": w.available("ann@localhost/low", -1).copies(),
			}
			sessions["phone"].send(`<presence to='room@elsewhere/ann'/>`)
			for _, c := range sessions {
				c.take()
			}
			if test.by == "bob" {
				w.incoming("%s", test.stanza)
			} else {
				sessions[test.by].send("%s", test.stanza)
			}
			for _, resource := range everybody {
				got := sessions[resource].take()
				full := "ann@localhost/" + resource
				switch {
				case contains(test.message, resource):
					if len(got) != 1 || got[0].From == "ann@localhost" {
						t.Errorf("%s gets %v, want the message", resource, got)
					}
				case contains(test.copies, resource):
					if len(got) != 1 || text(&got[0]) != "message:chat ann@localhost>"+full+" "+test.copied {
						t.Errorf("%s gets %v, want a copy: %s", resource, got, test.copied)
					}
				case len(got) > 0:
					t.Errorf("%s gets %s", resource, text(&got[0]))
				}
			}
		})
	}
}

func contains(list []string, s string) bool {
	for _, one := range list {
		if one == s {
			return true
		}
	}
	return false
}

func copyReceived(message string) string {
	return brief("<received><forwarded>" + message + "</forwarded></received>")
}
func copySent(message string) string {
	return brief("<sent><forwarded>" + message + "</forwarded></sent>")
}

// A message that is kept is copied to who would not see it otherwise.
func TestCarbonsOfKeptMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, `{}`, "ann@localhost")
		low, quiet := w.available("ann@localhost/low", -1).copies(), w.login("ann@localhost/quiet").copies()
		const message = "<message to='ann@localhost' from='bob@elsewhere/x' type='chat'><body>hi</body></message>"
		w.incoming(message)
		expect(t, "with a negative priority", low.got(), "message:chat ann@localhost>ann@localhost/low "+copyReceived(message))
		expect(t, "not available", quiet.got())
		quiet.send(`<presence/>`)
		synctest.Wait()
		if got := quiet.got(); len(got) != 3 {
			t.Errorf("available: %q, want two presences and the message", got)
		}
	})
}

func TestCarbonsOnAndOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, `{}`, "ann@localhost", "bob@localhost")
		ann, phone, bob := w.login("ann@localhost/desk"), w.available("ann@localhost/phone", 0), w.login("bob@localhost/x")
		for _, step := range []struct{ send, answer, copied string }{
			{"<enable xmlns='urn:xmpp:carbons:2'/>", "result", "copied"},
			{"<enable xmlns='urn:xmpp:carbons:2'/>", "result", "copied"},
			{"<disable xmlns='urn:xmpp:carbons:2'/>", "result", ""},
			{"<disable xmlns='urn:xmpp:carbons:2'/>", "result", ""},
			{"<what xmlns='urn:xmpp:carbons:2'/>", "bad-request", ""},
			{"<enable xmlns='urn:xmpp:carbons:2'/>", "result", "copied"},
		} {
			ann.send("<iq type='set' id='1'>%s</iq>", step.send)
			want := "iq:result ann@localhost>ann@localhost/desk"
			if step.answer != "result" {
				want = "iq:error ann@localhost>ann@localhost/desk " + step.answer
			}
			expect(t, step.send, ann.got(), want)
			bob.send(`<message to='ann@localhost' type='chat'><body>x</body></message>`)
			if got := ann.take(); (len(got) > 0) != (step.copied != "") {
				t.Errorf("after %s comes %v", step.send, got)
			}
		}
		w.kill()
		bob.send(`<message to='ann@localhost' type='chat'><body>x</body></message>`)
		if got := ann.take(); len(got) != 1 {
			t.Errorf("after a death comes %v", got)
		}
		phone.take()
		bob.send(`<iq type='set' id='1' to='ann@localhost'><enable xmlns='urn:xmpp:carbons:2'/></iq>`)
		expect(t, "another's", bob.got(), "iq:error ann@localhost>bob@localhost/x forbidden")
		ann.send(`<iq type='get' id='1'><enable xmlns='urn:xmpp:carbons:2'/></iq>`)
		expect(t, "get", ann.got(), "iq:error ann@localhost>ann@localhost/desk bad-request")
	})
}

// Copies are in the queue of a managed session, once whatever dies, and are
// nobody else's when the session ends.
func TestCarbonsAreManaged(t *testing.T) {
	t.Parallel()
	for dies := range 30 {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, `{"management":{"resume":"1m"}}`, "ann@localhost", "bob@localhost")
			phone, desk := w.manage("ann@localhost/phone", true), w.manage("ann@localhost/desk", false)
			desk.say(enableCarbons)
			desk.read()
			desk.ack()
			before := desk.h
			desk.lose()
			w.die(dies)
			phone.say(`<message to='bob@localhost' type='chat'><body>sent</body></message>`)
			w.incoming(`<message to='ann@localhost/phone' from='carl@elsewhere/x' type='chat'><body>got</body></message>`)
			w.die(0)
			w.kill()
			phone.resume()
			if dies > 0 && len(phone.bodies) == 0 { // its sender was told nothing, and sends it again
				w.incoming(`<message to='ann@localhost/phone' from='carl@elsewhere/x' type='chat'><body>got</body></message>`)
			}
			phone.read()
			expect(t, "the message", phone.bodies, "got")
			desk.resume()
			if got := desk.h - before; got != 2 {
				t.Errorf("dead after %d: %d copies", dies, got)
			}
		})
	}
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, `{}`, "ann@localhost", "bob@localhost")
		phone, desk := w.available("ann@localhost/phone", 0), w.manage("ann@localhost/desk", false)
		desk.say(enableCarbons)
		desk.read()
		phone.send(`<message to='bob@elsewhere' type='chat'><body>sent</body></message>`)
		desk.close()
		expect(t, "the other session", phone.got())
		if kept := w.keptFor("ann@localhost"); len(kept) > 0 {
			t.Errorf("kept %q", kept)
		}
	})
}
