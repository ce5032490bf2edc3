package sm_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/jabberii/server/plugins/xmpp/ns"
)

const (
	rosterGet = "<iq type='get' id='r'><query xmlns='" + ns.Roster + "'/></iq>"
	rosterSet = "<iq type='set' id='s'><query xmlns='" + ns.Roster + "'>%s</query></iq>"
)

// interested is a session that is told of changes to the roster.
func (w *world) interested(full string) *conn {
	w.t.Helper()
	c := w.login(full)
	c.send(rosterGet)
	c.send(`<presence/>`)
	c.take()
	w.elsewhere()
	return c
}

func push(to, item string) string {
	return "iq:set " + strings.Split(to, "/")[0] + ">" + to + " <query>" + item + "</query>"
}

func TestRosterChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, `{}`, "ann@localhost")
		ann, tablet := w.interested("ann@localhost/phone"), w.interested("ann@localhost/tablet")
		other := w.available("ann@localhost/other", 0)
		ann.take()
		tablet.take()
		const result = "iq:result ann@localhost>ann@localhost/phone"

		ann.send(rosterSet, "<item jid='Bob@Elsewhere' name='Bob'><group>Friends</group><group>A&amp;B</group></item>")
		item := "<item jid='bob@elsewhere' name='Bob' subscription='none'><group>Friends</group><group>A&amp;B</group></item>"
		expect(t, "who changes", ann.got(), push("ann@localhost/phone", item), result)
		expect(t, "another session", tablet.got(), push("ann@localhost/tablet", item))
		expect(t, "one that has not asked for the roster", other.got())

		ann.send(rosterSet, "<item jid='bob@elsewhere' subscription='both' name='Robert'/>")
		item = "<item jid='bob@elsewhere' name='Robert' subscription='none'/>"
		expect(t, "a subscription is not changed so", ann.got(), push("ann@localhost/phone", item), result)
		tablet.take()
		ann.send(rosterSet, "<item jid='bob@elsewhere' name='Robert'/>")
		expect(t, "nothing changes", ann.got(), result)
		expect(t, "nothing is said", tablet.got())

		for range 2 { // from memory, and from storage
			ann.send(rosterGet)
			expect(t, "the roster", ann.got(), result+" <query>"+item+"</query>")
			w.kill()
		}
		tablet.take()

		ann.send(rosterSet, "<item jid='bob@elsewhere' subscription='remove'/>")
		expect(t, "removed", ann.got(), push("ann@localhost/phone", "<item jid='bob@elsewhere' subscription='remove'/>"), result)
		expect(t, "no subscription ends", w.elsewhere())
		ann.send(rosterGet)
		expect(t, "an empty roster", ann.got(), result+" <query></query>")
		if items, err := w.store.GetAll(context.Background(), "ann@localhost", "roster"); err != nil || len(items) > 0 {
			t.Errorf("in storage is %v, %v", items, err)
		}
	})
}

func TestRosterRefusals(t *testing.T) {
	group := func(n int) string {
		s := ""
		for i := range n {
			s += fmt.Sprintf("<group>%d</group>", i)
		}
		return s
	}
	for name, c := range map[string]struct{ items, condition string }{
		"no item":          {"", "bad-request"},
		"two items":        {"<item jid='a@b'/><item jid='c@d'/>", "bad-request"},
		"no address":       {"<item/>", "bad-request"},
		"a full address":   {"<item jid='a@b/c'/>", "bad-request"},
		"a wrong address":  {"<item jid='@b'/>", "bad-request"},
		"remove what":      {"<item jid='a@b' subscription='remove'/>", "item-not-found"},
		"no name of group": {"<item jid='a@b'><group/></item>", "not-acceptable"},
		"the same group":   {"<item jid='a@b'><group>x</group><group>x</group></item>", "bad-request"},
		"long group":       {"<item jid='a@b'><group>" + strings.Repeat("x", 1024) + "</group></item>", "not-acceptable"},
		"long name":        {"<item jid='a@b' name='" + strings.Repeat("x", 1024) + "'/>", "not-acceptable"},
		"many groups":      {"<item jid='a@b'>" + group(51) + "</item>", "not-acceptable"},
		"too many":         {"<item jid='third@b'/>", "resource-constraint"},
	} {
		bubble(t, name, func(t *testing.T) {
			w := newWorld(t, `{"roster":{"max":2}}`, "ann@localhost")
			w.item("ann@localhost", "first@b", "none")
			w.item("ann@localhost", "second@b", "none")
			ann := w.interested("ann@localhost/phone")
			ann.send(rosterSet, c.items)
			expect(t, name, ann.got(), "iq:error ann@localhost>ann@localhost/phone "+c.condition)
		})
	}
}

// A subscription from the request to its end, seen from both sides (RFC 6121
// section 3).
func TestSubscriptionBothWays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, `{}`, "ann@localhost", "bob@localhost")
		ann, bob := w.interested("ann@localhost/phone"), w.interested("bob@localhost/desk")
		const annBare, bobBare, annFull, bobFull = "ann@localhost", "bob@localhost", "ann@localhost/phone", "bob@localhost/desk"

		ann.send(`<presence to='bob@localhost/desk' type='subscribe'><status>please</status></presence>`)
		expect(t, "ann asks", ann.got(), push(annFull, "<item jid='bob@localhost' subscription='none' ask='subscribe'/>"))
		expect(t, "bob is asked", bob.got(), "presence:subscribe ann@localhost>bob@localhost <status>please</status>")

		bob.send(rosterGet)
		expect(t, "she is not in his roster", bob.got(), "iq:result bob@localhost>bob@localhost/desk <query></query>")
		late := w.login("bob@localhost/late")
		late.send(`<presence/>`)
		if got := late.got(); got[len(got)-1] != "presence:subscribe ann@localhost>bob@localhost <status>please</status>" {
			t.Errorf("who logs in later is asked too: %q", got)
		}
		late.close()
		bob.take()

		bob.send(`<presence to='ann@localhost' type='subscribed'/>`)
		expect(t, "bob grants", bob.got(), push(bobFull, "<item jid='ann@localhost' subscription='from'/>"))
		expect(t, "ann sees him", ann.got(),
			"presence:subscribed bob@localhost>ann@localhost",
			push(annFull, "<item jid='bob@localhost' subscription='to'/>"),
			"presence bob@localhost/desk>ann@localhost")

		bob.send(`<presence to='ann@localhost' type='subscribe'/>`)
		ann.take()
		bob.take()
		ann.send(`<presence to='bob@localhost' type='subscribed'/>`)
		expect(t, "both", ann.got(), push(annFull, "<item jid='bob@localhost' subscription='both'/>"))
		expect(t, "bob sees her", bob.got(),
			"presence:subscribed ann@localhost>bob@localhost",
			push(bobFull, "<item jid='ann@localhost' subscription='both'/>"),
			"presence ann@localhost/phone>bob@localhost")

		bob.send(`<presence to='ann@localhost' type='unsubscribed'/>`)
		expect(t, "bob takes it back", bob.got(), push(bobFull, "<item jid='ann@localhost' subscription='to'/>"))
		expect(t, "ann no longer sees him", ann.got(),
			"presence:unsubscribed bob@localhost>ann@localhost",
			push(annFull, "<item jid='bob@localhost' subscription='from'/>"),
			"presence:unavailable bob@localhost/desk>ann@localhost")

		bob.send(`<presence to='ann@localhost' type='unsubscribe'/>`)
		expect(t, "bob wants no more", bob.got(),
			push(bobFull, "<item jid='ann@localhost' subscription='none'/>"),
			"presence:unavailable ann@localhost/phone>bob@localhost")
		expect(t, "ann is told", ann.got(),
			"presence:unsubscribe bob@localhost>ann@localhost",
			push(annFull, "<item jid='bob@localhost' subscription='none'/>"))
	})
}

func TestRemovingEndsSubscriptions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, `{}`, "ann@localhost", "bob@localhost")
		w.befriend("ann@localhost", "bob@localhost")
		ann, bob := w.interested("ann@localhost/phone"), w.interested("bob@localhost/desk")
		ann.take()
		ann.send(rosterSet, "<item jid='bob@localhost' subscription='remove'/>")
		expect(t, "ann", ann.got(),
			push("ann@localhost/phone", "<item jid='bob@localhost' subscription='remove'/>"),
			"presence:unavailable bob@localhost/desk>ann@localhost",
			"iq:result ann@localhost>ann@localhost/phone")
		expect(t, "bob", bob.got(),
			"presence:unsubscribe ann@localhost>bob@localhost",
			push("bob@localhost/desk", "<item jid='ann@localhost' subscription='to'/>"),
			"presence:unsubscribed ann@localhost>bob@localhost",
			push("bob@localhost/desk", "<item jid='ann@localhost' subscription='none'/>"),
			"presence:unavailable ann@localhost/phone>bob@localhost")
	})
}

func TestRequestsWaitForTheAccount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, `{}`, "ann@localhost")
		const ask = `<presence type='subscribe' from='bob@elsewhere/x' to='ann@localhost'><nick xmlns='http://jabber.org/protocol/nick'>Bob</nick></presence>`
		w.incoming(ask)
		w.incoming(ask)
		w.kill()
		for range 2 { // at each login, until it is answered
			ann := w.login("ann@localhost/phone")
			ann.send(`<presence/>`)
			expect(t, "at login", ann.got(),
				"presence ann@localhost/phone>ann@localhost", "presence:subscribe bob@elsewhere>ann@localhost <nick>Bob</nick>")
			ann.close()
		}
		ann := w.interested("ann@localhost/phone")
		ann.send(`<presence type='unsubscribed' to='bob@elsewhere'/>`)
		expect(t, "refused", append(ann.got(), w.elsewhere()...), "presence:unsubscribed ann@localhost>bob@elsewhere")
		ann.close()
		ann = w.login("ann@localhost/phone")
		ann.send(`<presence/>`)
		expect(t, "answered", ann.got(), "presence ann@localhost/phone>ann@localhost")
	})
}

func TestPreApprovedRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, `{}`, "ann@localhost")
		ann := w.interested("ann@localhost/phone")
		ann.send(`<presence type='subscribed' to='bob@elsewhere'/>`)
		expect(t, "approved", append(ann.got(), w.elsewhere()...),
			push("ann@localhost/phone", "<item jid='bob@elsewhere' subscription='none' approved='true'/>"))
		w.incoming(`<presence type='subscribe' from='bob@elsewhere' to='ann@localhost'/>`)
		expect(t, "granted", ann.got(), push("ann@localhost/phone", "<item jid='bob@elsewhere' subscription='from'/>"))
		expect(t, "bob", w.elsewhere(), "presence:subscribed ann@localhost>bob@elsewhere", "presence ann@localhost/phone>bob@elsewhere")
	})
}

// Requests that nobody answers do not fill the roster of whom they are to.
func TestRequestsAreLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, `{"roster":{"max":1}}`, "ann@localhost")
		for i := range 500 {
			w.incoming(`<presence type='subscribe' from='%d@elsewhere' to='ann@localhost'/>`, i)
		}
		expect(t, "as many as may be", w.elsewhere())
		w.incoming(`<presence type='subscribe' from='x@elsewhere' to='ann@localhost'/>`)
		expect(t, "one more", w.elsewhere(), "presence:error ann@localhost>x@elsewhere resource-constraint")
		ann := w.interested("ann@localhost/phone")
		ann.send(rosterSet, "<item jid='bob@elsewhere'/>")
		if got := ann.got(); len(got) != 2 {
			t.Errorf("she adds a contact: %q", got)
		}
	})
}

// Who was let ask can be answered yes, also by one whose roster has become full
// meanwhile; so that it cannot grow by that for ever, not more are let ask.
func TestFullRosterAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, `{"roster":{"max":1}}`, "ann@localhost")
		ann := w.interested("ann@localhost/phone")
		ann.send(rosterSet, "<item jid='bob@elsewhere'/>")
		for _, jid := range []string{"cat@elsewhere", "dan@elsewhere"} {
			w.incoming(`<presence type='subscribe' from='%s' to='ann@localhost'/>`, jid)
		}
		ann.take()
		ann.send(`<presence type='subscribed' to='cat@elsewhere'/>`)
		expect(t, "a yes", append(ann.got(), w.elsewhere()...),
			push("ann@localhost/phone", "<item jid='cat@elsewhere' subscription='from'/>"),
			"presence:subscribed ann@localhost>cat@elsewhere", "presence ann@localhost/phone>cat@elsewhere")
		ann.send(`<presence type='subscribe' to='dan@elsewhere'/>`)
		expect(t, "and who has asked is asked", append(ann.got(), w.elsewhere()...),
			push("ann@localhost/phone", "<item jid='dan@elsewhere' subscription='none' ask='subscribe'/>"),
			"presence:subscribe ann@localhost>dan@elsewhere")
		for what, stanza := range map[string]string{
			"somebody else": `<presence type='subscribe' to='eve@elsewhere' id='1'/>`,
			"in advance":    `<presence type='subscribed' to='eve@elsewhere' id='2'/>`,
		} {
			ann.send("%s", stanza)
			expect(t, what, append(ann.got(), w.elsewhere()...), "presence:error eve@elsewhere>ann@localhost/phone resource-constraint")
		}
		var want []string
		for i := range 499 { // with cat, dan and bob that is all for which there is room
			jid := fmt.Sprintf("%d@elsewhere", i)
			w.incoming(`<presence type='subscribe' from='%s' to='ann@localhost'/>`, jid)
			ann.send(`<presence type='subscribed' to='%s'/>`, jid)
			want = append(want, "presence:subscribed ann@localhost>"+jid, "presence ann@localhost/phone>"+jid)
		}
		want = append(want[:2*498], "presence:error ann@localhost>498@elsewhere resource-constraint")
		if got := w.elsewhere(); !slices.Equal(got, want) {
			t.Errorf("%d of %d; the last: %q", len(got), len(want), got[max(0, len(got)-3):])
		}
	})
}
