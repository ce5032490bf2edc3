package sm_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/xmpp/ns"
	"github.com/jabberii/server/plugins/xmpp/privacy"
)

const (
	annPhone = "ann@localhost/phone"
	bobDesk  = "bob@localhost/desk"
)

// blocks has a client block addresses, or with "unblock" let them in again.
func (c *conn) blocks(how string, addresses ...string) {
	c.w.t.Helper()
	items := ""
	for _, jid := range addresses {
		items += "<item jid='" + jid + "'/>"
	}
	c.send(`<iq type='set' id='b'><%s xmlns='%s'>%s</%s></iq>`, how, privacy.BlockingNS, items, how)
}

// lists has a client ask something of its privacy lists, and returns the answer.
func (c *conn) lists(kind, content string) string {
	c.w.t.Helper()
	c.send(`<iq type='%s' id='l'><query xmlns='%s'>%s</query></iq>`, kind, privacy.NS, content)
	for _, s := range c.got() {
		if strings.HasPrefix(s, "iq:result") || strings.HasPrefix(s, "iq:error") {
			return strings.TrimPrefix(s, "iq:")
		}
	}
	return ""
}

// XEP-0191 sections 3.2 to 3.5: the list, its changes, and who is told.
func TestBlockList(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, `{}`, "ann@localhost")
		phone, desk := w.login(annPhone), w.login("ann@localhost/desk")
		list := func() string {
			phone.send(`<iq type='get' id='1'><blocklist xmlns='%s'/></iq>`, privacy.BlockingNS)
			return strings.Join(phone.got(), " ")
		}
		const answer = "iq:result ann@localhost>" + annPhone
		expect(t, "empty", []string{list()}, answer+" <blocklist/>")
		desk.blocks("block", "BOB@elsewhere", "eve@elsewhere/x")
		expect(t, "who has asked is told", phone.got(), "iq:set ann@localhost>"+annPhone+" <block><item jid='bob@elsewhere'/><item jid='eve@elsewhere/x'/></block>")
		expect(t, "who has not is not", desk.got(), "iq:result ann@localhost>ann@localhost/desk")
		expect(t, "blocked", []string{list()}, answer+" <blocklist><item jid='bob@elsewhere'/><item jid='eve@elsewhere/x'/></blocklist>")
		desk.blocks("unblock", "bob@elsewhere")
		phone.take()
		expect(t, "one left", []string{list()}, answer+" <blocklist><item jid='eve@elsewhere/x'/></blocklist>")
		desk.blocks("unblock")
		expect(t, "all let in", phone.got(), "iq:set ann@localhost>"+annPhone+" <unblock/>")
		expect(t, "none left", []string{list()}, answer+" <blocklist/>")
		desk.take()
		for content, want := range map[string]string{
			"<block xmlns='%s'/>":                               "bad-request",
			"<block xmlns='%s'><item jid='@'/></block>":         "jid-malformed",
			"<blocklist xmlns='%s'/>":                           "bad-request",
			"<forget xmlns='%s'><item jid='a@b.c'/></forget>":   "bad-request",
			"<block xmlns='%s'><thing jid='a@b.c'/></block>":    "bad-request",
			"<unblock xmlns='%s'><item jid='a@b.c'/></unblock>": "",
		} {
			desk.send("<iq type='set' id='1'>"+content+"</iq>", privacy.BlockingNS)
			got := strings.Join(desk.got(), " ")
			if want == "" && !strings.HasPrefix(got, "iq:result") || want != "" && !strings.HasSuffix(got, want) {
				t.Errorf("%s: %s, want %s", content, got, want)
			}
		}
		w.incoming(`<iq type='set' id='1' to='ann@localhost' from='eve@elsewhere/x'><unblock xmlns='%s'/></iq>`, privacy.BlockingNS)
		expect(t, "somebody else", w.elsewhere(), "iq:error ann@localhost>eve@elsewhere/x forbidden")
	})
}

// XEP-0191 section 3.3: what becomes of the stanzas of who is blocked, to the
// account and to its sessions, while there are any and while there are none.
func TestStanzasOfWhoIsBlocked(t *testing.T) {
	const ping = "<ping xmlns='" + ns.Ping + "'/>"
	tests := []struct{ name, send, want string }{
		{"message", "<message type='chat' to='%s' from='eve@elsewhere/x'><body>x</body></message>", "service-unavailable"},
		{"headline", "<message type='headline' to='%s' from='eve@elsewhere/x'><body>x</body></message>", "*"},
		{"presence", "<presence to='%s' from='eve@elsewhere/x'/>", ""},
		{"subscribe", "<presence type='subscribe' to='%s' from='eve@elsewhere/x'/>", ""},
		{"probe", "<presence type='probe' to='%s' from='eve@elsewhere/x'/>", ""},
		{"get", "<iq type='get' id='1' to='%s' from='eve@elsewhere/x'>" + ping + "</iq>", "service-unavailable"},
		{"result", "<iq type='result' id='1' to='%s' from='eve@elsewhere/x'/>", ""},
	}
	for _, there := range []bool{true, false} {
		for _, to := range []string{"ann@localhost", annPhone} {
			for _, test := range tests {
				bubble(t, fmt.Sprintf("%s to %s, there %v", test.name, to, there), func(t *testing.T) {
					w := newWorld(t, `{}`, "ann@localhost")
					w.item("ann@localhost", "eve@elsewhere", "both")
					ann := w.available(annPhone, 0)
					ann.blocks("block", "eve@elsewhere")
					if !there {
						ann.close()
					}
					ann.take()
					w.elsewhere()
					w.incoming(test.send, to)
					got := strings.Join(w.elsewhere(), " ")
					switch {
					case test.want == "*": // an error, or nothing where nobody would have had it
					case test.want == "" && got != "" || !strings.HasSuffix(got, test.want):
						t.Errorf("the sender gets %q, want %q", got, test.want)
					}
					expect(t, "ann", ann.got())
					if !there {
						expect(t, "ann, later", kept(w.available("ann@localhost/later", 0).got()))
					}
				})
			}
		}
	}
}

func kept(list []string) (messages []string) {
	for _, s := range list {
		if strings.HasPrefix(s, "message") {
			messages = append(messages, s)
		}
	}
	return messages
}

// XEP-0191 sections 3.3 and 3.5: who is blocked sees that the account is gone,
// and its presence when it is let in; the account cannot reach it meanwhile.
func TestBlockingHidesPresence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, `{}`, "ann@localhost", "bob@localhost")
		w.befriend("ann@localhost", "bob@localhost")
		w.item("ann@localhost", "carl@elsewhere", "from")
		ann, bob := w.available(annPhone, 3), w.available(bobDesk, 0)
		ann.take()
		bob.take()
		w.elsewhere()

		ann.blocks("block", "bob@localhost", "stranger@elsewhere")
		expect(t, "bob sees her gone", bob.got(), "presence:unavailable "+annPhone+">bob@localhost")
		expect(t, "she sees him gone", ann.got(), "presence:unavailable bob@localhost>"+annPhone, "iq:result ann@localhost>"+annPhone)
		expect(t, "a stranger sees nothing", w.elsewhere())

		ann.send(`<message to='bob@localhost' type='chat' id='1'><body>x</body></message>`)
		p := ann.take()
		if len(p) != 1 || p[0].Type != "error" || !strings.Contains(string(p[0].Body), "<blocked xmlns='"+privacy.ErrorsNS+"'/>") || !strings.Contains(string(p[0].Body), "not-acceptable") {
			t.Errorf("to who is blocked: %v", p)
		}
		ann.send(`<presence to='bob@localhost/desk'/>`)
		ann.send(`<iq type='get' id='1' to='bob@localhost'><x xmlns='urn:x'/></iq>`)
		ann.send(`<presence type='subscribe' to='bob@localhost'/>`)
		for _, got := range ann.got() {
			if !strings.Contains(got, "not-acceptable") {
				t.Errorf("to who is blocked: %s", got)
			}
		}
		ann.send(`<presence><show>away</show></presence>`)
		bob.send(`<presence><show>dnd</show></presence>`)
		bob.send(`<message to='ann@localhost' type='chat' id='2'><body>x</body></message>`)
		expect(t, "ann", ann.got(), "presence "+annPhone+">ann@localhost <show>away</show>")
		expect(t, "bob", bob.got(), "presence "+bobDesk+">bob@localhost <show>dnd</show>",
			"message:error ann@localhost>"+bobDesk+" service-unavailable")
		expect(t, "carl", w.elsewhere(), "presence "+annPhone+">carl@elsewhere <show>away</show>")

		ann.blocks("unblock", "bob@localhost")
		expect(t, "bob sees her", bob.got(), "presence "+annPhone+">bob@localhost <show>away</show>")
		expect(t, "she sees him", ann.got(), "presence "+bobDesk+">"+annPhone+" <show>dnd</show>", "iq:result ann@localhost>"+annPhone)
		ann.send(`<message to='bob@localhost' type='chat'><body>hi</body></message>`)
		expect(t, "again", bob.got(), "message:chat "+annPhone+">bob@localhost <body>hi</body>")
		ann.close()
		bob.take()
	})
}

// Who was blocked while the account was away, and asks, is answered by nobody;
// the account's own sessions and its server are never kept away.
func TestNobodyIsKeptFromOneself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, `{}`, "ann@localhost")
		phone, desk := w.available(annPhone, 0), w.available("ann@localhost/desk", 0)
		phone.blocks("block", "ann@localhost", "localhost")
		phone.take()
		desk.take()
		phone.send(`<message to='ann@localhost/desk' type='chat'><body>x</body></message>`)
		phone.send(`<iq type='get' id='1' to='localhost'><ping xmlns='%s'/></iq>`, ns.Ping)
		phone.send(`<iq type='get' id='1'><query xmlns='%s'/></iq>`, privacy.NS)
		expect(t, "the desk", desk.got(), "message:chat "+annPhone+">ann@localhost/desk <body>x</body>")
		expect(t, "the phone", phone.got(), "iq:result localhost>"+annPhone,
			"iq:result ann@localhost>"+annPhone+" <query><default name='blocked'/><list name='blocked'/></query>")
	})
}

// XEP-0016 sections 2.3 to 2.9: lists are made, chosen, pushed and removed.
func TestPrivacyLists(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, `{}`, "ann@localhost")
		phone, desk := w.login(annPhone), w.login("ann@localhost/desk")
		const result = "result ann@localhost>" + annPhone
		const item = "<item type='jid' value='eve@elsewhere' action='deny' order='3'/>"
		for _, x := range []struct {
			name       string
			c          *conn
			kind, text string
			want       string // end of the answer
		}{
			{"none", phone, "get", "", result + " <query></query>"},
			{"one that is not there", phone, "get", "<list name='a'/>", "item-not-found"},
			{"two at a time", phone, "get", "<list name='a'/><list name='b'/>", "bad-request"},
			{"made", phone, "set", "<list name='a'>" + item + "</list>", result},
			{"another", phone, "set", "<list name='b'><item action='deny' order='1'><message/></item></list>", result},
			{"read", phone, "get", "<list name='a'/>", result + " <query><list name='a'>" + item + "</list></query>"},
			{"wrong", phone, "set", "<list name='c'><item action='deny'/></list>", "bad-request"},
			{"nothing set", phone, "set", "", "bad-request"},
			{"two set", phone, "set", "<active/><default/>", "bad-request"},
			{"something else", phone, "set", "<x/>", "bad-request"},
			{"active", phone, "set", "<active name='b'/>", result},
			{"active that is not there", phone, "set", "<active name='x'/>", "item-not-found"},
			{"default", phone, "set", "<default name='a'/>", result},
			{"default that is not there", phone, "set", "<default name='x'/>", "item-not-found"},
			{"names", phone, "get", "", result + " <query><active name='b'/><default name='a'/><list name='a'/><list name='b'/></query>"},
			{"default of another session", phone, "set", "<default name='b'/>", "conflict"},
			{"no default, of another session", phone, "set", "<default/>", "conflict"},
			{"removed while another uses it", phone, "set", "<list name='a'/>", "conflict"},
			{"active of another session", desk, "set", "<list name='b'/>", "conflict"},
			{"its own active one", phone, "set", "<list name='b'/>", result},
			{"one that is gone", phone, "set", "<list name='b'/>", "item-not-found"},
			{"back to the default", phone, "set", "<active/>", result},
		} {
			if got := x.c.lists(x.kind, x.text); !strings.HasSuffix(got, x.want) {
				t.Errorf("%s: %s, want %s", x.name, got, x.want)
			}
		}
		desk.take()
		phone.lists("set", "<list name='a'>"+item+"<item type='subscription' value='none' action='deny' order='4'/></list>")
		expect(t, "the other is told which list has changed", desk.got(), "iq:set ann@localhost>ann@localhost/desk <query><list name='a'/></query>")
		desk.close()
		if got := phone.lists("set", "<list name='a'/>"); got != result {
			t.Errorf("the default list that nobody else uses is removed: %s", got)
		}
		w.incoming(`<message type='chat' to='ann@localhost/phone' from='eve@elsewhere/x'><body>hi</body></message>`)
		expect(t, "without lists", kept(phone.got()), "message:chat eve@elsewhere/x>"+annPhone+" <body>hi</body>")
	})
}

// XEP-0016 section 2.2: the active list of a session holds instead of the default
// one, whatever that says.
func TestActiveList(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, `{}`, "ann@localhost")
		phone, desk := w.available(annPhone, 0), w.available("ann@localhost/desk", 0)
		phone.lists("set", "<list name='none'><item action='deny' order='1'/></list>")
		phone.lists("set", "<list name='all'><item action='allow' order='1'/></list>")
		phone.lists("set", "<default name='none'/>") // refused while the desk has none
		desk.lists("set", "<active name='all'/>")
		phone.lists("set", "<default name='none'/>")
		hello := func(to string) (phoneGot, deskGot int, refused bool) {
			phone.take()
			desk.take()
			w.elsewhere()
			w.incoming(`<message type='chat' to='%s' from='eve@elsewhere/x'><body>hi</body></message>`, to)
			return len(kept(phone.got())), len(kept(desk.got())), len(w.elsewhere()) > 0
		}
		if p, d, refused := hello("ann@localhost"); p != 0 || d != 1 || refused {
			t.Errorf("to the account: the phone gets %d, the desk %d, refused %v", p, d, refused)
		}
		if p, d, refused := hello(annPhone); p != 0 || d != 0 || !refused {
			t.Errorf("to the phone: the phone gets %d, the desk %d, refused %v", p, d, refused)
		}
		if p, d, refused := hello("ann@localhost/desk"); p != 0 || d != 1 || refused {
			t.Errorf("to the desk: the phone gets %d, the desk %d, refused %v", p, d, refused)
		}
		w.incoming(`<presence to='ann@localhost' from='eve@elsewhere/x'/>`)
		expect(t, "presence to the phone", phone.got())
		expect(t, "presence to the desk", desk.got(), "presence eve@elsewhere/x>ann@localhost")
	})
}

// A list that keeps presence in makes a session invisible (XEP-0016 section 2.13),
// and rules about the roster follow it.
func TestInvisibility(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, `{}`, "ann@localhost")
		w.item("ann@localhost", "carl@elsewhere", "both")
		ann := w.login(annPhone)
		ann.lists("set", "<list name='hidden'><item type='subscription' value='both' action='deny' order='1'><presence-out/></item></list>")
		ann.lists("set", "<active name='hidden'/>")
		ann.send(`<presence/>`)
		expect(t, "carl is asked and sees nothing", w.elsewhere(), "presence:probe "+annPhone+">carl@elsewhere")
		w.incoming(`<presence type='probe' to='ann@localhost' from='carl@elsewhere/x'/>`)
		expect(t, "carl asks", w.elsewhere(), "presence:unavailable ann@localhost>carl@elsewhere/x")
		ann.send(`<message to='carl@elsewhere' type='chat'><body>hi</body></message>`)
		expect(t, "a message", w.elsewhere(), "message:chat "+annPhone+">carl@elsewhere <body>hi</body>")
		ann.lists("set", "<active/>")
		expect(t, "carl sees her", w.elsewhere(), "presence "+annPhone+">carl@elsewhere")
		ann.lists("set", "<active name='hidden'/>")
		expect(t, "carl sees her gone", w.elsewhere(), "presence:unavailable "+annPhone+">carl@elsewhere")
		ann.close()
		expect(t, "carl is not told twice", w.elsewhere())
	})
}

// Whenever sm dies while somebody is blocked, who is blocked ends up seeing
// nobody, hears nothing, and the active list of a session stays.
func TestBlockingOutlivesDeath(t *testing.T) {
	for at := 1; at < 40; at++ {
		done := false
		bubble(t, fmt.Sprint(at), func(t *testing.T) {
			w := newWorld(t, `{}`, "ann@localhost")
			w.item("ann@localhost", "carl@elsewhere", "both")
			ann := w.available(annPhone, 0)
			w.elsewhere()
			w.die(at)
			ann.blocks("block", "carl@elsewhere")
			done = !w.env.dead.Load()
			w.die(0)
			w.kill()
			gone := false
			for _, p := range w.elsewhere() {
				gone = gone || p == "presence:unavailable "+annPhone+">carl@elsewhere"
			}
			if !gone {
				t.Errorf("carl does not see that she is gone")
			}
			ann.take()
			w.incoming(`<message type='chat' to='ann@localhost' from='carl@elsewhere/x'><body>x</body></message>`)
			expect(t, "carl", w.elsewhere(), "message:error ann@localhost>carl@elsewhere/x service-unavailable")
			expect(t, "ann", kept(ann.got()))
			ann.lists("set", "<list name='all'><item action='allow' order='1'/></list>")
			ann.lists("set", "<active name='all'/>")
			w.kill()
			w.incoming(`<message type='chat' to='ann@localhost/phone' from='carl@elsewhere/x'><body>x</body></message>`)
			expect(t, "ann, whose list lets all in", kept(ann.got()), "message:chat carl@elsewhere/x>"+annPhone+" <body>x</body>")
		})
		if done {
			return
		}
	}
	t.Error("the server never got through")
}

// An account without lists is not asked about again.
func TestNoListsCostNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, `{}`, "ann@localhost", "bob@localhost")
		ann, bob := w.available(annPhone, 0), w.available(bobDesk, 0)
		synctest.Wait() // what coming online leads to asks too
		asked := 0
		ask := w.storage(nil)
		w.storage(func(ctx context.Context, q *packet.Packet) (*packet.Packet, error) {
			asked++
			return ask(ctx, q)
		})
		for range 3 {
			ann.send(`<message to='bob@localhost' type='chat'><body>x</body></message>`)
			ann.send(`<presence to='bob@localhost/desk'/>`)
			bob.send(`<iq type='get' id='1' to='ann@localhost/phone'><x xmlns='urn:x'/></iq>`)
		}
		if asked > 0 || len(bob.got()) != 6 {
			t.Errorf("storage was asked %d times", asked)
		}
	})
}

func TestExplainsWhoIsKeptAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, `{}`, "ann@localhost")
		w.available(annPhone, 0).blocks("block", "eve@elsewhere")
		for send, want := range map[string]packet.Verdict{
			"<message to='ann@localhost' from='eve@elsewhere/x'/>":             packet.Refuses,
			"<iq type='get' to='ann@localhost/phone' from='eve@elsewhere/x'/>": packet.Refuses,
			"<presence to='ann@localhost' from='eve@elsewhere/x'/>":            packet.Claim,
		} {
			p := parse(t, send)
			v, why := w.env.handler.(module.Explainer).Explain(context.Background(), &p)
			if v != want || !strings.Contains(why, "does not let in what eve@elsewhere/x sends") {
				t.Errorf("%s: %v, %s", send, v, why)
			}
		}
	})
}

// What was kept before its sender was blocked is not delivered either.
func TestKeptBeforeTheBlock(t *testing.T) {
	for _, managed := range []bool{false, true} {
		bubble(t, fmt.Sprint("managed ", managed), func(t *testing.T) {
			w := newWorld(t, `{}`, "ann@localhost")
			for _, who := range []string{"eve", "carl"} {
				w.incoming(`<message type='chat' to='ann@localhost' from='%s@elsewhere/x'><body>hi</body></message>`, who)
			}
			ann := w.login(annPhone)
			if managed {
				ann.send(`<enable xmlns='%s'/>`, ns.StreamManagement)
			}
			ann.blocks("block", "eve@elsewhere")
			ann.take()
			ann.send(`<presence/>`)
			synctest.Wait()
			expect(t, "ann", kept(ann.got()), "message:chat carl@elsewhere/x>ann@localhost <body>hi</body><delay from='localhost'/>")
		})
	}
}
