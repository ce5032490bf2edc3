package sm_test

import (
	"fmt"
	"testing"
	"testing/synctest"
)

func TestInitialPresence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, `{}`, "ann@localhost", "bob@localhost")
		for contact, state := range map[string]string{
			"both@elsewhere": "both", "from@elsewhere": "from", "to@elsewhere": "to", "none@elsewhere": "none", "bob@localhost": "both",
		} {
			w.item("ann@localhost", contact, state)
		}
		w.item("bob@localhost", "ann@localhost", "both")
		bob := w.available("bob@localhost/desk", 0)
		w.login("bob@localhost/quiet")
		tablet := w.available("ann@localhost/tablet", 0)
		bob.take()
		w.elsewhere()

		ann := w.login("ann@localhost/phone")
		ann.send(`<presence xml:lang='en'><show>away</show></presence>`)
		expect(t, "ann", sorted(ann.got()),
			"presence ann@localhost/phone>ann@localhost <show>away</show>",
			"presence ann@localhost/tablet>ann@localhost/phone <priority>0</priority>",
			"presence bob@localhost/desk>ann@localhost/phone <priority>0</priority>")
		expect(t, "her other session", tablet.got(), "presence ann@localhost/phone>ann@localhost <show>away</show>")
		expect(t, "a contact here", bob.got(), "presence ann@localhost/phone>bob@localhost <show>away</show>")
		expect(t, "contacts elsewhere", sorted(w.elsewhere()),
			"presence ann@localhost/phone>both@elsewhere <show>away</show>",
			"presence ann@localhost/phone>from@elsewhere <show>away</show>",
			"presence:probe ann@localhost/phone>both@elsewhere",
			"presence:probe ann@localhost/phone>to@elsewhere")

		ann.send(`<presence/>`)
		expect(t, "ann, on the second", ann.got(), "presence ann@localhost/phone>ann@localhost")
		expect(t, "elsewhere, on the second", sorted(w.elsewhere()),
			"presence ann@localhost/phone>both@elsewhere", "presence ann@localhost/phone>from@elsewhere")
		tablet.take()
		bob.take()

		ann.send(`<presence type='unavailable'><status>bye</status></presence>`)
		expect(t, "ann, gone", ann.got())
		expect(t, "her other session, when she is gone", tablet.got(), "presence:unavailable ann@localhost/phone>ann@localhost <status>bye</status>")
		expect(t, "a contact here, when she is gone", bob.got(), "presence:unavailable ann@localhost/phone>bob@localhost <status>bye</status>")
		expect(t, "elsewhere, when she is gone", sorted(w.elsewhere()),
			"presence:unavailable ann@localhost/phone>both@elsewhere <status>bye</status>",
			"presence:unavailable ann@localhost/phone>from@elsewhere <status>bye</status>")
		ann.close()
		expect(t, "nobody is told twice", w.elsewhere())
	})
}

// However a session without stream management ends, its contacts learn it.
func TestEndOfASession(t *testing.T) {
	for name, end := range map[string]func(*world, *conn){
		"closed": func(_ *world, c *conn) { c.close() },
		"lost":   func(_ *world, c *conn) { c.lose() },
		"c2s is dead": func(w *world, c *conn) {
			c.vanish()
			w.incoming(`<message to='ann@localhost/phone' from='x@elsewhere'/>`)
		},
		"replaced":    func(w *world, _ *conn) { w.login("ann@localhost/phone") },
		"all is dead": func(w *world, c *conn) { c.vanish(); w.kill() },
	} {
		bubble(t, name, func(t *testing.T) {
			w := newWorld(t, `{}`, "ann@localhost")
			w.item("ann@localhost", "bob@elsewhere", "both")
			ann, tablet := w.available("ann@localhost/phone", 0), w.available("ann@localhost/tablet", 0)
			ann.send(`<presence to='room@elsewhere/ann'/>`)
			ann.take()
			w.elsewhere()
			end(w, ann)
			expect(t, "elsewhere", sorted(w.elsewhere()),
				"presence:unavailable ann@localhost/phone>bob@elsewhere", "presence:unavailable ann@localhost/phone>room@elsewhere/ann")
			expect(t, "her other session", tablet.got(), "presence:unavailable ann@localhost/phone>ann@localhost")
		})
	}
}

func TestDirectedPresence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, `{"max_directed":2}`, "ann@localhost")
		w.item("ann@localhost", "bob@elsewhere", "both")
		ann := w.available("ann@localhost/phone", 0)
		w.elsewhere()
		ann.send(`<presence to='one@elsewhere/ann'/>`)
		ann.send(`<presence to='two@elsewhere/ann'/>`)
		ann.send(`<presence to='three@elsewhere/ann'/>`)
		expect(t, "the third", ann.got(), "presence:error three@elsewhere/ann>ann@localhost/phone resource-constraint")
		expect(t, "elsewhere", w.elsewhere(), "presence ann@localhost/phone>one@elsewhere/ann", "presence ann@localhost/phone>two@elsewhere/ann")
		ann.send(`<presence><show>dnd</show></presence>`)
		expect(t, "a broadcast is for subscribers", w.elsewhere(), "presence ann@localhost/phone>bob@elsewhere <show>dnd</show>")
		ann.send(`<presence to='one@elsewhere/ann' type='unavailable'/>`)
		expect(t, "leaving", w.elsewhere(), "presence:unavailable ann@localhost/phone>one@elsewhere/ann")
		ann.send(`<presence to='bob@elsewhere'/>`)
		w.elsewhere()
		ann.send(`<presence type='unavailable'/>`)
		expect(t, "gone", sorted(w.elsewhere()),
			"presence:unavailable ann@localhost/phone>bob@elsewhere", "presence:unavailable ann@localhost/phone>two@elsewhere/ann")
		ann.close()
		expect(t, "closed", w.elsewhere())
	})
}

// RFC 6121 section 8.5: what becomes of a presence, by its address and type.
func TestIncomingPresence(t *testing.T) {
	for _, test := range []struct{ presence, phone, quiet, told string }{
		{`<presence from='bob@elsewhere/x' to='ann@localhost'/>`, "presence bob@elsewhere/x>ann@localhost", "", ""},
		{`<presence from='bob@elsewhere/x' to='ann@localhost' type='unavailable'/>`, "presence:unavailable bob@elsewhere/x>ann@localhost", "", ""},
		{`<presence from='room@elsewhere/x' to='ann@localhost/phone'/>`, "presence room@elsewhere/x>ann@localhost/phone", "", ""},
		{`<presence from='room@elsewhere/x' to='ann@localhost/quiet'/>`, "", "presence room@elsewhere/x>ann@localhost/quiet", ""},
		{`<presence from='room@elsewhere/x' to='ann@localhost/gone'/>`, "", "", ""},
		{`<presence from='room@elsewhere/x' to='ann@localhost/gone' type='unavailable'/>`, "", "", ""},
		{`<presence from='room@elsewhere/x' to='ann@localhost/gone' type='error'/>`, "", "", ""},
		{`<presence from='eve@elsewhere' to='ann@localhost/gone' type='unsubscribe'/>`, "", "", ""},
		{`<presence from='bob@elsewhere' to='ann@localhost/gone' type='subscribe'/>`, "", "", "presence:subscribed ann@localhost>bob@elsewhere"},
		{`<presence from='room@elsewhere/x' to='ann@localhost/phone' type='error'/>`, "presence:error room@elsewhere/x>ann@localhost/phone", "", ""},
		{`<presence from='room@elsewhere/x' to='ann@localhost' type='error'/>`, "presence:error room@elsewhere/x>ann@localhost", "", ""},
		{`<presence from='bob@elsewhere/x' to='nobody@localhost'/>`, "", "", ""},
		{`<presence from='bob@elsewhere' to='nobody@localhost' type='subscribe'/>`, "", "", ""},
		{`<presence from='eve@elsewhere' to='ann@localhost' type='subscribed'/>`, "", "", ""},
		{`<presence from='eve@elsewhere' to='ann@localhost' type='unsubscribed'/>`, "", "", ""},
		{`<presence from='eve@elsewhere' to='ann@localhost' type='unsubscribe'/>`, "", "", ""},
		{`<presence from='bob@elsewhere' to='ann@localhost' type='subscribe'/>`, "", "", "presence:subscribed ann@localhost>bob@elsewhere"},

		{`<presence from='bob@elsewhere/x' to='ann@localhost' type='probe'/>`, "", "", "presence ann@localhost/phone>bob@elsewhere/x <priority>0</priority>"},
		{`<presence from='bob@elsewhere/x' to='off@localhost' type='probe'/>`, "", "", "presence:unavailable off@localhost>bob@elsewhere/x"},
		{`<presence from='eve@elsewhere/x' to='ann@localhost' type='probe'/>`, "", "", "presence:unsubscribed ann@localhost>eve@elsewhere"},
		{`<presence from='eve@elsewhere/x' to='nobody@localhost' type='probe'/>`, "", "", "presence:unsubscribed nobody@localhost>eve@elsewhere"},
		{`<presence from='asks@elsewhere/x' to='ann@localhost' type='probe'/>`, "", "", "presence:unsubscribed ann@localhost>asks@elsewhere"},
	} {
		bubble(t, test.presence, func(t *testing.T) {
			w := newWorld(t, `{}`, "ann@localhost", "off@localhost")
			w.item("ann@localhost", "bob@elsewhere", "both")
			w.item("off@localhost", "bob@elsewhere", "from")
			w.incoming(`<presence from='asks@elsewhere' to='ann@localhost' type='subscribe'/>`)
			phone, quiet := w.available("ann@localhost/phone", 0), w.login("ann@localhost/quiet")
			w.elsewhere()
			w.incoming("%s", test.presence)
			for what, got := range map[string][2][]string{
				"available": {phone.got(), words(test.phone)}, "connected": {quiet.got(), words(test.quiet)}, "elsewhere": {w.elsewhere(), words(test.told)},
			} {
				expect(t, what, got[0], got[1]...)
			}
		})
	}
}

// Who asks for a subscription does so in the name of the account, so that an error
// comes to that. It is for those who see the roster, which says that it was asked for.
func TestErrorOfASubscription(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, `{}`, "ann@localhost")
		ann, tablet := w.available("ann@localhost/phone", 0), w.available("ann@localhost/tablet", 0)
		watching, quiet := w.login("ann@localhost/watching"), w.login("ann@localhost/quiet")
		watching.send(`<iq type='get' id='1'><query xmlns='jabber:iq:roster'/></iq>`)
		ann.send(`<presence type='subscribe' id='s' to='x@nowhere.test'/>`)
		for _, c := range []*conn{ann, tablet, watching} {
			c.take()
		}
		w.incoming(`<presence type='error' id='s' from='x@nowhere.test' to='ann@localhost'><error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></presence>`)
		for _, c := range []*conn{ann, tablet, watching} {
			expect(t, c.address, c.got(), "presence:error x@nowhere.test>ann@localhost service-unavailable")
		}
		expect(t, quiet.address, quiet.got())
		expect(t, "elsewhere, where an error is never answered", w.elsewhere(), "presence:subscribe ann@localhost>x@nowhere.test")
	})
}

// words is the list of one text, empty without.
func words(s string) []string {
	if s == "" {
		return nil
	}
	return []string{s}
}

func TestPriorityIsReadFromPresence(t *testing.T) {
	for text, want := range map[string]string{
		"7": "priority 7", " 7 ": "priority 7", "-128": "priority -128", "128": "priority 0", "x": "priority 0", "": "priority 0",
	} {
		bubble(t, text, func(t *testing.T) {
			w := newWorld(t, `{}`, "ann@localhost")
			ann := w.login("ann@localhost/phone")
			ann.send(`<presence><priority>%s</priority></presence>`, text)
			if got := w.explain(`<message to='ann@localhost/phone' type='chat'/>`); got != "ann@localhost has 1 resource; the message goes to ann@localhost/phone ("+want+")" {
				t.Error(got)
			}
		})
	}
}

func TestWrongPresence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, `{}`, "ann@localhost")
		ann := w.login("ann@localhost/phone")
		ann.send(`<presence type='here'/>`)
		expect(t, "no such type", ann.got(), "presence:error ann@localhost>ann@localhost/phone bad-request")
		ann.send(`<presence type='subscribe'/>`)
		expect(t, "a subscription to nobody", ann.got(), "presence:error ann@localhost>ann@localhost/phone bad-request")
		ann.send(`<presence type='subscribe' to='ann@localhost'/>`)
		ann.send(`<presence type='probe'/>`)
		ann.send(`<presence type='error'/>`)
		expect(t, "what is ignored", append(ann.got(), w.elsewhere()...))
		ann.send(`<presence type='probe' to='bob@elsewhere'/>`)
		expect(t, "a probe of the client's own", w.elsewhere(), "presence:probe ann@localhost/phone>bob@elsewhere")
	})
}

// Many of everything: the limits hold, and what is refused is said.
func TestPresenceToManySessions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, `{}`, "ann@localhost")
		var all []*conn
		for i := range 20 {
			all = append(all, w.available(fmt.Sprintf("ann@localhost/%d", i), 0))
		}
		for _, c := range all {
			c.take()
		}
		w.incoming(`<presence from='bob@elsewhere/x' to='ann@localhost'/>`)
		w.incoming(`<message from='bob@elsewhere/x' to='ann@localhost' type='headline'/>`)
		for _, c := range all {
			expect(t, c.address, c.got(), "presence bob@elsewhere/x>ann@localhost", "message:headline bob@elsewhere/x>ann@localhost")
		}
	})
}
