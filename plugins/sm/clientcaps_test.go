package sm_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/jabberii/server/plugins/xmpp/ns"
)

const (
	optimized = `{"caps":{"optimize":true}}`
	caps      = "<c xmlns='" + ns.Caps + "' node='x' ver='1'/>"
	newCaps   = "<c xmlns='" + ns.Caps + "' node='x' ver='2'/>"
	isCaps    = "<c node='x' ver='1'/>"
	isNewCaps = "<c node='x' ver='2'/>"
)

// XEP-0115 section 8.4: who has had what a client announces does not get it
// again, and who has not does, also if the client has said it only once.
func TestCapsAreOptimized(t *testing.T) {
	const fromAnn = "presence ann@localhost/phone>"
	for _, test := range []struct {
		name, args        string
		says              string // after a presence with caps
		subscribers, asks string // what they get
	}{
		{"the same", optimized, "<show>dnd</show>" + caps, "<show>dnd</show>", "<show>dnd</show>" + isCaps},
		{"nothing", optimized, "<show>dnd</show>", "<show>dnd</show>", "<show>dnd</show>" + isCaps},
		{"only that", optimized, caps, "", isCaps},
		{"another", optimized, newCaps + "<show>dnd</show>", isNewCaps + "<show>dnd</show>", isNewCaps + "<show>dnd</show>"},
		{"one more", optimized, caps + newCaps, isCaps + isNewCaps, isCaps + isNewCaps},
		{"not optimised", `{}`, "<show>dnd</show>" + caps, "<show>dnd</show>" + isCaps, "<show>dnd</show>" + isCaps},
		{"not optimised, nothing", `{}`, "<show>dnd</show>", "<show>dnd</show>", "<show>dnd</show>"},
	} {
		bubble(t, test.name, func(t *testing.T) {
			w := newWorld(t, test.args, "ann@localhost")
			w.item("ann@localhost", "bob@elsewhere", "both")
			ann, tablet := w.login("ann@localhost/phone"), w.available("ann@localhost/tablet", 0)
			w.elsewhere()
			presence := func(to, content string) string { return strings.TrimSpace(fromAnn + to + " " + content) }
			ann.send(`<presence>%s</presence>`, caps)
			expect(t, "the first", sorted(w.elsewhere()), presence("bob@elsewhere", isCaps), "presence:probe ann@localhost/phone>bob@elsewhere")
			expect(t, "the first, of her own", tablet.got(), presence("ann@localhost", isCaps))
			ann.send(`<presence>%s</presence>`, test.says)
			expect(t, "subscribers", w.elsewhere(), presence("bob@elsewhere", test.subscribers))
			expect(t, "her own", tablet.got(), presence("ann@localhost", test.subscribers))

			w.incoming(`<presence from='bob@elsewhere/late' to='ann@localhost' type='probe'/>`)
			expect(t, "a probe", sorted(w.elsewhere()), presence("bob@elsewhere/late", test.asks), "presence ann@localhost/tablet>bob@elsewhere/late <priority>0</priority>")
			watch := w.login("ann@localhost/watch")
			watch.send(`<presence/>`)
			if got := watch.got(); !contains(got, presence("ann@localhost/watch", test.asks)) {
				t.Errorf("another of her own: %q", got)
			}
			w.elsewhere()
			ann.send(`<presence type='subscribed' to='cat@elsewhere'/>`)
			w.incoming(`<presence type='subscribe' from='cat@elsewhere' to='ann@localhost'/>`)
			if got := w.elsewhere(); !contains(got, presence("cat@elsewhere", test.asks)) {
				t.Errorf("a new subscriber: %q", got)
			}
			ann.send(`<presence to='room@elsewhere/ann'>%s</presence>`, caps)
			expect(t, "directed", w.elsewhere(), presence("room@elsewhere/ann", isCaps))
			ann.send(`<presence type='unavailable'/>`)
			w.elsewhere()
			ann.send(`<presence>%s</presence>`, caps)
			if got := w.elsewhere(); !contains(got, presence("bob@elsewhere", isCaps)) {
				t.Errorf("after she was gone: %q", got)
			}
		})
	}
}

// Who a privacy list lets in may have had no presence before.
func TestCapsWithPrivacyLists(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, optimized, "ann@localhost")
		w.item("ann@localhost", "bob@elsewhere", "both")
		ann := w.login(annPhone)
		ann.lists("set", "<list name='l'><item type='group' value='friends' action='allow' order='1'/><item action='deny' order='2'><presence-out/></item></list>")
		ann.lists("set", "<default name='l'/>")
		ann.send(`<presence>%s</presence>`, caps)
		for _, s := range w.elsewhere() {
			if strings.Contains(s, isCaps) {
				t.Errorf("bob is no friend: %s", s)
			}
		}
		ann.send(rosterSet, "<item jid='bob@elsewhere'><group>friends</group></item>")
		w.elsewhere()
		ann.send(`<presence><show>dnd</show>%s</presence>`, caps)
		expect(t, "a friend", w.elsewhere(), "presence "+annPhone+">bob@elsewhere <show>dnd</show>"+isCaps)
	})
}

// Whenever the session manager dies, a subscriber has in the end what a client
// announces, and so has who asks. A presence that comes again is told whole: what
// the process before has told of it nobody knows.
func TestCapsOutliveDeath(t *testing.T) {
	for at, died := 1, true; died; at++ {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, optimized, "ann@localhost", "bob@localhost")
			w.befriend("ann@localhost", "bob@localhost")
			w.item("ann@localhost", "cat@elsewhere", "from")
			bob, ann := w.friend("bob@localhost/x", true), w.friend("ann@localhost/x", true)
			ann.listen()
			bob.listen()
			w.die(at)
			for _, says := range []string{caps, "<show>dnd</show>" + caps, "<show>away</show>"} {
				ann.c.send(`<presence>%s</presence>`, says)
			}
			if died = w.env.dead.Load(); died {
				w.elsewhere()
				w.kill()
				for _, s := range w.elsewhere() {
					if !strings.HasSuffix(s, isCaps) && s != "presence ann@localhost/x>cat@elsewhere" { // that is her first
						t.Errorf("death at %d: again comes %q", at, s)
					}
				}
			}
			w.die(0)
			seen, last := "", ""
			for _, p := range bob.c.take() {
				if p.From != "ann@localhost/x" || p.Name != "presence" {
					continue
				}
				last = brief(string(p.Body))
				if strings.Contains(last, isCaps) {
					seen = isCaps
				}
			}
			if seen == "" || last != "<show>away</show>" && last != "<show>away</show>"+isCaps {
				t.Errorf("death at %d: bob has seen %q, the last is %q", at, seen, last)
			}
			w.incoming(`<presence from='bob@localhost' to='ann@localhost' type='probe'/>`)
			want := fmt.Sprintf("presence ann@localhost/x>bob@localhost <show>away</show>%s", isCaps)
			if got := bob.c.got(); !contains(got, want) {
				t.Errorf("death at %d: a probe brings %q", at, got)
			}
		})
	}
}

// A host says that it optimises, if it does.
func TestCapsFeature(t *testing.T) {
	for args, want := range map[string]bool{`{}`: false, optimized: true} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, args, "ann@localhost")
			ann := w.login(annPhone)
			ann.send(`<iq type='get' id='1' to='localhost'><query xmlns='%s'/></iq>`, ns.DiscoInfo)
			got := strings.Join(ann.got(), " ")
			if !strings.Contains(got, "<feature var='"+ns.Caps+"'/>") || strings.Contains(got, "<feature var='"+ns.Caps+"#optimize'/>") != want {
				t.Errorf("%s: %s", args, got)
			}
		})
	}
}
