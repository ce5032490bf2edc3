package sm_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sdk/sessions"
	"github.com/jabberii/server/plugins/xmpp/ns"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

// bodies returns the texts of messages.
func bodies(list []packet.Packet) []string {
	var texts []string
	for _, p := range list {
		if el, ok := xml.Find(p.Body, ns.Client, "body", ns.Client); ok {
			texts = append(texts, el.Text())
		}
	}
	return texts
}

func numbers(from, to int) []string {
	var list []string
	for i := from; i <= to; i++ {
		list = append(list, fmt.Sprint(i))
	}
	return list
}

func TestOfflineMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, `{}`, "ann@localhost")
		at := time.Now()
		for i := 1; i <= 120; i++ {
			w.incoming(`<message xml:lang='en' type='chat' id='%d' from='bob@elsewhere/x' to='ann@localhost' xmlns:q='urn:q' q:a='&lt;'><body>%d</body></message>`, i, i)
		}
		time.Sleep(time.Hour)
		w.kill()
		ann := w.login("ann@localhost/phone")
		ann.send(`<presence><priority>-1</priority></presence>`)
		synctest.Wait()
		expect(t, "with a negative priority", ann.got(), "presence ann@localhost/phone>ann@localhost <priority>-1</priority>")
		ann.send(`<presence/>`)
		synctest.Wait()
		got := ann.take()
		expect(t, "in order", bodies(got), numbers(1, 120)...)
		p := got[len(got)-1]
		if p.ID != "120" || p.Type != "chat" || p.From != "bob@elsewhere/x" || p.To != "ann@localhost" || p.Lang != "en" || !strings.Contains(p.Attrs, "='&lt;'") {
			t.Errorf("the last is %+v", p)
		}
		delay, _ := xml.Find(p.Body, ns.Client, "delay", ns.Delay)
		if delay.Attr("from") != "localhost" || delay.Attr("stamp") != at.UTC().Format("2006-01-02T15:04:05.000Z") {
			t.Errorf("delay: %s", delay.Outer())
		}
		expect(t, "they leave storage", w.keptFor("ann@localhost"))
		ann.send(`<presence type='unavailable'/>`)
		ann.send(`<presence/>`)
		expect(t, "and do not come again", bodies(ann.take()))
	})
}

// When a message has waited here nobody else says (XEP-0203 section 4), be it kept or
// delivered at once. What others say of themselves stays.
func TestForgedDelays(t *testing.T) {
	const long = " stamp='2002-09-10T23:08:25Z'/>"
	for _, test := range []struct {
		from string
		ours bool
	}{{"localhost", true}, {"LOCALHOST", true}, {"elsewhere", false}, {"bob@elsewhere/x", false}, {"", false}} {
		bubble(t, test.from, func(t *testing.T) {
			w := newWorld(t, `{}`, "ann@localhost")
			forged := "<message type='chat' from='bob@elsewhere/x' to='ann@localhost'><body>1</body><delay xmlns='urn:xmpp:delay' from='" + test.from + "'" + long + "</message>"
			w.incoming("%s", forged)
			ann := w.login("ann@localhost/phone")
			ann.send(`<presence/>`)
			synctest.Wait()
			w.incoming("%s", forged)
			messages := slices.DeleteFunc(ann.take(), func(p packet.Packet) bool { return p.Name != "message" })
			if len(messages) != 2 {
				t.Fatalf("she gets %v", messages)
			}
			for i, p := range messages {
				body := string(p.Body)
				if strings.Contains(body, long) == test.ours || strings.Contains(body, " from='localhost' stamp='2000-") != (i == 0) {
					t.Errorf("message %d: %s", i, body)
				}
			}
		})
	}
}

// The attributes of a message that is kept come as its sender has set them.
func TestAttributesOfWhatIsKept(t *testing.T) {
	for _, test := range []struct{ name, attrs, lang, want string }{
		{"a language", ` xml:lang='de'`, "de", ``},
		{"no language, which isn't that of the stream", ` xml:lang=''`, "", ` xml:lang=''`},
		{"another of XML", ` xml:space='preserve'`, "", ` xml:space='preserve'`},
		{"two of one namespace and one of another", ` xmlns:p='urn:p' p:a='1' p:b='2' xmlns:q='urn:q' q:a='3' c='4'`, "",
			` xmlns:x0='urn:p' x0:a='1' xmlns:x1='urn:p' x1:b='2' xmlns:x2='urn:q' x2:a='3' c='4'`},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, `{}`, "ann@localhost")
				w.incoming(`<message from='bob@elsewhere/x' to='ann@localhost'%s><body>x</body></message>`, test.attrs)
				ann := w.login("ann@localhost/phone")
				ann.send(`<presence/>`)
				synctest.Wait()
				got := slices.DeleteFunc(ann.take(), func(p packet.Packet) bool { return p.Name == "presence" })
				if len(got) != 1 {
					t.Fatalf("%d messages", len(got))
				}
				p := got[0]
				if p.Name != "message" || p.Lang != test.lang || p.Attrs != test.want {
					t.Errorf("%s, lang %q, attributes %q\nwant %q, %q", p.Name, p.Lang, p.Attrs, test.lang, test.want)
				}
			})
		})
	}
}

func TestWhatIsKept(t *testing.T) {
	for _, test := range []struct {
		name, args, message, want string
	}{
		{"a text", `{}`, `<message to='ann@localhost'><body>x</body></message>`, "kept"},
		{"only that somebody types", `{}`, `<message type='chat' to='ann@localhost'><composing xmlns='http://jabber.org/protocol/chatstates'/></message>`, "dropped"},
		{"a text, and that somebody types", `{}`, `<message to='ann@localhost'><body>x</body><active xmlns='http://jabber.org/protocol/chatstates'/></message>`, "kept"},
		{"a receipt", `{}`, `<message to='ann@localhost'><received xmlns='urn:xmpp:receipts' id='1'/></message>`, "kept"},
		{"not to be kept", `{}`, `<message to='ann@localhost'><body>x</body><no-store xmlns='urn:xmpp:hints'/></message>`, "dropped"},
		{"a chat state to be kept", `{}`, `<message type='chat' to='ann@localhost'><gone xmlns='http://jabber.org/protocol/chatstates'/><store xmlns='urn:xmpp:hints'/></message>`, "kept"},
		{"of a type that there is not", `{}`, `<message type='what' to='ann@localhost'><body>x</body></message>`, "kept"},
		{"groupchat", `{}`, `<message type='groupchat' to='ann@localhost'><body>x</body></message>`, "refused"},
		{"headline", `{}`, `<message type='headline' to='ann@localhost'><body>x</body></message>`, "dropped"},
		{"error", `{}`, `<message type='error' to='ann@localhost'><body>x</body></message>`, "dropped"},
		{"for nobody", `{}`, `<message to='nobody@localhost'><body>x</body></message>`, "dropped"},
		{"for nobody, and all are told", `{"tell_unknown":"all"}`, `<message to='nobody@localhost'><body>x</body></message>`, "refused"},
		{"for nobody, and nobody is told", `{"tell_unknown":"none"}`, `<message to='nobody@localhost'><body>x</body></message>`, "dropped"},
		{"none is kept", `{"offline":{"max":0}}`, `<message to='ann@localhost'><body>x</body></message>`, "refused"},
		{"too many", `{"offline":{"max":2}}`, `<message to='ann@localhost'><body>x</body></message>`, "refused"},
	} {
		bubble(t, test.name, func(t *testing.T) {
			w := newWorld(t, test.args, "ann@localhost")
			before := 0
			if test.name == "too many" {
				for range 2 {
					w.incoming(`<message to='ann@localhost' from='bob@elsewhere'><body>y</body></message>`)
				}
				before = 2
			}
			result := w.incoming("%s", strings.Replace(test.message, " to=", " from='bob@elsewhere' to=", 1))
			got := "dropped"
			switch kept := len(w.keptFor("ann@localhost")); {
			case result == packet.Refused && kept == before:
				got = "refused"
			case kept == before+1:
				got = "kept"
			}
			if got != test.want {
				t.Errorf("%s, want %s", got, test.want)
			}
			if told := w.elsewhere(); (len(told) > 0) != (test.want == "refused") {
				t.Errorf("its sender is told %q", told)
			}
		})
	}
}

// With stream management, messages leave storage when the client has
// acknowledged them, and a session that does not read holds up nobody else.
func TestOfflineMessagesAreAcknowledged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, `{}`, "ann@localhost")
		send := func(from, to int) {
			for i := from; i <= to; i++ {
				w.incoming(`<message type='chat' from='bob@elsewhere/x' to='ann@localhost'><body>%d</body></message>`, i)
			}
		}
		send(1, 60)
		ann := w.manage("ann@localhost/phone", false)
		ann.say(`<presence/>`)
		synctest.Wait()
		if kept := w.keptFor("ann@localhost"); len(kept) != 60 {
			t.Errorf("%d are in storage before any is acknowledged", len(kept))
		}
		send(61, 62) // goes behind those that she still has to read
		w.kill()
		synctest.Wait()
		for i := range 3 { // she reads some, and acknowledges when asked
			some := ann.take()
			for j := range some[:min(len(some), 10*i)] {
				ann.handle(&some[j])
			}
			ann.lose()
			ann.resume()
			synctest.Wait()
		}
		synctest.Wait()
		ann.read()
		ann.ack()
		synctest.Wait()
		ann.read()
		ann.ack()
		synctest.Wait()
		expect(t, "all", ann.bodies, numbers(1, 62)...)
		expect(t, "they leave storage", w.keptFor("ann@localhost"))
		send(63, 63)
		ann.read()
		expect(t, "what comes then", ann.bodies, numbers(1, 63)...)
	})
}

// A session that gets offline messages and dies leaves the rest to the next.
func TestOfflineMessagesGoToTheNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, `{"management":{"resume":"0s"}}`, "ann@localhost")
		for i := 1; i <= 60; i++ {
			w.incoming(`<message type='chat' from='bob@elsewhere/x' to='ann@localhost'><body>%d</body></message>`, i)
		}
		phone := w.login("ann@localhost/phone")
		phone.send(`<enable xmlns='%s' resume='true'/>`, ns.StreamManagement)
		phone.send(`<presence/>`)
		synctest.Wait()
		phone.take()
		phone.send(`<a xmlns='%s' h='21'/>`, ns.StreamManagement) // her presence and 20 messages
		tablet := w.available("ann@localhost/tablet", 0)
		w.incoming(`<message type='chat' from='eve@elsewhere/x' to='ann@localhost'><body>new</body></message>`)
		expect(t, "the other session is not held up", bodies(tablet.take()), "new")
		phone.lose()
		synctest.Wait()
		expect(t, "what the first has not acknowledged", bodies(tablet.take()), numbers(21, 60)...)
		expect(t, "storage", w.keptFor("ann@localhost"))
	})
}

// What is stored while a session becomes available is not left behind.
func TestMessageWhileComing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, `{}`, "ann@localhost")
		var store asker
		reached, release := make(chan struct{}), make(chan struct{})
		store = w.storage(func(ctx context.Context, q *packet.Packet) (*packet.Packet, error) {
			if q.Name == "batch" {
				close(reached)
				<-release
			}
			return store(ctx, q)
		})
		go w.incoming(`<message type='chat' from='bob@elsewhere/x' to='ann@localhost'><body>1</body></message>`)
		<-reached
		ann := w.available("ann@localhost/phone", 0)
		w.storage(store)
		go w.incoming(`<message type='chat' from='bob@elsewhere/x' to='ann@localhost'><body>2</body></message>`)
		synctest.Wait()
		close(release)
		synctest.Wait()
		expect(t, "both", bodies(ann.take()), "1", "2")
		expect(t, "storage", w.keptFor("ann@localhost"))
	})
}

// Whatever dies or is cut, who comes and goes gets what was sent to it once and
// in order, be it stored or not.
func TestOfflineExactlyOnce(t *testing.T) {
	t.Parallel()
	property(t, func(t *testing.T, r *rapid.T) {
		w := newWorld(t, `{"management":{"queue":24}}`, "ann@localhost", "bob@localhost")
		ann, bob := w.manage("ann@localhost/phone", true), (*client)(nil)
		said, before := 0, []string(nil)
		revive := func() {
			w.die(0)
			if w.env.dead.Load() {
				w.kill()
			}
		}
		come := func() {
			revive()
			synctest.Wait()
			if bob == nil {
				bob = w.manage("bob@localhost/desk", true)
			}
		}
		r.Repeat(map[string]func(*rapid.T){
			"say": func(r *rapid.T) {
				for n := range rapid.IntRange(1, 20).Draw(r, "messages") {
					if bob != nil && n%10 == 0 { // more than its queue holds would end it
						revive()
						synctest.Wait()
						bob.read()
						bob.ack()
					}
					said++
					ann.say(`<message to='bob@localhost' type='chat'><body>%d</body></message>`, said)
				}
			},
			"come": func(*rapid.T) { come() },
			"leave": func(r *rapid.T) { // having read all, or just so
				revive()
				if bob == nil {
					return
				}
				synctest.Wait()
				bob.read()
				bob.ack()
				switch rapid.IntRange(0, 2).Draw(r, "how") {
				case 0:
					bob.close()
				case 1:
					bob.lose()
					for range 12 { // until it is given up
						time.Sleep(55 * time.Second)
						ann.read()
					}
				case 2:
					bob.say(`<presence type='unavailable'/>`)
					bob.read()
					bob.ack()
					bob.close()
				}
				before = append(before, bob.bodies...)
				bob = nil
			},
			"toggle": func(*rapid.T) {
				if bob != nil {
					bob.say(`<presence type='unavailable'/>`)
					bob.say(`<presence/>`)
				}
			},
			"read": func(*rapid.T) {
				synctest.Wait()
				ann.read()
				if bob != nil {
					bob.read()
				}
			},
			"ack": func(*rapid.T) {
				ann.request()
				if bob != nil {
					bob.ack()
				}
			},
			"die": func(r *rapid.T) {
				revive()
				w.die(rapid.IntRange(1, 60).Draw(r, "after"))
			},
			"kill": func(*rapid.T) { revive(); w.kill() },
			"cut": func(*rapid.T) {
				revive()
				ann.read()
				ann.vanish()
				ann.resume()
				if bob != nil {
					bob.lose()
					bob.resume()
				}
			},
			"": func(*rapid.T) {},
		})
		come()
		for range said/12 + 4 {
			synctest.Wait()
			ann.read()
			ann.request()
			bob.read()
			bob.ack()
		}
		if got := append(before, bob.bodies...); !slices.Equal(got, numbers(1, said)) {
			r.Errorf("bob got %q of %d", got, said)
		}
		if kept := w.keptFor("bob@localhost"); len(kept) > 0 {
			r.Errorf("in storage there are still %q", kept)
		}
		if ends := append(bob.ends, ann.ends...); len(ends) > 0 {
			r.Errorf("streams end with %q", ends)
		}
	})
}

// That an account exists is asked once in a while, and again when it is removed.
func TestAnAccountIsAskedForOnceInAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, `{}`, "ann@localhost")
		asked := 0
		store := w.storage(nil)
		w.storage(func(ctx context.Context, q *packet.Packet) (*packet.Packet, error) {
			if q.NS == "auth" {
				asked++
			}
			return store(ctx, q)
		})
		come := func(n, want int) {
			t.Helper()
			for range n {
				if o := w.incoming(`<message from='bob@elsewhere' to='ann@localhost'><body>x</body></message>`); o != packet.Claimed {
					t.Errorf("the message ended %v", o)
				}
			}
			if asked != want {
				t.Errorf("asked %d times, want %d", asked, want)
			}
			time.Sleep(time.Second)
		}
		come(3, 1)
		come(3, 1)
		time.Sleep(time.Minute)
		come(1, 2)
		if err := w.store.Drop(context.Background(), "ann@localhost", "auth", ""); err != nil {
			t.Fatal(err)
		}
		w.incoming(`<iq type='set' id='1' from='%s' to='localhost'><forget xmlns='%s' of='ann@localhost'/></iq>`, packet.ServerHost, sessions.NS)
		before := len(w.keptFor("ann@localhost"))
		come(1, 3)
		if kept := len(w.keptFor("ann@localhost")); kept != before {
			t.Error("a message is kept for an account that is gone")
		}
	})
}
