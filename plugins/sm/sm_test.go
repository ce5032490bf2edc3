package sm_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sm"
	"github.com/jabberii/server/plugins/xmpp/ns"
)

func TestArguments(t *testing.T) {
	for args, path := range map[string]string{
		`{"max_sessions":0}`:                 "max_sessions",
		`{"max_directed":-1}`:                "max_directed",
		`{"roster":{"max":-1}}`:              "roster.max",
		`{"roster":{"cache":-1}}`:            "roster.cache",
		`{"offline":{"max":-1}}`:             "offline.max",
		`{"offline":{"size":"1"}}`:           "offline.size",
		`{"durability":"none"}`:              "durability",
		`{"management":{"queue":0}}`:         "management.queue",
		`{"management":{"size":"1"}}`:        "management.size",
		`{"management":{"request":0}}`:       "management.request",
		`{"management":{"timeout":"500ms"}}`: "management.timeout",
		`{"management":{"location":"here"}}`: "management.location",
		`{"conflict":"fight"}`:               "conflict",
		`{"tell_unknown":"some"}`:            "tell_unknown",
	} {
		_, err := sm.Module.New(&env{}, []byte(args))
		var bad *module.ArgError
		if !errors.As(err, &bad) || strings.Join(bad.Path, ".") != path {
			t.Errorf("%s: %v", args, err)
		}
	}
}

func TestUpdate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, `{}`, "ann@localhost")
		u := w.env.handler.(module.Updater)
		for args, path := range map[string]string{
			`{"journal":"elsewhere"}`: "journal", `{"durability":"disk"}`: "durability", `{"max_sessions":0}`: "max_sessions",
		} {
			_, err := u.Prepare([]byte(args))
			var bad *module.ArgError
			if !errors.As(err, &bad) || bad.Path[0] != path {
				t.Errorf("%s: %v", args, err)
			}
		}
		commit, err := u.Prepare([]byte(`{"offline":{"max":0}}`))
		if err != nil {
			t.Fatal(err)
		}
		w.incoming(`<message from='bob@elsewhere' to='ann@localhost'><body>kept</body></message>`)
		commit()
		w.incoming(`<message from='bob@elsewhere' to='ann@localhost'><body>refused</body></message>`)
		if kept := w.keptFor("ann@localhost"); len(kept) != 1 {
			t.Errorf("kept %q", kept)
		}
	})
}

func TestBind(t *testing.T) {
	const bind = `<iq type='set' id='b'><bind xmlns='` + ns.Bind + `'>%s</bind></iq>`
	t.Run("the client's choice", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, `{}`)
			c := w.connect("ann@localhost")
			c.send(bind, "<resource>phone</resource>")
			expect(t, "bound", c.got(), "iq:result >ann@localhost/phone <bind><jid>ann@localhost/phone</jid></bind>")
			c.send(bind, "<resource>other</resource>")
			expect(t, "again", c.got(), "iq:error ann@localhost>ann@localhost/phone not-allowed")
		})
	})
	t.Run("the server's choice", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, `{}`)
			c, d := w.connect("ann@localhost"), w.connect("ann@localhost")
			c.send(bind, "")
			d.send(bind, "<resource/>")
			if packet.Resource(c.address) == "" || c.address == d.address {
				t.Errorf("bound %q and %q", c.address, d.address)
			}
		})
	})
	t.Run("no resource", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, `{}`)
			c := w.connect("ann@localhost")
			c.send(bind, "<resource>"+strings.Repeat("x", 2000)+"</resource>")
			expect(t, "too long", c.got(), "iq:error >ann@localhost bad-request")
			c.send(`<message to='bob@localhost'/>`)
			expect(t, "a stanza too early", c.got(), "end:not-authorized")
		})
	})
	t.Run("the newer wins", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, `{}`)
			w.item("ann@localhost", "bob@elsewhere", "both")
			old := w.available("ann@localhost/phone", 0)
			w.elsewhere()
			c := w.login("ann@localhost/phone")
			expect(t, "the older", old.got(), "end:conflict")
			expect(t, "its contacts", w.elsewhere(), "presence:unavailable ann@localhost/phone>bob@elsewhere")
			old.gone("lost")
			old.up(packet.Packet{Name: "message", To: "bob@elsewhere"})
			expect(t, "what the older still says", w.elsewhere())
			w.incoming(`<message from='bob@elsewhere' to='ann@localhost/phone' type='chat'><body>x</body></message>`)
			expect(t, "the newer", c.got(), "message:chat bob@elsewhere>ann@localhost/phone <body>x</body>")
		})
	})
	for policy, want := range map[string]struct{ older, newer string }{
		"replace": {"end:conflict", "ann@localhost/phone"}, "refuse": {"", "ann@localhost"}, "rename": {"", "another"},
	} {
		bubble(t, "a conflict: "+policy, func(t *testing.T) {
			w := newWorld(t, `{"conflict":"`+policy+`"}`)
			old, c := w.manage("ann@localhost/phone", false), w.connect("ann@localhost")
			c.send(bind, "<resource>phone</resource>")
			expect(t, "the older", old.got(), words(want.older)...)
			switch address := c.address; {
			case want.newer == "another" && (address == "ann@localhost/phone" || packet.Resource(address) == ""):
				t.Errorf("the newer is %s, want another resource", address)
			case want.newer != "another" && address != want.newer:
				t.Errorf("the newer is %s, want %s", address, want.newer)
			}
			if policy == "refuse" {
				expect(t, "the newer", c.got(), "iq:error >ann@localhost conflict")
				old.lose()
				c.send(bind, "<resource>phone</resource>")
				if c.address != "ann@localhost/phone" {
					t.Errorf("a session that is lost keeps its resource: %q", c.got())
				}
			}
		})
	}
	t.Run("too many", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, `{"max_sessions":2}`)
			w.login("ann@localhost/a")
			lost := w.manage("ann@localhost/b", false)
			c := w.connect("ann@localhost")
			c.send(bind, "<resource>c</resource>")
			expect(t, "a third", c.got(), "iq:error >ann@localhost resource-constraint")
			lost.lose()
			c.send(bind, "<resource>c</resource>")
			expect(t, "in place of one that is lost", c.got(), "iq:result >ann@localhost/c <bind><jid>ann@localhost/c</jid></bind>")
			lost.resume()
			if lost.resumes != "" {
				t.Error("what made room can still be resumed")
			}
		})
	})
}

// Nothing that a client says before it has a session, or that is no stanza, is
// taken.
func TestStrangeElements(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, `{}`)
		for element, want := range map[string]string{
			`<presence/>`:                      "end:not-authorized",
			`<iq type='get' id='x'><x/></iq>`:  "end:not-authorized",
			`<foo/>`:                           "end:unsupported-stanza-type",
			`<foo xmlns='urn:bar'/>`:           "end:unsupported-stanza-type",
			`<foo xmlns='urn:xmpp:sm:3'/>`:     "end:unsupported-stanza-type",
			`<active xmlns='urn:xmpp:csi:0'/>`: "",
		} {
			c := w.connect("ann@localhost")
			c.send("%s", element)
			if got := strings.Join(c.got(), " "); got != want {
				t.Errorf("%s: %s, want %s", element, got, want)
			}
		}
		c := w.connect("ann@localhost")
		c.far = packet.Token{Host: "localhost", Section: "sm", Slot: 9, Incarnation: 9}
		c.send(`<presence/>`)
		expect(t, "a session that is none", c.got(), "end:service-unavailable service-unavailable")
	})
}

func TestExplain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, `{}`, "ann@localhost", "bob@localhost")
		phone := w.available("ann@localhost/phone", 5)
		w.available("ann@localhost/desk", 1)
		w.manage("ann@localhost/old", true).lose()
		for stanza, want := range map[string]string{
			`<message to='ann@localhost' from='b@c'/>`:                             "ann@localhost has 3 resources; the message goes to ann@localhost/phone (priority 5)",
			`<message to='ann@localhost/old' from='b@c'/>`:                         "ann@localhost has 3 resources; the message goes to ann@localhost/old (whose connection is lost; it waits to be resumed)",
			`<message to='eve@localhost' from='b@c'/>`:                             "there is no account eve@localhost, which is nothing to its sender: it is dropped",
			`<message to='eve@localhost' from='ann@localhost/x'/>`:                 "there is no account eve@localhost",
			`<message to='bob@localhost' from='b@c'/>`:                             "bob@localhost has no session that takes it: it is kept until there is one",
			`<message to='eve@localhost/x' from='b@c'/>`:                           "eve@localhost has no session that takes it",
			`<message type='error' to='eve@localhost' from='b@c'/>`:                "eve@localhost has no session that takes it, and its sender need not know: it is dropped",
			`<message to='localhost' from='b@c'/>`:                                 "it is to the host itself, and nothing that the session manager answers",
			`<iq type='get' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>`:     "localhost answers this itself",
			`<iq type='get' to='eve@localhost'><ping xmlns='urn:xmpp:ping'/></iq>`: "the server answers for eve@localhost",
			`<iq type='get' to='eve@localhost'><ping xmlns='urn:what'/></iq>`:      "nothing here answers this for eve@localhost",
			`<iq type='get' to='ann@localhost/desk'><ping xmlns='urn:what'/></iq>`: "it goes to ann@localhost/desk (priority 1)",
			`<iq type='get' to='ann@localhost/gone'><ping xmlns='urn:what'/></iq>`: "ann@localhost has 3 resources and none of this name",
			`<iq type='result' to='ann@localhost'/>`:                               "it answers nothing that was asked: it is dropped",
			`<presence type='subscribe' to='ann@localhost/x' from='b@c/d'/>`:       "it changes the subscription between ann@localhost and b@c",
			`<presence type='probe' to='ann@localhost' from='b@c/d'/>`:             "it is answered with the presence of ann@localhost, if b@c is subscribed to it",
			`<presence to='ann@localhost' from='b@c/d'/>`:                          "ann@localhost has 3 resources; it goes to all that are available",
			`<presence to='ann@localhost/gone' from='b@c/d'/>`:                     "ann@localhost has 3 resources and none of this name: it is dropped",
			`<presence to='ann@localhost/phone' from='b@c/d'/>`:                    "it goes to ann@localhost/phone (priority 5)",
		} {
			p := parse(t, stanza)
			if _, why := w.env.handler.(module.Explainer).Explain(context.Background(), &p); why != want {
				t.Errorf("%s: %s", stanza, why)
			}
		}
		w.login("ann@localhost/tablet").copies()
		sleepy := w.asleep("bob@localhost/desk")
		for stanza, want := range map[string]string{
			`<message type='chat' to='ann@localhost' from='b@c'/>`:                          "ann@localhost has 4 resources; the message goes to ann@localhost/phone (priority 5), and a copy to ann@localhost/tablet (not available)",
			`<message type='groupchat' to='ann@localhost/phone' from='b@c'/>`:               "ann@localhost has 4 resources; the message goes to ann@localhost/phone (priority 5)",
			`<message to='bob@localhost' from='b@c'><body>x</body></message>`:               "bob@localhost has 1 resource; the message goes to bob@localhost/desk (priority 0, inactive)",
			`<message to='bob@localhost' from='b@c'>` + typing + `</message>`:               "bob@localhost has 1 resource; the message goes to bob@localhost/desk (priority 0, inactive); it waits until somebody looks at an inactive client",
			`<presence to='bob@localhost' from='b@c'/>`:                                     "bob@localhost has 1 resource; it goes to all that are available; it waits until somebody looks at an inactive client",
			`<presence to='bob@localhost/desk' from='b@c'/>`:                                "it goes to bob@localhost/desk (priority 0, inactive); it waits until somebody looks at an inactive client",
			`<iq type='set' to='ann@localhost'><enable xmlns='urn:xmpp:carbons:2'/></iq>`:   "the server answers for ann@localhost",
			`<iq type='get' to='ann@localhost'><blocklist xmlns='urn:xmpp:blocking'/></iq>`: "the server answers for ann@localhost",
			`<iq type='get' to='ann@localhost'><query xmlns='jabber:iq:privacy'/></iq>`:     "the server answers for ann@localhost",
		} {
			p := parse(t, stanza)
			if _, why := w.env.handler.(module.Explainer).Explain(context.Background(), &p); why != want {
				t.Errorf("%s: %s", stanza, why)
			}
		}
		sleepy.read()
		up := packet.Packet{Kind: packet.Session, Near: phone.token, Far: phone.far}
		if v, why := w.env.handler.(module.Explainer).Explain(context.Background(), &up); v != packet.Claim || why != "it is from the client of ann@localhost/phone" {
			t.Errorf("up: %v, %s", v, why)
		}
	})
}

// When c2s dies its connections are gone, and it does not say so. With the first that
// turns out to be, all are asked: contacts do not see for long who is not there.
func TestConnectionsAreGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, `{}`, "ann@localhost", "bob@localhost", "carl@localhost", "dora@localhost")
		var gone []*conn
		for _, name := range []string{"ann", "bob", "carl"} {
			w.item(name+"@localhost", "eve@elsewhere", "from")
			gone = append(gone, w.available(name+"@localhost/phone", 0))
		}
		managed := w.manage("carl@localhost/desk", true)
		dora := w.available("dora@localhost/phone", 0)
		time.Sleep(time.Minute)
		w.elsewhere()
		for _, c := range append(gone, managed.conn) {
			c.vanish()
		}
		w.incoming(`<message type='chat' from='eve@elsewhere/x' to='ann@localhost'><body>there?</body></message>`)
		synctest.Wait()
		expect(t, "eve sees", sorted(w.elsewhere()), "presence:unavailable ann@localhost/phone>eve@elsewhere",
			"presence:unavailable bob@localhost/phone>eve@elsewhere", "presence:unavailable carl@localhost/phone>eve@elsewhere")
		w.incoming(`<message type='chat' from='eve@elsewhere/x' to='dora@localhost'><body>there?</body></message>`)
		expect(t, "dora is there", dora.got(), "message:chat eve@elsewhere/x>dora@localhost <body>there?</body>")
		managed.resume()
		if managed.conn.far.IsZero() {
			t.Error("a session with stream management cannot be resumed")
		}
	})
}

// The log is told of each session, however its client has bound it, once.
func TestEvents(t *testing.T) {
	const created, closed = "session.created ann@localhost/phone", "session.closed ann@localhost/phone"
	const managed = "<enable xmlns='urn:xmpp:sm:3' resume='true' max='60'/>"
	for name, test := range map[string]struct {
		login func(*testing.T, *world) *conn
		want  []string
	}{
		"bound": {func(_ *testing.T, w *world) *conn { return w.login("ann@localhost/phone") }, []string{created, closed}},
		"bound again": {func(_ *testing.T, w *world) *conn {
			w.login("ann@localhost/phone")
			return w.login("ann@localhost/phone")
		}, []string{created, closed, created, closed}},
		"inline":         {func(t *testing.T, w *world) *conn { return w.loginInline(t, "") }, []string{created, closed}},
		"inline again":   {func(t *testing.T, w *world) *conn { w.loginInline(t, ""); return w.loginInline(t, managed) }, []string{created, closed, created, closed}},
		"inline managed": {func(t *testing.T, w *world) *conn { return w.loginInline(t, managed) }, []string{created, closed}},
	} {
		bubble(t, name, func(t *testing.T) {
			w := newWorld(t, `{}`, "ann@localhost")
			test.login(t, w).close()
			synctest.Wait()
			slices.Sort(w.events)
			expect(t, name, w.events, sorted(test.want)...)
		})
	}
}

// loginInline is login by Bind 2, with what the client wants beside.
func (w *world) loginInline(t *testing.T, wishes string) *conn {
	c := w.connect("ann@localhost")
	c.inline(t, "phone", wishes)
	return c
}
