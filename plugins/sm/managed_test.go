package sm_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/xmpp/ns"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

// A client is one with stream management: it counts, acknowledges, resumes, and
// sends again what the server does not have.
type client struct {
	*conn
	w       *world
	full    string
	resumes string // what it resumes its session with
	h       uint32 // stanzas that it has
	sent    uint32 // stanzas of its own
	unacked []string
	bodies  []string          // of the messages that it got, in order
	ends    []string          // why its streams ended
	shown   map[string]string // the last presence of each address
}

func attr(p *packet.Packet, name string) string {
	el, _ := xml.First([]byte("<x"+p.Attrs+"/>"), "")
	return el.Attr(name)
}

// manage logs in with stream management.
func (w *world) manage(full string, presence bool) *client {
	w.t.Helper()
	c := &client{w: w, full: full, shown: map[string]string{}}
	c.begin(presence)
	return c
}

func (c *client) begin(presence bool) {
	c.w.t.Helper()
	c.conn = c.w.login(c.full)
	c.h, c.sent = 0, 0
	c.conn.send(`<enable xmlns='%s' resume='true'/>`, ns.StreamManagement)
	c.read()
	if c.resumes == "" {
		c.w.t.Fatal("stream management is not enabled")
	}
	if presence {
		c.say(`<presence/>`)
		c.read()
	}
}

// say sends a stanza that counts.
func (c *client) say(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	c.sent++
	c.unacked = append(c.unacked, text)
	c.conn.send("%s", text)
}

// read takes in what has come.
func (c *client) read() {
	for _, p := range c.take() {
		c.handle(&p)
	}
}

func (c *client) handle(p *packet.Packet) {
	switch {
	case p.NS == ns.StreamManagement:
		switch p.Name {
		case "enabled":
			c.resumes = attr(p, "id")
		case "r":
			c.ack()
		case "a":
			c.acked(attr(p, "h"))
		case "resumed":
			c.acked(attr(p, "h"))
			again := c.unacked
			c.unacked = nil
			for _, text := range again {
				c.sent--
				c.say("%s", text)
			}
		case "failed":
			c.resumes = ""
		}
	case p.Name == "end":
		c.ends = append(c.ends, p.Type)
	default:
		c.h++
		if p.Name == "presence" {
			c.shown[p.From] = p.Type + string(p.Body)
		}
		if p.Name == "message" {
			el, _ := xml.Find(p.Body, ns.Client, "body", ns.Client)
			c.bodies = append(c.bodies, el.Text())
		}
	}
}

func (c *client) acked(h string) {
	n, err := strconv.ParseUint(h, 10, 32)
	first := c.sent - uint32(len(c.unacked))
	if count := uint32(n) - first; err != nil || count > uint32(len(c.unacked)) {
		c.w.t.Errorf("%s has sent %d stanzas, of which %d were acknowledged; now %s are", c.full, c.sent, first, h)
	} else {
		c.unacked = c.unacked[count:]
	}
}

func (c *client) ack() {
	c.conn.send(`<a xmlns='%s' h='%d'/>`, ns.StreamManagement, c.h)
}

func (c *client) request() { c.conn.send(`<r xmlns='%s'/>`, ns.StreamManagement) }

// resume resumes the session on another connection.
func (c *client) resume() {
	c.conn = c.w.connect(packet.Bare(c.full))
	id := c.resumes
	c.conn.send(`<resume xmlns='%s' previd='%s' h='%d'/>`, ns.StreamManagement, id, c.h)
	c.read()
}

// vanish is what the death of c2s does to a connection: nobody says that it is
// gone.
func (c *conn) vanish() {
	c.w.mu.Lock()
	defer c.w.mu.Unlock()
	c.lost = true
	c.unsettled = nil
}

func TestAcknowledgements(t *testing.T) { synctest.Test(t, testAcknowledgements) }

func testAcknowledgements(t *testing.T) {
	w := newWorld(t, `{}`, "ann@localhost", "bob@localhost")
	ann := w.login("ann@localhost/phone")
	bob := w.available("bob@localhost/desk", 0)
	ann.send(`<presence/>`)
	ann.take()
	ann.send(`<enable xmlns='%s'/>`, ns.StreamManagement)
	expect(t, "enabled without resumption", ann.got(), "enabled")
	ann.send(`<r xmlns='%s'/>`, ns.StreamManagement)
	expect(t, "nothing yet", ann.got(), "a h='0'")
	for range 3 {
		ann.send(`<message to='bob@localhost'><body>x</body></message>`)
	}
	ann.send(`<r xmlns='%s'/>`, ns.StreamManagement)
	expect(t, "three stanzas", ann.got(), "a h='3'")
	if got := len(bob.take()); got != 3 {
		t.Errorf("bob got %d", got)
	}
	for range 10 {
		bob.send(`<message to='ann@localhost'><body>y</body></message>`)
	}
	got := ann.got()
	if len(got) != 11 || got[10] != "r" {
		t.Errorf("after ten stanzas the client is asked: %q", got)
	}
	ann.send(`<a xmlns='%s' h='10'/>`, ns.StreamManagement)
	bob.send(`<message to='ann@localhost'><body>y</body></message>`)
	expect(t, "not asked again", ann.got(), "message bob@localhost/desk>ann@localhost <body>y</body>")
	ann.send(`<enable xmlns='%s'/>`, ns.StreamManagement)
	expect(t, "enabled twice", ann.got(), "failed <unexpected-request/>")
	ann.send(`<a xmlns='%s' h='12'/>`, ns.StreamManagement)
	expect(t, "more than was sent", ann.got(), "end:undefined-condition <handled-count-too-high h='12' send-count='11'/>")
}

func TestEnableNeedsASession(t *testing.T) { synctest.Test(t, testEnableNeedsASession) }

func testEnableNeedsASession(t *testing.T) {
	w := newWorld(t, `{}`, "ann@localhost")
	c := w.connect("ann@localhost")
	c.send(`<enable xmlns='%s'/>`, ns.StreamManagement)
	expect(t, "enable", c.got(), "failed <unexpected-request/>")
	c.send(`<resume xmlns='%s' previd='nonsense' h='0'/>`, ns.StreamManagement)
	expect(t, "resume", c.got(), "failed <item-not-found/>")
	c.send(`<r xmlns='%s'/>`, ns.StreamManagement)
	expect(t, "request", c.got())
}

// What is asked first is answered first, also if the first answer has to wait.
func TestEnableTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, `{}`, "ann@localhost")
		ann := w.available("ann@localhost/phone", 0)
		ann.take()
		w.incoming(`<presence from='bob@elsewhere/x' to='ann@localhost'/>`) // not counted, and may still be on its way
		ann.take()
		ann.send(`<enable xmlns='%s'/>`, ns.StreamManagement)
		ann.send(`<enable xmlns='%s'/>`, ns.StreamManagement)
		ann.send(`<enable xmlns='%s'/>`, ns.StreamManagement)
		var got []string
		for len(got) < 3 && w.t.Context().Err() == nil {
			time.Sleep(time.Second)
			got = append(got, ann.got()...)
		}
		expect(t, "answers", got, "enabled", "failed <unexpected-request/>", "failed <unexpected-request/>")
		ann.send(`<enable xmlns='%s'/>`, ns.StreamManagement)
		expect(t, "a further one", ann.got(), "failed <unexpected-request/>")
	})
}

// What the client is told when it is enabled (XEP-0198 section 3).
func TestEnabledTells(t *testing.T) {
	for args, tests := range map[string]map[string]string{
		`{"management":{"resume":"2m","location":"[::1]:5222"}}`: {
			"resume='true'": "resume='true' max='120' location='[::1]:5222'", "resume='1' max='60'": "resume='true' max='60' location='[::1]:5222'",
			"resume='true' max='600'": "resume='true' max='120' location='[::1]:5222'", "": "resume='' max='' location=''",
		},
		`{"management":{"resume":"0"}}`: {"resume='true'": "resume='' max='' location=''"},
	} {
		for attrs, want := range tests {
			bubble(t, args+attrs, func(t *testing.T) {
				ann := newWorld(t, args, "ann@localhost").login("ann@localhost/phone")
				ann.send(`<enable xmlns='%s' %s/>`, ns.StreamManagement, attrs)
				p := ann.take()[0]
				got := fmt.Sprintf("resume='%s' max='%s' location='%s'", attr(&p, "resume"), attr(&p, "max"), attr(&p, "location"))
				if p.Name != "enabled" || got != want || (attr(&p, "id") == "") != (attr(&p, "resume") == "") {
					t.Errorf("%s%s, want %s", p.Name, p.Attrs, want)
				}
			})
		}
	}
}

func TestResume(t *testing.T) { synctest.Test(t, testResume) }

func testResume(t *testing.T) {
	w := newWorld(t, `{}`, "ann@localhost", "bob@localhost", "eve@localhost")
	ann := w.manage("ann@localhost/phone", true)
	bob := w.login("bob@localhost/desk")
	bob.send(`<message to='ann@localhost' type='chat'><body>1</body></message>`)
	ann.read()
	ann.lose()
	bob.send(`<message to='ann@localhost' type='chat'><body>2</body></message>`)
	bob.send(`<message to='ann@localhost/phone' type='chat'><body>3</body></message>`)
	if kept := w.keptFor("ann@localhost"); len(kept) > 0 {
		t.Errorf("kept though the session waits: %q", kept)
	}
	eve := w.connect("eve@localhost")
	eve.send(`<resume xmlns='%s' previd='%s' h='0'/>`, ns.StreamManagement, ann.resumes)
	expect(t, "another account", eve.got(), "failed <item-not-found/>")
	old := ann.conn
	ann.resume()
	expect(t, "resumed", ann.bodies, "1", "2", "3")
	if ann.address != ann.full {
		t.Errorf("c2s knows the session as %q", ann.address)
	}
	old.up(packet.Packet{Name: "close", Type: "lost"}) // late
	ann.say(`<message to='bob@localhost/desk'><body>back</body></message>`)
	expect(t, "bob", bob.got(), "message ann@localhost/phone>bob@localhost/desk <body>back</body>")

	// While the connection is still there, it is told that it was replaced.
	before := ann.conn
	ann.resume()
	expect(t, "the connection before", before.got(), "end:conflict")
	ann.conn.send(`<resume xmlns='%s' previd='%s' h='%d'/>`, ns.StreamManagement, ann.resumes, ann.h)
	expect(t, "resumed twice", ann.got(), "failed <unexpected-request/>")
}

// arrivals returns the messages that came elsewhere from an address, as somebody
// there sees them who drops what comes again.
func (w *world) arrivals(from string) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var list []string
	last := map[packet.Token]uint64{}
	for _, p := range w.remote {
		if p.From != from || p.Seq <= last[p.Near] {
			continue
		}
		last[p.Near] = p.Seq
		el, _ := xml.Find(p.Body, ns.Client, "body", ns.Client)
		list = append(list, el.Text())
	}
	return list
}

// Whatever dies or is cut, between two clients with stream management nothing
// is lost, repeated or out of order.
func TestExactlyOnce(t *testing.T) {
	t.Parallel()
	property(t, func(t *testing.T, r *rapid.T) {
		w := newWorld(t, `{}`, "ann@localhost", "bob@localhost")
		clients := []*client{w.manage("ann@localhost/phone", true), w.manage("bob@localhost/desk", true)}
		said, abroad := [2]int{}, [2]int{}
		revive := func() {
			w.mu.Lock()
			w.dieIn = 0
			w.mu.Unlock()
			if w.env.dead.Load() {
				w.kill()
			}
		}
		r.Repeat(map[string]func(*rapid.T){
			"say": func(r *rapid.T) {
				i := rapid.IntRange(0, 1).Draw(r, "who")
				w.together(func() {
					for range rapid.IntRange(1, 3).Draw(r, "messages") {
						said[i]++
						to := clients[1-i].full
						if rapid.Bool().Draw(r, "bare") {
							to = packet.Bare(to)
						}
						clients[i].say(`<message to='%s' type='chat' id='%d'><body>%d</body></message>`, to, said[i], said[i])
						if rapid.Bool().Draw(r, "request") {
							clients[i].request()
						}
					}
				})
			},
			"abroad": func(r *rapid.T) {
				i := rapid.IntRange(0, 1).Draw(r, "who")
				abroad[i]++
				clients[i].say(`<message to='carl@elsewhere' type='chat'><body>%d</body></message>`, abroad[i])
			},
			"read":    func(r *rapid.T) { clients[rapid.IntRange(0, 1).Draw(r, "who")].read() },
			"ack":     func(r *rapid.T) { clients[rapid.IntRange(0, 1).Draw(r, "who")].ack() },
			"request": func(r *rapid.T) { clients[rapid.IntRange(0, 1).Draw(r, "who")].request() },
			"die": func(r *rapid.T) {
				revive()
				w.mu.Lock()
				w.dieIn = rapid.IntRange(1, 12).Draw(r, "after")
				w.mu.Unlock()
			},
			"kill": func(*rapid.T) { revive(); w.kill() },
			"cut": func(r *rapid.T) {
				revive()
				c := clients[rapid.IntRange(0, 1).Draw(r, "who")]
				if rapid.Bool().Draw(r, "unread") {
					c.read()
				}
				if rapid.Bool().Draw(r, "noticed") {
					c.lose()
				} else {
					c.vanish()
				}
				c.resume()
			},
			"": func(*rapid.T) {},
		})
		revive()
		for range 3 { // what one reads may have the other told something
			for _, c := range clients {
				c.read()
				c.request()
				c.read()
				c.ack()
			}
		}
		for i, c := range clients {
			if len(c.unacked) > 0 {
				r.Errorf("%s is never told that the server has %q", c.full, c.unacked)
			}
			if len(c.ends) > 0 {
				r.Errorf("the streams of %s end with %q", c.full, c.ends)
			}
			var want []string
			for n := range said[1-i] {
				want = append(want, strconv.Itoa(n+1))
			}
			if strings.Join(c.bodies, " ") != strings.Join(want, " ") {
				r.Errorf("%s got %q of %d", c.full, c.bodies, said[1-i])
			}
			want = nil
			for n := range abroad[i] {
				want = append(want, strconv.Itoa(n+1))
			}
			if got := w.arrivals(c.full); strings.Join(got, " ") != strings.Join(want, " ") {
				r.Errorf("elsewhere %q came of %d from %s", got, abroad[i], c.full)
			}
		}
	})
}

// TestRequestsThatComeTogether has a client ask twice for what it sent at once:
// it is told once, of all of it.
func TestRequestsThatComeTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, `{}`, "ann@localhost")
		ann := w.manage("ann@localhost/phone", true)
		ann.take()
		w.together(func() {
			for range 2 {
				ann.say(`<message to='bob@elsewhere'/>`)
				ann.request()
			}
		})
		expect(t, "ann", ann.got(), fmt.Sprintf("a h='%d'", ann.sent))
		expect(t, "elsewhere", w.elsewhere(), "message ann@localhost/phone>bob@elsewhere", "message ann@localhost/phone>bob@elsewhere")
	})
}

// A client that has a session and asks for another is refused, which counts like
// anything else; what it sends to others goes there, whatever is in it.
func TestBindingTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const bind = "<bind xmlns='" + ns.Bind + "'><resource>desk</resource></bind>"
		w := newWorld(t, `{}`, "ann@localhost")
		ann := w.manage("ann@localhost/phone", true)
		for _, to := range []string{"", " to='ann@localhost'", " to='localhost'"} {
			ann.say("<iq type='set' id='b'%s>%s</iq>", to, bind)
			got := ann.take()
			for _, p := range got {
				ann.handle(&p)
			}
			if len(got) == 0 || got[0].Type != "error" || !strings.Contains(string(got[0].Body), "<not-allowed ") {
				t.Errorf("to %q: %v", to, got)
			}
		}
		ann.say("<iq type='set' id='b' to='carl@elsewhere/x'>%s</iq>", bind)
		if got := w.elsewhere(); len(got) != 1 || !strings.HasPrefix(got[0], "iq:set ann@localhost/phone>carl@elsewhere/x") {
			t.Errorf("elsewhere comes %q", got)
		}
		ann.request()
		ann.read()
		ann.ack()
		ann.read()
		if len(ann.unacked) > 0 || len(ann.ends) > 0 {
			t.Errorf("not counted are %q, the stream ends %q", ann.unacked, ann.ends)
		}
	})
}
