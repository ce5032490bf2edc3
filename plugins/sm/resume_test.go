package sm_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/xmpp/ns"
)

// What a session that nobody resumes leaves (XEP-0198 section 4): its contacts
// learn that it is gone, and what its client has not acknowledged goes where it
// would go without it.
func TestNobodyResumes(t *testing.T) {
	unread := []string{
		`<message type='chat' from='bob@elsewhere/x' to='ann@localhost'><body>bare</body></message>`,
		`<message type='chat' from='bob@elsewhere/x' to='ann@localhost/phone'><body>full</body></message>`,
		`<message from='bob@elsewhere/x' to='ann@localhost/phone'><body>normal</body></message>`,
		`<message type='headline' from='bob@elsewhere/x' to='ann@localhost/phone'><body>headline</body></message>`,
		`<message type='error' from='bob@elsewhere/x' to='ann@localhost/phone'><body>error</body></message>`,
		`<message type='groupchat' id='1' from='room@elsewhere/x' to='ann@localhost/phone'><body>room</body></message>`,
		`<iq type='get' id='2' from='bob@elsewhere/x' to='ann@localhost/phone'><ping xmlns='urn:xmpp:ping'/></iq>`,
		`<iq type='result' id='3' from='bob@elsewhere/x' to='ann@localhost/phone'/>`,
		`<presence from='bob@elsewhere/x' to='ann@localhost'/>`,
	}
	told := []string{
		"iq:error ann@localhost/phone>bob@elsewhere/x service-unavailable",
		"message:error ann@localhost/phone>room@elsewhere/x service-unavailable",
		"presence:unavailable ann@localhost/phone>bob@elsewhere",
	}
	for name, end := range map[string]func(*world, *client){
		"in time": func(_ *world, c *client) {
			c.lose()
			time.Sleep(9 * time.Minute)
			c.w.elsewhere()
			time.Sleep(time.Minute + time.Second)
		},
		"in time, across deaths": func(w *world, c *client) {
			c.lose()
			time.Sleep(5 * time.Minute)
			w.kill()
			time.Sleep(4*time.Minute + 50*time.Second)
			w.elsewhere()
			time.Sleep(12 * time.Second)
		},
		"it closes":    func(_ *world, c *client) { c.close() },
		"another does": func(w *world, c *client) { w.login("ann@localhost/phone") },
	} {
		for _, others := range []bool{false, true} {
			bubble(t, fmt.Sprintf("%s, others: %v", name, others), func(t *testing.T) {
				w := newWorld(t, `{}`, "ann@localhost")
				w.item("ann@localhost", "bob@elsewhere", "from")
				ann := w.manage("ann@localhost/phone", true)
				ann.ack()
				for _, s := range unread {
					w.incoming("%s", s)
				}
				var tablet *conn
				if others {
					tablet = w.available("ann@localhost/tablet", -1) // takes none of what came before
					tablet.send(`<presence/>`)
					tablet.take()
				}
				w.elsewhere()
				end(w, ann)
				synctest.Wait()
				expect(t, "others are told", sorted(w.elsewhere()), told...)
				kept := w.keptFor("ann@localhost")
				var went []string
				if others {
					went = bodies(tablet.take())
				} else {
					for _, m := range kept {
						if !strings.Contains(m, "<delay from='localhost'/>") {
							t.Errorf("no delay in %s", m)
						}
						went = append(went, strings.Split(strings.Split(m, "<body>")[1], "<")[0])
					}
				}
				if (len(kept) > 0) == others {
					t.Errorf("kept %q", kept)
				}
				expect(t, "messages", went, "bare", "full", "normal")
				ann.resume()
				if ann.resumes != "" {
					t.Error("it can be resumed still")
				}
			})
		}
	}
}

// A client may have more than the process knows that it resumes with: sm died
// together with c2s, and neither what the client had nor its connection is left.
func TestResumeAfterConnectionAndSessionHaveDied(t *testing.T) {
	bubble(t, "both die", func(t *testing.T) {
		w := newWorld(t, `{}`, "ann@localhost")
		ann := w.manage("ann@localhost/phone", true)
		w.incoming(`<message type='chat' from='bob@elsewhere/x' to='ann@localhost'><body>1</body></message>`)
		w.incoming(`<message type='chat' from='bob@elsewhere/x' to='ann@localhost'><body>2</body></message>`)
		ann.read()
		ann.conn.vanish()
		w.kill()
		w.incoming(`<message type='chat' from='bob@elsewhere/x' to='ann@localhost'><body>3</body></message>`)
		ann.resume()
		expect(t, "resumed", ann.bodies, "1", "2", "3")
		ann.ack()
		ann.say(`<message to='bob@elsewhere'><body>back</body></message>`)
		ann.conn.vanish()
		w.kill()
		ann.h++ // of what it was never sent
		ann.resume()
		expect(t, "more than there is", ann.ends, "undefined-condition")
	})
}

// One message that went to several sessions is lost only if none has it.
func TestCopiesOfUnreadMessages(t *testing.T) {
	for _, test := range []struct {
		name string
		read []bool
		kept int
	}{{"none has it", []bool{false, false}, 1}, {"one has it", []bool{true, false}, 0}, {"both have it", []bool{true, true}, 0}} {
		bubble(t, test.name, func(t *testing.T) {
			w := newWorld(t, `{}`, "ann@localhost")
			clients := []*client{w.manage("ann@localhost/a", true), w.manage("ann@localhost/b", true)}
			w.incoming(`<message type='chat' from='bob@elsewhere/x' to='ann@localhost'><body>x</body></message>`)
			for i, c := range clients {
				if test.read[i] {
					c.read()
					c.ack()
				}
				c.lose()
			}
			time.Sleep(11 * time.Minute)
			if kept := w.keptFor("ann@localhost"); len(kept) != test.kept {
				t.Errorf("kept %q", kept)
			}
		})
	}
}

func TestHowLongASessionWaits(t *testing.T) {
	for _, test := range []struct {
		name, args, enable, enabled string
		lives                       time.Duration
	}{
		{"as long as the server says", `{}`, "resume='true'", " max='600' resume='true'", 10 * time.Minute},
		{"as long as the client wants", `{}`, "resume='1' max='30'", " max='30' resume='true'", 30 * time.Second},
		{"not longer", `{"management":{"resume":"1m"}}`, "resume='1' max='90'", " max='60' resume='true'", time.Minute},
		{"not at all", `{"management":{"resume":"0s"}}`, "resume='true'", "", 0},
		{"the client does not want it", `{}`, "", "", 0},
	} {
		bubble(t, test.name, func(t *testing.T) {
			w := newWorld(t, test.args, "ann@localhost")
			c := w.login("ann@localhost/phone")
			c.send(`<enable xmlns='%s' %s/>`, ns.StreamManagement, test.enable)
			p := c.take()[0]
			id := attr(&p, "id")
			if got := strings.Replace(p.Attrs, " id='"+id+"'", "", 1); got != test.enabled || (id != "") != (test.lives > 0) {
				t.Errorf("enabled with %s", p.Attrs)
			}
			c.lose()
			time.Sleep(test.lives - min(test.lives, time.Second))
			if lives := strings.Contains(w.explain(`<message type='chat' to='ann@localhost/phone'/>`), "1 resource"); lives != (test.lives > 0) {
				t.Errorf("it lives on: %v", lives)
			}
			time.Sleep(2 * time.Second)
			if strings.Contains(w.explain(`<message type='chat' to='ann@localhost/phone'/>`), "1 resource") {
				t.Error("it lives too long")
			}
		})
	}
}

// Who comes too late learns which of its stanzas were taken.
func TestTooLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, `{}`, "ann@localhost", "eve@localhost")
		ann := w.manage("ann@localhost/phone", true)
		ann.say(`<message to='bob@elsewhere'/>`)
		ann.lose()
		time.Sleep(11 * time.Minute)
		for account, want := range map[string]string{"ann@localhost": "failed h='2' <item-not-found/>", "eve@localhost": "failed <item-not-found/>"} {
			c := w.connect(account)
			c.send(`<resume xmlns='%s' previd='%s' h='0'/>`, ns.StreamManagement, ann.resumes)
			expect(t, account, c.got(), want)
			c.send(`<iq type='set' id='b'><bind xmlns='%s'/></iq>`, ns.Bind)
			if got := c.got(); len(got) != 1 || !strings.HasPrefix(got[0], "iq:result") {
				t.Errorf("binding instead: %q", got)
			}
		}
	})
}

func TestClientThatDoesNotAcknowledge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, `{}`, "ann@localhost")
		ann := w.manage("ann@localhost/phone", true)
		ann.ack()
		w.incoming(`<message type='chat' from='bob@elsewhere/x' to='ann@localhost'><body>x</body></message>`)
		if got := ann.conn.got(); len(got) != 1 {
			t.Errorf("at once: %q", got)
		}
		time.Sleep(3 * time.Second)
		expect(t, "soon it is asked", ann.conn.got(), "r")
		time.Sleep(50 * time.Second)
		expect(t, "once", ann.conn.got())
		time.Sleep(10 * time.Second)
		expect(t, "then given up", ann.conn.got(), "end:connection-timeout")
		if got := w.explain(`<message type='chat' to='ann@localhost/phone'/>`); !strings.Contains(got, "waits to be resumed") {
			t.Error(got)
		}
	})
}

func TestQueueIsFull(t *testing.T) {
	for name, args := range map[string]string{"by number": `{"management":{"queue":5}}`, "by size": `{"management":{"size":"3000"}}`} {
		bubble(t, name, func(t *testing.T) {
			w := newWorld(t, args, "ann@localhost")
			ann := w.manage("ann@localhost/phone", true)
			ann.ack()
			for i := 1; i <= 20; i++ {
				w.incoming(`<message type='chat' from='bob@elsewhere/x' to='ann@localhost'><body>%d</body></message>`, i)
			}
			time.Sleep(time.Minute)
			got := ann.conn.got()
			if got[len(got)-1] != "end:resource-constraint" {
				t.Errorf("her stream: %q", got)
			}
			if kept := w.keptFor("ann@localhost"); len(kept) != 20 || !strings.Contains(kept[0], "<body>1</body>") {
				t.Errorf("kept %q", kept)
			}
		})
	}
}

// Whoever sends more than a client takes waits for it.
func TestSlowClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, `{"management":{"queue":5}}`, "ann@localhost")
		ann := w.manage("ann@localhost/phone", true)
		ann.ack()
		var sent atomic.Int32
		go func() {
			for i := 1; i <= 20; i++ {
				w.incoming(`<message type='chat' from='bob@elsewhere/x' to='ann@localhost'><body>%d</body></message>`, i)
				sent.Add(1)
			}
		}()
		for range 10 {
			time.Sleep(time.Second)
			has := len(ann.bodies)
			if n := int(sent.Load()); n > has+6 { // one of them waits
				t.Fatalf("%d messages were taken, and she has %d", n, has)
			}
			ann.read()
			ann.ack()
		}
		ann.read()
		if len(ann.bodies) != 20 || len(ann.ends) != 0 {
			t.Errorf("she has %q, her streams ended with %q", ann.bodies, ann.ends)
		}
		if kept := w.keptFor("ann@localhost"); len(kept) != 0 {
			t.Errorf("kept %q", kept)
		}
	})
}

// enabled waits until what others have just sent is out of the way, for that is
// not counted.
func TestEnableAfterStanzasOfOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, `{}`, "ann@localhost")
		ann := w.available("ann@localhost/phone", 0)
		w.incoming(`<message type='chat' from='bob@elsewhere/x' to='ann@localhost'><body>1</body></message>`)
		ann.send(`<enable xmlns='%s'/>`, ns.StreamManagement)
		w.incoming(`<message type='chat' from='bob@elsewhere/x' to='ann@localhost'><body>2</body></message>`)
		expect(t, "before", ann.got(), "message:chat bob@elsewhere/x>ann@localhost <body>1</body>")
		time.Sleep(time.Second)
		expect(t, "after", ann.got(), "enabled", "message:chat bob@elsewhere/x>ann@localhost <body>2</body>")
	})
}

// A client that enables stream management while it is given offline messages gets
// those that nobody counts first, however long that takes, and all others counted.
func TestEnableAmidOfflineMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, `{}`, "ann@localhost")
		for i := 1; i <= 120; i++ {
			w.incoming(`<message type='chat' id='%d' from='bob@elsewhere/x' to='ann@localhost'><body>%d</body></message>`, i, i)
		}
		c := w.login("ann@localhost/phone")
		w.shown = func(p *packet.Packet) {
			if p.ID == "3" {
				c.send(`<enable xmlns='%s'/>`, ns.StreamManagement)
				time.Sleep(5 * time.Second)
			}
		}
		c.send(`<presence/>`)
		time.Sleep(10 * time.Second)
		var texts []string
		counted, enabled := 0, false
		for _, p := range c.take() {
			switch {
			case p.Name == "enabled":
				enabled = true
			case p.Name == "message":
				texts = append(texts, bodies([]packet.Packet{p})...)
				if enabled {
					counted++
				}
			}
		}
		expect(t, "in order", texts, numbers(1, 120)...)
		if !enabled {
			t.Fatal("stream management is not enabled")
		}
		c.send(`<a xmlns='%s' h='%d'/>`, ns.StreamManagement, counted)
		for _, p := range c.got() {
			if strings.HasPrefix(p, "end") {
				t.Errorf("a client that counts %d messages behind enabled is told %s", counted, p)
			}
		}
		synctest.Wait()
		expect(t, "left in storage", w.keptFor("ann@localhost"))
	})
}

// Counts go round after 32 bits.
func TestCountsGoRound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, `{}`, "ann@localhost")
		const tooHigh = "end:undefined-condition <handled-count-too-high h='4294967295' send-count='0'/>"
		for count, want := range map[string]string{
			"h='4294967296'": "end:bad-format", "h='-1'": "end:bad-format", "h='x'": "end:bad-format", "": "end:bad-format",
			"h='4294967295'": tooHigh, // one less than nothing
		} {
			ann := w.login("ann@localhost/phone")
			ann.send(`<enable xmlns='%s'/>`, ns.StreamManagement)
			ann.take()
			ann.send(`<a xmlns='%s' %s/>`, ns.StreamManagement, count)
			expect(t, count, ann.got(), want)
		}
	})
}

// A session without stream management lives on when sm dies, and its client
// notices nothing.
func TestPlainSessionOutlivesDeath(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, `{}`, "ann@localhost", "bob@localhost")
		w.befriend("ann@localhost", "bob@localhost")
		ann, bob := w.interested("ann@localhost/phone"), w.available("bob@localhost/desk", 3)
		ann.send(`<presence to='room@elsewhere/ann'/>`)
		ann.take()
		w.elsewhere()
		w.kill()
		ann.send(`<message to='bob@localhost' type='chat'><body>x</body></message>`)
		expect(t, "bob", bob.got(), "message:chat ann@localhost/phone>bob@localhost <body>x</body>")
		if got := w.explain(`<message to='bob@localhost'/>`); !strings.Contains(got, "bob@localhost/desk (priority 3)") {
			t.Error(got)
		}
		ann.send(rosterSet, "<item jid='carl@elsewhere'/>")
		if got := ann.got(); len(got) != 2 {
			t.Errorf("she is told of changes to the roster still: %q", got)
		}
		ann.close()
		expect(t, "elsewhere", w.elsewhere(), "presence:unavailable ann@localhost/phone>room@elsewhere/ann")
		expect(t, "bob, when she is gone", bob.got(), "presence:unavailable ann@localhost/phone>bob@localhost")
	})
}

// What c2s delivers again after a death in the middle of binding is answered
// once.
func TestDeathWhileBinding(t *testing.T) {
	for after := 1; after <= 4; after++ {
		bubble(t, fmt.Sprint(after), func(t *testing.T) {
			w := newWorld(t, `{}`, "ann@localhost")
			c := w.connect("ann@localhost")
			w.dieIn = after
			c.send(`<iq type='set' id='b'><bind xmlns='%s'><resource>phone</resource></bind></iq>`, ns.Bind)
			w.dieIn = 0
			w.kill()
			expect(t, "bound", c.got(), "iq:result >ann@localhost/phone <bind><jid>ann@localhost/phone</jid></bind>")
			if !c.recheck {
				t.Error("who is bound by a process that knows nothing of changes before is not doubted")
			}
			c.send(`<enable xmlns='%s' resume='true'/>`, ns.StreamManagement)
			if got := c.got(); len(got) != 1 {
				t.Errorf("enabled: %q", got)
			}
		})
	}
}

// The journal does not grow, whatever goes through it and however long
// sessions live, and still has all that counts.
func TestJournalStaysSmall(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, `{}`, "ann@localhost", "bob@localhost")
		idle := w.manage("bob@localhost/idle", true)
		idle.ack()
		idle.lose()
		w.incoming(`<message type='chat' from='x@elsewhere/x' to='bob@localhost/idle'><body>old</body></message>`)
		ann := w.manage("ann@localhost/phone", true)
		text := strings.Repeat("x", 100_000)
		for range 60 {
			for range 10 {
				w.incoming(`<message type='chat' from='bob@elsewhere/x' to='ann@localhost'><body>%s</body></message>`, text)
			}
			ann.read()
			ann.ack()
			ann.bodies = nil
			time.Sleep(time.Second)
		}
		var size int64
		filepath.Walk(w.env.dir, func(_ string, info os.FileInfo, err error) error {
			if err == nil && !info.IsDir() {
				size += info.Size()
			}
			return err
		})
		if size > 40<<20 {
			t.Errorf("the journal has %d MiB of 60", size>>20)
		}
		w.kill()
		idle.resume()
		expect(t, "what waited", idle.bodies, "old")
		w.incoming(`<message type='chat' from='bob@elsewhere/x' to='ann@localhost'><body>new</body></message>`)
		ann.read()
		expect(t, "what comes", ann.bodies, "new")
	})
}

// A client with many stanzas under way waits; nothing is refused.
func TestTooManyUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, `{}`, "ann@localhost")
		ann := w.manage("ann@localhost/phone", false)
		release := make(chan struct{})
		w.hold = func(p *packet.Packet) {
			if packet.Domain(p.To) == "slow" {
				<-release
			}
		}
		done := 0
		for i := range 1100 {
			go func() {
				ann.conn.deliver(&packet.Packet{
					Kind: packet.Session, Name: "message", To: "x@slow", Host: "localhost", Near: ann.token, Far: ann.far, Seq: uint64(100 + i),
				})
				w.mu.Lock()
				done++
				w.mu.Unlock()
			}()
			synctest.Wait()
		}
		if done > 0 {
			t.Errorf("%d have ended", done)
		}
		close(release)
		synctest.Wait()
		if done != 1100 || len(w.elsewhere()) != 1100 {
			t.Errorf("%d have ended", done)
		}
	})
}
