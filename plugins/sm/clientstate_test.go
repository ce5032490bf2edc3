package sm_test

import (
	"fmt"
	"testing"
	"testing/synctest"

	"pgregory.net/rapid"

	"github.com/jabberii/server/plugins/xmpp/ns"
)

const (
	active   = "<active xmlns='" + ns.ClientState + "'/>"
	inactive = "<inactive xmlns='" + ns.ClientState + "'/>"
	typing   = "<composing xmlns='" + ns.ChatStates + "'/>"
	paused   = "<paused xmlns='" + ns.ChatStates + "'/>"
)

// asleep is a managed session of which nobody looks at the client.
func (w *world) asleep(full string) *client {
	w.t.Helper()
	c := w.manage(full, true)
	c.ack()
	c.conn.send(inactive)
	c.read()
	return c
}

// XEP-0352: what waits for an inactive client, what does not, and what takes
// along what waited.
func TestClientState(t *testing.T) {
	const (
		away   = "<presence from='bob@elsewhere/x' to='ann@localhost'><show>away</show></presence>"
		back   = "<presence from='bob@elsewhere/x' to='ann@localhost'/>"
		able   = "<presence from='bob@elsewhere/x' to='ann@localhost'>" + caps + "</presence>"
		gone   = "<presence from='bob@elsewhere/x' to='ann@localhost' type='unavailable'/>"
		other  = "<presence from='bob@elsewhere/y' to='ann@localhost'/>"
		types  = "<message from='bob@elsewhere/x' to='ann@localhost/phone' type='chat'>" + typing + "</message>"
		stops  = "<message from='bob@elsewhere/x' to='ann@localhost/phone' type='chat'>" + paused + "</message>"
		says   = "<message from='bob@elsewhere/x' to='ann@localhost/phone' type='chat'><body>hi</body></message>"
		says2  = "<message from='carl@elsewhere/x' to='ann@localhost/phone' type='chat'><body>hi</body></message>"
		event  = "<message from='bob@elsewhere' to='ann@localhost/phone' type='headline'><event xmlns='http://jabber.org/protocol/pubsub#event'/></message>"
		news   = "<message from='bob@elsewhere' to='ann@localhost/phone' type='headline'><body>news</body></message>"
		ask    = "<iq type='get' id='1' from='bob@elsewhere/x' to='ann@localhost/phone'><ping xmlns='urn:xmpp:ping'/></iq>"
		wants  = "<presence from='eve@elsewhere' to='ann@localhost' type='subscribe'/>"
		failed = "<message from='bob@elsewhere' to='ann@localhost/phone' type='error'/>"

		isAway, isBack, isGone  = "presence bob@elsewhere/x>ann@localhost <show>away</show>", "presence bob@elsewhere/x>ann@localhost", "presence:unavailable bob@elsewhere/x>ann@localhost"
		isAble                  = "presence bob@elsewhere/x>ann@localhost " + isCaps
		isOther                 = "presence bob@elsewhere/y>ann@localhost"
		isTypes, isStops, isHi  = "message:chat bob@elsewhere/x>ann@localhost/phone <composing/>", "message:chat bob@elsewhere/x>ann@localhost/phone <paused/>", "message:chat bob@elsewhere/x>ann@localhost/phone <body>hi</body>"
		isHi2                   = "message:chat carl@elsewhere/x>ann@localhost/phone <body>hi</body>"
		isEvent, isNews         = "message:headline bob@elsewhere>ann@localhost/phone <event/>", "message:headline bob@elsewhere>ann@localhost/phone <body>news</body>"
		isAsk, isWants, isError = "iq:get bob@elsewhere/x>ann@localhost/phone <ping/>", "presence:subscribe eve@elsewhere>ann@localhost", "message:error bob@elsewhere>ann@localhost/phone"
	)
	for _, test := range []struct {
		name        string
		come        []string
		now, active []string // what the client gets at once, and when it is active again
	}{
		{"presence waits", words(away), nil, words(isAway)},
		{"what a client can do is not forgotten", []string{able, away, back}, nil, []string{isAble, isBack}},
		{"it is said anew", []string{able, away, able}, nil, []string{isAble, isAble}},
		{"it is said again at once", []string{able, able}, nil, words(isAble)},
		{"who is gone comes with it again", []string{able, gone}, nil, words(isGone)},
		{"the last presence counts", []string{away, gone, back}, nil, words(isBack)},
		{"each of its own address", []string{away, other, gone}, nil, []string{isOther, isGone}},
		{"typing waits", words(types), nil, words(isTypes)},
		{"the last state counts", []string{types, stops}, nil, words(isStops)},
		{"typing ends with a message", []string{types, says}, words(isHi), nil},
		{"another's typing does not", []string{types, says2}, []string{isTypes, isHi2}, nil},
		{"an event waits", []string{event, event}, nil, []string{isEvent, isEvent}},
		{"a headline to read", words(news), words(isNews), nil},
		{"a message takes presence along", []string{away, types, other, says, gone}, []string{isAway, isOther, isHi}, words(isGone)},
		{"sent presence stays", []string{away, says, gone, back}, []string{isAway, isHi}, words(isBack)},
		{"a request", []string{away, ask}, []string{isAway, isAsk}, nil},
		{"somebody asks to subscribe", []string{away, wants}, []string{isAway, isWants}, nil},
		{"an error", []string{types, failed}, []string{isTypes, isError}, nil},
	} {
		bubble(t, test.name, func(t *testing.T) {
			w := newWorld(t, `{}`, "ann@localhost")
			ann := w.asleep("ann@localhost/phone")
			for _, stanza := range test.come {
				w.incoming("%s", stanza)
			}
			expect(t, "inactive", ann.stanzas(), test.now...)
			w.kill() // sends what waited
			ann.conn.send(active)
			expect(t, "active", ann.stanzas(), test.active...)
			ann.ack()
			ann.request()
			ann.read()
			if len(ann.ends) > 0 {
				t.Errorf("its counts are wrong: %q", ann.ends)
			}
		})
	}
}

// stanzas returns the stanzas that have come, written out.
func (c *client) stanzas() []string {
	var list []string
	for _, p := range c.take() {
		if c.handle(&p); p.NS == "" {
			list = append(list, text(&p))
		}
	}
	return list
}

// Not too many wait, and never so many that those who send must.
func TestWaitingIsLimited(t *testing.T) {
	for args, want := range map[string]int{`{}`: 101, `{"management":{"queue":8}}`: 3, `{"management":{"queue":1}}`: 1} {
		bubble(t, args, func(t *testing.T) {
			w := newWorld(t, args, "ann@localhost")
			ann := w.asleep("ann@localhost/phone")
			for i := 1; ; i++ {
				w.incoming(`<presence from='%d@elsewhere/x' to='ann@localhost'/>`, i)
				if got := ann.stanzas(); len(got) > 0 {
					if len(got) != i || i != want {
						t.Errorf("%d come after %d, want %d", len(got), i, want)
					}
					return
				}
				if i > want {
					t.Fatalf("nothing has come after %d", i)
				}
			}
		})
	}
}

// A stream begins active, also one that resumes a session (section 6), and what
// waited comes first.
func TestResumedIsActive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, `{}`, "ann@localhost")
		ann := w.asleep("ann@localhost/phone")
		w.incoming(`<presence from='bob@elsewhere/x' to='ann@localhost'/>`)
		expect(t, "inactive", ann.stanzas())
		ann.lose()
		w.incoming(`<presence from='bob@elsewhere/y' to='ann@localhost'/>`)
		before := ann.h
		ann.resume()
		w.incoming(`<presence from='bob@elsewhere/z' to='ann@localhost'/>`)
		ann.read()
		if got := ann.h - before; got != 3 {
			t.Errorf("after resumption come %d stanzas", got)
		}
		plain := w.available("ann@localhost/plain", 0)
		plain.send(inactive)
		w.incoming(`<presence from='bob@elsewhere/x' to='ann@localhost'/>`)
		expect(t, "without a queue", plain.got(), "presence bob@elsewhere/x>ann@localhost")
	})
}

// Whatever comes while the client is now active, now inactive, and sm or its
// connection dies: messages come once and in order, the last presence of each
// address is the one that the client saw last, and counts agree.
func TestClientStateIsNoLoss(t *testing.T) {
	t.Parallel()
	property(t, func(t *testing.T, r *rapid.T) {
		w := newWorld(t, `{"management":{"queue":40}}`, "ann@localhost")
		ann := w.asleep("ann@localhost/phone")
		said, shown := 0, map[string]string{}
		for range rapid.IntRange(1, 60).Draw(r, "acts") {
			switch rapid.IntRange(0, 9).Draw(r, "act") {
			case 0:
				ann.conn.send(inactive)
			case 1:
				ann.conn.send(active)
			case 2:
				said++
				w.incoming(`<message from='bob@elsewhere/x' to='ann@localhost' type='chat'><body>%d</body></message>`, said)
			case 3:
				w.incoming(`<message from='bob@elsewhere/x' to='ann@localhost/phone' type='chat'>%s</message>`, typing)
			case 4:
				w.kill()
			case 5:
				ann.lose()
				ann.resume()
			case 6:
				ann.ack()
			default:
				from, status := fmt.Sprintf("%d@elsewhere/x", rapid.IntRange(0, 4).Draw(r, "from")), len(shown)+rapid.IntRange(0, 99).Draw(r, "status")
				shown[from] = fmt.Sprintf("<status>%d</status>", status)
				w.incoming(`<presence from='%s' to='ann@localhost'>%s</presence>`, from, shown[from])
			}
			if rapid.Bool().Draw(r, "reads") {
				ann.read()
			}
		}
		ann.conn.send(active)
		ann.read()
		ann.ack()
		ann.read()
		if len(ann.ends) > 0 {
			r.Fatalf("its streams ended: %q", ann.ends)
		}
		for i, body := range filled(ann.bodies) {
			if body != fmt.Sprint(i+1) {
				r.Fatalf("messages come as %q", ann.bodies)
			}
		}
		if got := len(filled(ann.bodies)); got != said {
			r.Fatalf("of %d messages %d come", said, got)
		}
		for from, status := range shown {
			if ann.shown[from] != status {
				r.Fatalf("%s shows %s, the client saw %s", from, status, ann.shown[from])
			}
		}
	})
}

// filled leaves out what is empty.
func filled(list []string) []string {
	var some []string
	for _, s := range list {
		if s != "" {
			some = append(some, s)
		}
	}
	return some
}
