package sm_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sdk/xdb"
	"github.com/jabberii/server/plugins/xmpp/ns"
)

// comes delivers a stanza from another domain that says where it comes from,
// with a number, and again if it is redelivered.
func (w *world) comes(number uint64, flags packet.Flags, format string, args ...any) packet.Result {
	w.t.Helper()
	p := parse(w.t, fmt.Sprintf(format, args...))
	p.Kind, p.Flags, p.Seq = packet.Normal, flags, number
	if number > 0 {
		p.Near = packet.Token{Host: "elsewhere", Section: "x", Slot: 1, Incarnation: 1}
	}
	o, _ := w.env.enter(p)
	return o.Result
}

// A message that comes again after a death is stored once.
func TestStoredOnce(t *testing.T) {
	const message = `<message type='chat' id='%s' from='bob@elsewhere/x' to='ann@localhost'><body>%s</body></message>`
	type arrival struct {
		number   uint64
		id, body string
	}
	for _, test := range []struct {
		name   string
		before []arrival
		again  arrival
		kept   int
	}{
		{"by where it comes from", []arrival{{1, "", "x"}}, arrival{1, "", "x"}, 1},
		{"the next is another", []arrival{{1, "", "x"}}, arrival{2, "", "x"}, 2},
		{"one before the last", []arrival{{1, "", "x"}, {2, "", "y"}}, arrival{1, "", "x"}, 2},
		{"by its id", []arrival{{0, "a", "x"}}, arrival{0, "a", "x"}, 1},
		{"by its id, behind another", []arrival{{0, "a", "x"}, {0, "b", "x"}}, arrival{0, "a", "x"}, 2},
		{"another id", []arrival{{0, "a", "x"}}, arrival{0, "b", "x"}, 2},
		{"an id used for something else", []arrival{{0, "a", "x"}}, arrival{0, "a", "y"}, 2},
		{"nothing tells", []arrival{{0, "", "x"}}, arrival{0, "", "x"}, 2},
	} {
		bubble(t, test.name, func(t *testing.T) {
			w := newWorld(t, `{}`, "ann@localhost")
			for _, a := range test.before {
				w.comes(a.number, 0, message, a.id, a.body)
			}
			w.kill()
			if got := w.comes(test.again.number, packet.Redelivered, message, test.again.id, test.again.body); got != packet.Claimed {
				t.Errorf("it ended %v", got)
			}
			if kept := w.keptFor("ann@localhost"); len(kept) != test.kept {
				t.Errorf("kept %q", kept)
			}
		})
	}
}

// What comes again is found behind many others, and when no more are kept.
func TestStoredOnceAmongMany(t *testing.T) {
	t.Parallel()
	const message = `<message type='chat' id='%d' from='bob@elsewhere/x' to='ann@localhost'><body>%d</body></message>`
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, `{"offline":{"max":250}}`, "ann@localhost")
		for i := 1; i <= 250; i++ {
			w.comes(0, 0, message, i, i)
		}
		w.kill()
		for i := 1; i <= 250; i++ {
			if got := w.comes(0, packet.Redelivered, message, i, i); got != packet.Claimed {
				t.Fatalf("message %d ended %v", i, got)
			}
		}
		if kept := w.keptFor("ann@localhost"); len(kept) != 250 {
			t.Errorf("%d are kept", len(kept))
		}
	})
}

// What a client has got out of storage does not come again when its sender's
// process repeats it, nor when sm dies before storage has forgotten it.
func TestGivenOnce(t *testing.T) {
	const message = `<message type='chat' from='bob@elsewhere/x' to='ann@localhost'><body>%d</body></message>`
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, `{}`, "ann@localhost")
		for i := uint64(1); i <= 3; i++ {
			w.comes(i, 0, message, i)
		}
		var store asker
		store = w.storage(func(ctx context.Context, q *packet.Packet) (*packet.Packet, error) {
			if strings.Contains(string(q.Body), "<delete") {
				return nil, packet.Refuse("internal-server-error", "")
			}
			return store(ctx, q)
		})
		ann := w.manage("ann@localhost/phone", true)
		synctest.Wait()
		ann.read()
		ann.ack()
		expect(t, "out of storage", ann.bodies, "1", "2", "3")
		w.storage(store)
		if kept := w.keptFor("ann@localhost"); len(kept) != 3 {
			t.Fatalf("storage has forgotten: %q", kept)
		}
		time.Sleep(time.Second) // the journal has her acknowledgement
		w.kill()
		for i := uint64(1); i <= 4; i++ {
			w.comes(i, packet.Redelivered, message, i)
		}
		synctest.Wait()
		ann.read()
		ann.ack()
		expect(t, "after the death", ann.bodies, "1", "2", "3", "4")
		expect(t, "storage", w.keptFor("ann@localhost"))
	})
}

// The messages that an ended session leaves are stored once, at whatever step
// of that sm dies, and are not taken for those that its client has sent.
func TestDeathWhileBurying(t *testing.T) {
	for after := 1; after <= 12; after++ {
		bubble(t, fmt.Sprint(after), func(t *testing.T) {
			w := newWorld(t, `{}`, "ann@localhost")
			ann := w.manage("ann@localhost/phone", true)
			tablet := w.available("ann@localhost/tablet", -1)
			tablet.send(`<enable xmlns='%s' resume='true'/>`, ns.StreamManagement)
			for range 9 {
				ann.say(`<message type='headline' to='ann@localhost/tablet'/>`)
			}
			for i := 1; i <= 3; i++ {
				w.incoming(`<message type='chat' from='bob@elsewhere/x' to='ann@localhost'><body>%d</body></message>`, i)
			}
			tablet.close()
			ann.lose()
			w.die(after)
			time.Sleep(11 * time.Minute)
			w.die(0)
			w.kill()
			time.Sleep(11 * time.Minute)
			ann.begin(true)
			synctest.Wait()
			ann.read()
			expect(t, "she gets", ann.bodies, "1", "2", "3")
		})
	}
}

// However many send at once, no more are kept than should be; the others learn
// that theirs is not.
func TestFloodOfOfflineMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, `{"offline":{"max":20}}`, "ann@localhost")
		var store asker
		store = w.storage(func(ctx context.Context, q *packet.Packet) (*packet.Packet, error) {
			time.Sleep(time.Millisecond)
			return store(ctx, q)
		})
		results := map[packet.Result]int{}
		var mu sync.Mutex
		for i := range 200 {
			go func() {
				got := w.incoming(`<message type='chat' id='%d' from='u%d@elsewhere/x' to='ann@localhost'><body>x</body></message>`, i, i)
				mu.Lock()
				defer mu.Unlock()
				results[got]++
			}()
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if results[packet.Claimed] != 20 || results[packet.Refused] != 180 {
			t.Errorf("they ended %v", results)
		}
		if kept := w.keptFor("ann@localhost"); len(kept) != 20 {
			t.Errorf("%d are kept", len(kept))
		}
		told := w.elsewhere()
		for _, s := range told {
			if !strings.HasPrefix(s, "message:error ann@localhost>u") || !strings.HasSuffix(s, "service-unavailable") {
				t.Errorf("a sender is told %s", s)
			}
		}
		if len(told) != 180 {
			t.Errorf("%d senders are told", len(told))
		}
		w.storage(store)
		ann := w.available("ann@localhost/phone", 0)
		synctest.Wait()
		ann.close()
		if got := w.incoming(`<message type='chat' from='u0@elsewhere/x' to='ann@localhost'><body>x</body></message>`); got != packet.Claimed {
			t.Errorf("with room again one ended %v", got)
		}
	})
}

// Offline messages leave room in the queue of a session for what else there is,
// and the client is asked for each half of it.
func TestOfflineMessagesLeaveRoom(t *testing.T) {
	for name, args := range map[string]string{
		"by number": `{"management":{"queue":10,"request":1000}}`,
		"by size":   `{"management":{"size":"8KiB","request":1000}}`,
	} {
		bubble(t, name, func(t *testing.T) {
			w := newWorld(t, args, "ann@localhost")
			for i := 1; i <= 40; i++ {
				w.incoming(`<message type='chat' from='bob@elsewhere/x' to='ann@localhost'><body>%d</body></message>`, i)
			}
			ann := w.manage("ann@localhost/phone", false)
			ann.say(`<presence/>`)
			synctest.Wait()
			got := ann.conn.take()
			if n := len(got); n < 4 || n > 12 || got[n-1].Name != "r" {
				t.Fatalf("at first %d come, the last is %s", n, text(&got[n-1]))
			}
			w.incoming(`<iq type='get' id='1' from='bob@elsewhere/x' to='ann@localhost/phone'><ping xmlns='urn:xmpp:ping'/></iq>`)
			expect(t, "others get through", ann.conn.got(), "iq:get bob@elsewhere/x>ann@localhost/phone <ping/>")
			w.incoming(`<message type='chat' from='bob@elsewhere/x' to='ann@localhost/phone'><body>41</body></message>`)
			for i := range got {
				ann.handle(&got[i])
			}
			ann.h++ // the request
			for range 20 {
				synctest.Wait()
				ann.read()
				ann.ack()
			}
			expect(t, "all, in order", ann.bodies, numbers(1, 41)...)
			expect(t, "storage", w.keptFor("ann@localhost"))
			expect(t, "her stream", ann.ends)
		})
	}
}

// What one session has not acknowledged is not lost because another has what
// came later.
func TestStoredForTwoSessions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, `{}`, "ann@localhost")
		keep := func(from, to int) {
			for i := from; i <= to; i++ {
				w.incoming(`<message type='chat' from='bob@elsewhere/x' to='ann@localhost'><body>%d</body></message>`, i)
			}
		}
		keep(1, 3)
		phone := w.manage("ann@localhost/phone", false)
		phone.say(`<presence/>`)
		synctest.Wait()
		phone.say(`<presence type='unavailable'/>`) // it has not read
		keep(4, 6)
		tablet := w.manage("ann@localhost/tablet", true)
		synctest.Wait()
		tablet.read()
		tablet.ack()
		expect(t, "the tablet", tablet.bodies, "4", "5", "6")
		if kept := w.keptFor("ann@localhost"); len(kept) != 3 {
			t.Errorf("kept %q", kept)
		}
		phone.lose()
		time.Sleep(9 * time.Minute)
		tablet.read()
		expect(t, "while the phone may come back", tablet.bodies, "4", "5", "6")
		for range 3 {
			time.Sleep(50 * time.Second)
			tablet.read()
		}
		expect(t, "without the phone", tablet.bodies, "4", "5", "6", "1", "2", "3")
		tablet.ack()
		expect(t, "storage", w.keptFor("ann@localhost"))
	})
}

// What a client acknowledges while storage is read is not taken for what has not
// been given, although it is in what was read.
func TestAcknowledgedWhileReading(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, `{"management":{"queue":10}}`, "ann@localhost")
		for i := 1; i <= 9; i++ {
			w.incoming(`<message type='chat' from='bob@elsewhere/x' to='ann@localhost'><body>%d</body></message>`, i)
		}
		ann := w.manage("ann@localhost/phone", false)
		ann.say(`<presence/>`)
		synctest.Wait()
		var store asker
		acks := 0
		store = w.storage(func(ctx context.Context, q *packet.Packet) (*packet.Packet, error) {
			answer, err := store(ctx, q)
			if q.Name == "query" && acks == 0 {
				acks++
				ann.read()
				ann.ack()
			}
			return answer, err
		})
		ann.say(`<presence type='unavailable'/>`)
		ann.say(`<presence/>`)
		for range 9 {
			synctest.Wait()
			ann.read()
			ann.ack()
		}
		if acks == 0 {
			t.Error("storage was not read")
		}
		expect(t, "once", ann.bodies, numbers(1, 9)...)
		expect(t, "storage", w.keptFor("ann@localhost"))
	})
}

// Keys go on from those in storage, so that order does not hang on the clock.
func TestKeysGoOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, `{}`, "ann@localhost")
		ahead := xdb.At(time.Now().Add(time.Minute)).String()
		if err := w.store.Batch(context.Background(), "ann@localhost", []xdb.Change{{
			Op: xdb.Append, NS: "offline", Key: ahead, With: "bob@elsewhere",
			Value: []byte(`<message xmlns='jabber:client' to='ann@localhost' from='bob@elsewhere/x' type='chat'><body>1</body></message>`),
		}}); err != nil {
			t.Fatal(err)
		}
		w.incoming(`<message type='chat' from='bob@elsewhere/x' to='ann@localhost'><body>2</body></message>`)
		ann := w.manage("ann@localhost/phone", true)
		synctest.Wait()
		ann.read()
		expect(t, "in order", ann.bodies, "1", "2")
	})
}

// While storage is away sm goes on: sessions of before are there soon, messages
// between them get through, and what is in storage comes when it can.
func TestRecoveryWithoutStorage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, `{"management":{"timeout":"1h"}}`, "ann@localhost", "bob@localhost")
		w.befriend("ann@localhost", "bob@localhost")
		for i := 1; i <= 3; i++ {
			w.incoming(`<message type='chat' from='bob@elsewhere/x' to='bob@localhost'><body>%d</body></message>`, i)
		}
		ann := w.manage("ann@localhost/phone", true)
		bob := w.manage("bob@localhost/desk", false)
		w.die(1) // nothing of this is done
		bob.say(`<presence/>`)
		w.die(0)
		store := w.storage(func(ctx context.Context, q *packet.Packet) (*packet.Packet, error) {
			limit, cancel := context.WithTimeout(ctx, 30*time.Second)
			defer cancel()
			<-limit.Done()
			return nil, packet.Refuse("remote-server-timeout", "")
		})
		go w.kill()
		time.Sleep(45 * time.Second)
		ann.conn.send(`<r xmlns='%s'/>`, ns.StreamManagement)
		time.Sleep(time.Second)
		if got := ann.got(); len(got) == 0 || !strings.HasPrefix(got[len(got)-1], "a h=") {
			t.Errorf("ann's session is not there: %q", got)
		}
		w.incoming(`<message type='chat' from='carl@elsewhere/x' to='ann@localhost'><body>live</body></message>`)
		ann.read()
		expect(t, "ann", ann.bodies, "live")
		w.storage(store)
		bob.say(`<presence/>`)
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		bob.read()
		expect(t, "bob, with storage back", bob.bodies, "1", "2", "3")
	})
}

// A session that no longer takes messages to the account gets no more of those that were
// kept (RFC 6121 section 8.5.2.1.1): they go to another, or wait.
func TestNegativeAmidASpool(t *testing.T) {
	for _, other := range []bool{false, true} {
		bubble(t, fmt.Sprint("another is there: ", other), func(t *testing.T) {
			w := newWorld(t, `{"management":{"queue":10}}`, "ann@localhost")
			for i := 1; i <= 40; i++ {
				w.incoming(`<message type='chat' from='bob@elsewhere/x' to='ann@localhost'><body>%d</body></message>`, i)
			}
			ann := w.manage("ann@localhost/phone", false)
			ann.say(`<presence/>`)
			synctest.Wait()
			for _, p := range ann.take() {
				if p.NS == "" { // it is in no hurry to acknowledge
					ann.handle(&p)
				}
			}
			had := len(ann.bodies)
			if had == 0 || had > 5 {
				t.Fatalf("at first come %q", ann.bodies)
			}
			var desk *conn
			if other {
				desk = w.login("ann@localhost/desk")
				desk.send(`<presence/>`)
			}
			ann.say(`<presence><priority>-1</priority></presence>`)
			synctest.Wait()
			for range 4 {
				ann.read()
				ann.ack()
				synctest.Wait()
			}
			if len(ann.bodies) != had {
				t.Errorf("with a negative priority it gets %q", ann.bodies[had:])
			}
			if other {
				expect(t, "the other gets", bodies(desk.take()), numbers(had+1, 40)...)
			} else if kept := w.keptFor("ann@localhost"); len(kept) != 40-had {
				t.Errorf("kept %q", kept)
			}
			ann.say(`<presence/>`)
			synctest.Wait()
			for range 20 {
				ann.read()
				ann.ack()
				synctest.Wait()
			}
			if !other {
				expect(t, "it comes back", ann.bodies, numbers(1, 40)...)
			}
		})
	}
}
