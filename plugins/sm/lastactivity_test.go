package sm_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jabberii/server/jabberd/packet"
)

const askLast = "<iq type='get' id='l' to='%s' from='bob@elsewhere/x'><query xmlns='jabber:iq:last'/></iq>"

// XEP-0012 section 4: when an account was there last, and what it said then.
func TestLastActivityOfAnAccount(t *testing.T) {
	const result = "iq:result ann@localhost>bob@elsewhere/x "
	for name, test := range map[string]struct {
		leave func(*world, *conn)
		want  string
	}{
		"never was there": {nil, "iq:error ann@localhost>bob@elsewhere/x item-not-found"},
		"is there":        {func(*world, *conn) {}, result + "<query seconds='0'/>"},
		"says goodbye":    {func(_ *world, c *conn) { c.send(`<presence type='unavailable'><status>bye</status></presence>`) }, result + "<query seconds='90'>bye</query>"},
		"closes":          {func(_ *world, c *conn) { c.close() }, result + "<query seconds='90'/>"},
		"is lost":         {func(_ *world, c *conn) { c.lose() }, result + "<query seconds='90'/>"},
		"is there twice":  {func(w *world, c *conn) { w.available("ann@localhost/desk", -1); c.close() }, result + "<query seconds='0'/>"},
		"is there unseen": {func(w *world, c *conn) { w.login("ann@localhost/desk"); c.close() }, result + "<query seconds='90'/>"},
		"closes after goodbye": {func(_ *world, c *conn) {
			c.send(`<presence type='unavailable'><status>bye</status></presence>`)
			c.close()
		}, result + "<query seconds='90'>bye</query>"},
	} {
		bubble(t, name, func(t *testing.T) {
			w := newWorld(t, `{}`, "ann@localhost")
			w.item("ann@localhost", "bob@elsewhere", "from")
			if test.leave != nil {
				test.leave(w, w.available("ann@localhost/phone", 0))
			}
			synctest.Wait()
			time.Sleep(90 * time.Second)
			for range 2 { // also after sm was restarted
				w.elsewhere()
				w.incoming(askLast, "ann@localhost")
				expect(t, name, w.elsewhere(), test.want)
				w.kill()
			}
		})
	}
}

// Who may not see the presence of an account is told nothing, be it of the
// account or of a session (sections 4 and 5).
func TestLastActivityIsForSubscribers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, `{}`, "ann@localhost")
		ann := w.available("ann@localhost/phone", 0)
		for _, to := range []string{"ann@localhost", "ann@localhost/phone", "ann@localhost/gone", "nobody@localhost", "nobody@localhost/x"} {
			w.incoming(askLast, to)
			expect(t, to, w.elsewhere(), "iq:error "+to+">bob@elsewhere/x forbidden")
		}
		expect(t, "her client", ann.got())
		ann.send(`<presence type='subscribed' to='bob@elsewhere'/>`)
		w.incoming(`<presence type='subscribe' from='bob@elsewhere' to='ann@localhost'/>`)
		w.elsewhere()
		ann.take()
		w.incoming(askLast, "ann@localhost/phone")
		expect(t, "a subscriber reaches her client", ann.got(), "iq:get bob@elsewhere/x>ann@localhost/phone <query/>")
		ann.send(`<iq type='get' id='1' to='ann@localhost'><query xmlns='jabber:iq:last'/></iq>`)
		expect(t, "she herself", ann.got(), "iq:result ann@localhost>ann@localhost/phone <query seconds='0'/>")
	})
}

// A subscriber from whom a privacy list keeps the presence of an account learns no
// more than one who asks while it is away (sections 4 and 7).
func TestLastActivityOfWhoHides(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, `{}`, "ann@localhost")
		w.item("ann@localhost", "bob@elsewhere", "from")
		w.available("ann@localhost/phone", 0).close()
		synctest.Wait()
		time.Sleep(90 * time.Second)
		ann := w.available("ann@localhost/phone", 0)
		ann.send(`<iq type='set' id='1'><query xmlns='jabber:iq:privacy'><list name='l'><item action='deny' order='1'><presence-out/></item></list></query></iq>`)
		ann.send(`<iq type='set' id='2'><query xmlns='jabber:iq:privacy'><active name='l'/></query></iq>`)
		ann.take()
		w.elsewhere()
		w.incoming(askLast, "ann@localhost")
		expect(t, "the account", w.elsewhere(), "iq:result ann@localhost>bob@elsewhere/x <query seconds='90'/>")
		for _, resource := range []string{"phone", "gone"} {
			w.incoming(askLast, "ann@localhost/"+resource)
			expect(t, resource, w.elsewhere(), "iq:error ann@localhost/"+resource+">bob@elsewhere/x service-unavailable")
		}
		w.incoming(`<iq type='get' id='l' to='ann@localhost' from='bob@elsewhere/x'><query xmlns='http://jabber.org/protocol/disco#items'/></iq>`)
		expect(t, "items", w.elsewhere(), "iq:result ann@localhost>bob@elsewhere/x <query/>")
		expect(t, "her client", ann.got())
		ann.send(`<iq type='set' id='3'><query xmlns='jabber:iq:privacy'><active/></query></iq>`)
		w.elsewhere()
		w.incoming(askLast, "ann@localhost")
		expect(t, "she no longer hides", w.elsewhere(), "iq:result ann@localhost>bob@elsewhere/x <query seconds='0'/>")
	})
}

// What is kept of an account goes with it, however late it was written; and
// nothing waits for storage that does not answer.
func TestLastActivityIsRemoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, `{}`, "ann@localhost")
		blocked := make(chan struct{})
		var real asker
		real = w.storage(func(ctx context.Context, q *packet.Packet) (*packet.Packet, error) {
			if q.NS == "last" && q.Name == "put" {
				<-blocked
			}
			return real(ctx, q)
		})
		ann := w.available("ann@localhost/phone", 0)
		ann.close() // goes on though storage does not
		again := w.available("ann@localhost/phone", 0)
		synctest.Wait()
		done := make(chan packet.Result)
		go func() {
			p := parse(t, "<iq type='set' id='1' from='jabberd.alt' to='localhost'><forget xmlns='urn:jabberd:sessions' of='ann@localhost'/></iq>")
			p.Kind = packet.Normal
			o, _ := w.env.enter(p)
			done <- o.Result
		}()
		synctest.Wait()
		close(blocked)
		if result := <-done; result != packet.Claimed {
			t.Fatalf("removal ends %v", result)
		}
		synctest.Wait()
		expect(t, "her session", again.got(), "end:not-authorized")
		if items, err := w.store.GetAll(t.Context(), "ann@localhost", "last"); err != nil || len(items) > 0 {
			t.Errorf("in storage is %v, %v", items, err)
		}
	})
}
