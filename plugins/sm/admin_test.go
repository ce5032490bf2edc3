package sm_test

import (
	"testing"
	"testing/synctest"

	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sdk/sessions"
	"github.com/jabberii/server/plugins/xmpp/ns"
)

// A session that asks for the end of its account is answered before it ends, managed
// or not, and nobody else is.
func TestLastAnswer(t *testing.T) {
	for name, managed := range map[string]bool{"plain": false, "managed": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { lastAnswer(t, managed) })
		})
	}
}

func lastAnswer(t *testing.T, managed bool) {
	w := newWorld(t, `{}`, "ann@localhost", "bob@localhost")
	login := func() (phone, desk *conn) {
		phone, desk = w.login("ann@localhost/phone"), w.login("ann@localhost/desk")
		if managed {
			phone.send(`<enable xmlns='%s'/>`, ns.StreamManagement)
			phone.take()
		}
		return phone, desk
	}
	phone, _ := login()
	bob := w.login("bob@localhost/x")
	forget := func(of, session string) packet.Result {
		return w.incoming(`<iq type='set' id='1' from='localhost/x' to='localhost'><forget xmlns='%s' of='%s' session='%s' iq='7' to='localhost'/></iq>`, sessions.NS, of, session)
	}
	if forget("ann@localhost", "bob@localhost/x") != packet.Claimed {
		t.Fatal("it is refused")
	}
	expect(t, "another's session", bob.got())
	expect(t, "hers", phone.got(), "end:not-authorized")
	phone, desk := login()
	forget("ann@localhost", "ann@localhost/phone")
	got := phone.take()
	if len(got) < 2 || got[0].Type != "result" || got[0].ID != "7" || got[len(got)-1].Name != "end" {
		t.Errorf("who has asked gets %+v", got)
	}
	expect(t, "her other session", desk.got(), "end:not-authorized")
}

// The server has two accounts become contacts, in whatever state they were.
func TestBefriend(t *testing.T) { synctest.Test(t, befriend) }

func befriend(t *testing.T) {
	w := newWorld(t, `{}`, "ann@localhost", "bob@localhost")
	ann, bob := w.available("ann@localhost/phone", 0), w.available("bob@localhost/desk", 0)
	for _, c := range []*conn{ann, bob} {
		c.send(`<iq type='get' id='r'><query xmlns='jabber:iq:roster'/></iq>`)
		c.take()
	}
	ask := func(from, of, contact string) packet.Result {
		return w.incoming(`<iq type='set' id='1' from='%s' to='localhost'><befriend xmlns='%s' of='%s' contact='%s'/></iq>`, from, sessions.NS, of, contact)
	}
	for range 2 { // it may come again
		if ask("localhost/x", "ann@localhost", "bob@localhost") != packet.Claimed || ask("localhost/x", "bob@localhost", "ann@localhost") != packet.Claimed {
			t.Fatal("it is refused")
		}
		for owner, contact := range map[string]string{"ann@localhost": "bob@localhost", "bob@localhost": "ann@localhost"} {
			c := map[string]*conn{"ann@localhost": ann, "bob@localhost": bob}[owner]
			c.take()
			c.send(`<iq type='get' id='r'><query xmlns='jabber:iq:roster'/></iq>`)
			expect(t, owner, c.got(), "iq:result "+owner+">"+c.address+" <query><item jid='"+contact+"' subscription='both'/></query>")
		}
	}
	for name, got := range map[string]packet.Result{
		"a stranger asks":   ask("eve@elsewhere/x", "ann@localhost", "eve@elsewhere"),
		"nobody's account":  ask("localhost/x", "carl@localhost", "ann@localhost"),
		"a full address":    ask("localhost/x", "ann@localhost", "bob@localhost/desk"),
		"another's account": ask("localhost/x", "ann@elsewhere", "bob@localhost"),
	} {
		if got == packet.Claimed {
			t.Errorf("%s: it is done", name)
		}
	}
}

// The server ends all sessions of an account but one, and says why; who waits to be resumed
// cannot be any more.
func TestEndAllButOne(t *testing.T) { synctest.Test(t, endAllButOne) }

func endAllButOne(t *testing.T) {
	w := newWorld(t, `{}`, "ann@localhost")
	phone, desk := w.login("ann@localhost/phone"), w.login("ann@localhost/desk")
	end := func(from, attrs string) packet.Result {
		return w.incoming(`<iq type='set' id='1' from='%s' to='localhost'><end xmlns='%s' of='ann@localhost' %s/></iq>`, from, sessions.NS, attrs)
	}
	const attrs = "but='ann@localhost/phone' condition='reset' text='Another password &lt;'"
	if end("eve@elsewhere/x", attrs) == packet.Claimed || end("localhost/x", "condition='sleepy'") == packet.Claimed {
		t.Error("it is done")
	}
	if end("localhost/x", attrs) != packet.Claimed {
		t.Fatal("it is refused")
	}
	expect(t, "the one", phone.got())
	got := desk.take()
	const text = "<text xmlns='urn:ietf:params:xml:ns:xmpp-streams' xml:lang='en'>Another password &lt;</text>"
	if len(got) != 1 || got[0].Name != "end" || got[0].Type != "reset" || string(got[0].Body) != text {
		t.Errorf("the other gets %+v", got)
	}
}

// The server reads the roster of an account, and nobody else does.
func TestTellRoster(t *testing.T) { synctest.Test(t, tellRoster) }

func tellRoster(t *testing.T) {
	w := newWorld(t, `{}`, "ann@localhost")
	ann := w.login("ann@localhost/phone")
	ann.send(`<iq type='set' id='r'><query xmlns='jabber:iq:roster'><item jid='bob@elsewhere' name='B'/></query></iq>`)
	w.incoming(`<presence type='subscribe' from='eve@elsewhere' to='ann@localhost'/>`) // not listed
	ask := func(from, of string) packet.Result {
		return w.incoming(`<iq type='get' id='1' from='%s' to='localhost'><roster xmlns='%s' of='%s'/></iq>`, from, sessions.NS, of)
	}
	if ask("localhost/x", "ann@localhost") != packet.Claimed {
		t.Fatal("it is refused")
	}
	for name, got := range map[string]packet.Result{
		"a stranger asks":  ask("eve@elsewhere/x", "ann@localhost"),
		"nobody's account": ask("localhost/x", "carl@localhost"),
		"of a session":     ask("localhost/x", "ann@localhost/phone"),
	} {
		if got == packet.Claimed {
			t.Errorf("%s: it is told", name)
		}
	}
}
