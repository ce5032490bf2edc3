package sm_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/xmpp/ns"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

// A friend asks for the roster, says yes to all who ask to be let in, and keeps
// what it is told of its contacts.
type friend struct {
	c     *conn
	knows map[string]string // by contact: the subscription, and who waits
	sees  map[string]bool   // contacts that are there
}

// listen takes in what has come, and reports whether there was anything.
func (f *friend) listen() bool {
	in := f.c.take()
	for i := range in {
		p := &in[i]
		switch {
		case p.Name == "presence" && p.Type == "subscribe":
			f.c.send(`<presence type='subscribed' to='%s'/>`, packet.Bare(p.From))
		case p.Name == "presence" && p.Type == "":
			f.sees[packet.Bare(p.From)] = true
		case p.Name == "iq" && p.Type == "set":
			query, _ := xml.First(p.Body, ns.Client)
			if item, ok := query.Find("item", ns.Roster); ok {
				f.knows[item.Attr("jid")] = strings.TrimSpace(item.Attr("subscription") + " " + item.Attr("ask"))
			}
		}
	}
	return len(in) > 0
}

// The session manager dies at each packet while two accounts of a host subscribe
// to each other, or a contact is removed: what clients and storage know of it in
// the end is the same as if it had not. No answer that one has given is lost
// because the process died that was about to pass it on.
func TestSubscriptionsOutliveDeath(t *testing.T) {
	t.Parallel()
	acts := map[string]struct {
		before string // subscription of both
		do     func(ann, bob *friend)
		want   string // of ann's roster, of bob's
	}{
		"both ask": {"", func(ann, bob *friend) {
			ann.c.send(`<presence type='subscribe' to='bob@localhost'/>`)
			bob.c.send(`<presence type='subscribe' to='ann@localhost'/>`)
		}, "both both"},
		"one asks": {"", func(ann, _ *friend) { ann.c.send(`<presence type='subscribe' to='bob@localhost'/>`) }, "to from"},
		"one takes back what it granted": {"both", func(ann, _ *friend) {
			ann.c.send(`<presence type='unsubscribed' to='bob@localhost'/>`)
		}, "to from"},
		"one sees enough": {"both", func(ann, _ *friend) {
			ann.c.send(`<presence type='unsubscribe' to='bob@localhost'/>`)
		}, "from to"},
		"one removes the other": {"both", func(ann, _ *friend) {
			ann.c.send(`<iq type='set' id='1'><query xmlns='jabber:iq:roster'><item jid='bob@localhost' subscription='remove'/></query></iq>`)
		}, "remove none"},
	}
	for name, act := range acts {
		for _, managed := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, managed %v", name, managed), func(t *testing.T) {
				for at, died := 1, true; died; at++ {
					synctest.Test(t, func(t *testing.T) {
						w := newWorld(t, "{}", "ann@localhost", "bob@localhost")
						if act.before != "" {
							w.befriend("ann@localhost", "bob@localhost")
						}
						ann, bob := w.friend("ann@localhost/x", managed), w.friend("bob@localhost/x", managed)
						w.die(at)
						act.do(ann, bob)
						for !w.env.dead.Load() && (ann.listen() || bob.listen()) {
						}
						w.die(0)
						if died = w.env.dead.Load(); died {
							w.kill()
						}
						for ann.listen() || bob.listen() {
						}
						got := ann.knows["bob@localhost"] + " " + bob.knows["ann@localhost"]
						if got != act.want {
							t.Errorf("death at %d: clients know %q, want %q", at, got, act.want)
						}
						if asked := act.before == ""; asked && !ann.sees["bob@localhost"] || name == "both ask" && !bob.sees["ann@localhost"] {
							t.Errorf("death at %d: ann sees %v, bob sees %v", at, ann.sees, bob.sees)
						}
						for i, owner := range []string{"ann@localhost", "bob@localhost"} {
							other := []string{"bob@localhost", "ann@localhost"}[i]
							want := strings.Replace(strings.Fields(act.want)[i], "remove", "", 1)
							if got := w.stored(owner, other); got != want {
								t.Errorf("death at %d: %s has %q in storage, want %q", at, owner, got, want)
							}
						}
					})
				}
			})
		}
	}
}

// friend logs a friend in.
func (w *world) friend(full string, managed bool) *friend {
	w.t.Helper()
	f := &friend{knows: map[string]string{}, sees: map[string]bool{}}
	if managed {
		f.c = w.manage(full, false).conn
	} else {
		f.c = w.login(full)
	}
	f.c.send(rosterGet)
	f.c.send(`<presence/>`)
	f.c.take()
	return f
}

// stored returns the subscription of a contact in storage, "" if it is not there.
func (w *world) stored(owner, contact string) string {
	w.t.Helper()
	it, _, err := w.store.Get(context.Background(), owner, "roster", contact)
	if err != nil {
		w.t.Fatal(err)
	}
	item, _ := xml.First(it.Value, ns.Roster)
	return item.Attr("subscription")
}
