package sm_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/jabberii/server/plugins/sdk/xdb"
	"github.com/jabberii/server/plugins/xmpp/ns"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

// A cachedRoster is a client that keeps its roster and the version of it.
type cachedRoster struct {
	w       *world
	version string
	items   map[string]string
}

// login asks for what has changed since, and says how it was told.
func (r *cachedRoster) login() string {
	r.w.t.Helper()
	c := r.w.login("ann@localhost/phone")
	c.send("<iq type='get' id='r'><query xmlns='%s' ver='%s'/></iq>", ns.Roster, r.version)
	how := "unchanged"
	for i, p := range c.take() {
		query, ok := xml.Find(p.Body, ns.Client, "query", ns.Roster)
		switch {
		case i == 0 && (p.Type != "result" || p.ID != "r"):
			r.w.t.Fatalf("the answer is %s", text(&p))
		case !ok:
			continue
		case i == 0:
			how = "whole"
			r.items = map[string]string{}
		case p.Type != "set":
			r.w.t.Fatalf("then comes %s", text(&p))
		default:
			how = "changes"
			if query.Attr("ver") <= r.version {
				r.w.t.Errorf("version %s comes after %s", query.Attr("ver"), r.version)
			}
		}
		r.take(query)
	}
	c.close()
	return how
}

func (r *cachedRoster) take(query xml.Element) {
	if r.version = query.Attr("ver"); r.version == "" {
		r.w.t.Errorf("no version: %s", query.Outer())
	}
	for el := range query.Elements() {
		if el.Attr("subscription") == "remove" {
			delete(r.items, el.Attr("jid"))
		} else {
			r.items[el.Attr("jid")] = el.Attr("name")
		}
	}
}

// RFC 6121 section 2.6: who has a version is told of what has changed since,
// also after sm was restarted.
func TestRosterVersions(t *testing.T) {
	add := func(names ...string) func(*conn) {
		return func(c *conn) {
			for _, name := range names {
				c.send(rosterSet, fmt.Sprintf("<item jid='%s@elsewhere' name='%s'/>", name[:1], name))
			}
		}
	}
	remove := func(names ...string) func(*conn) {
		return func(c *conn) {
			for _, name := range names {
				c.send(rosterSet, fmt.Sprintf("<item jid='%s@elsewhere' subscription='remove'/>", name))
			}
		}
	}
	all := func(acts ...func(*conn)) func(*conn) {
		return func(c *conn) {
			for _, act := range acts {
				act(c)
			}
		}
	}
	for _, test := range []struct {
		name    string
		version string // that the client has, "-" being its own
		change  func(*conn)
		how     string
		want    map[string]string
	}{
		{"nothing", "-", all(), "unchanged", map[string]string{"a": "anna", "b": "bert"}},
		{"one more", "-", add("carl"), "changes", map[string]string{"a": "anna", "b": "bert", "c": "carl"}},
		{"another name", "-", add("andy"), "changes", map[string]string{"a": "andy", "b": "bert"}},
		{"one less", "-", remove("a"), "changes", map[string]string{"b": "bert"}},
		{"removed and added", "-", all(remove("a"), add("abel")), "changes", map[string]string{"a": "abel", "b": "bert"}},
		{"added and removed", "-", all(add("carl"), remove("c")), "changes", map[string]string{"a": "anna", "b": "bert"}},
		{"somebody only asks", "-", func(c *conn) {
			c.w.incoming(`<presence type='subscribe' from='x@elsewhere' to='ann@localhost'/>`)
		}, "unchanged", map[string]string{"a": "anna", "b": "bert"}},
		{"the last one goes", "-", remove("a", "b"), "changes", map[string]string{}},
		{"no version", "", all(), "whole", map[string]string{"a": "anna", "b": "bert"}},
		{"nonsense", "17", all(), "whole", map[string]string{"a": "anna", "b": "bert"}},
		{"a version to come", "7vvvvvvvvvvvv", all(), "whole", map[string]string{"a": "anna", "b": "bert"}},
	} {
		for _, dies := range []bool{false, true} {
			bubble(t, fmt.Sprintf("%s, dies %v", test.name, dies), func(t *testing.T) {
				w := newWorld(t, `{}`, "ann@localhost")
				client := &cachedRoster{w: w}
				other := w.login("ann@localhost/desk")
				add("anna", "bert")(other)
				if how := client.login(); how != "whole" {
					t.Errorf("first %s", how)
				}
				test.change(other)
				other.close()
				if dies {
					w.kill()
				}
				if test.version != "-" {
					client.version = test.version
				}
				if how := client.login(); how != test.how {
					t.Errorf("%s, want %s", how, test.how)
				}
				if again := client.login(); again != "unchanged" {
					t.Errorf("and then %s", again)
				}
				for name, want := range test.want {
					if got := client.items[name+"@elsewhere"]; got != want {
						t.Errorf("%s is %q, want %q", name, got, want)
					}
				}
				if len(client.items) != len(test.want) {
					t.Errorf("the roster is %q", client.items)
				}
			})
		}
	}
}

// Who does not speak of versions gets none, and everybody can read a push.
func TestRosterWithoutVersions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, `{}`, "ann@localhost")
		w.item("ann@localhost", "bob@elsewhere", "both")
		ann := w.login("ann@localhost/phone")
		ann.send(rosterGet)
		for _, p := range ann.take() {
			if el, ok := xml.First(p.Body, ns.Client); !ok || el.Attr("ver") != "" {
				t.Errorf("comes %s", p.Body)
			}
		}
	})
}

// What is gone is not remembered for ever.
func TestRosterForgetsWhatIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, `{}`, "ann@localhost")
		client, other := &cachedRoster{w: w}, w.login("ann@localhost/desk")
		other.send(rosterSet, "<item jid='bob@elsewhere'/>")
		client.login()
		for i := range 250 {
			other.send(rosterSet, fmt.Sprintf("<item jid='%d@elsewhere'/>", i))
			other.send(rosterSet, fmt.Sprintf("<item jid='%d@elsewhere' subscription='remove'/>", i))
			page, err := w.store.Keys(context.Background(), "ann@localhost", "roster-removed", xdb.Query{Max: xdb.MaxPage})
			if err != nil || len(page.Items) > 100 {
				t.Fatalf("%d are remembered, %v", len(page.Items), err)
			}
			if i < 100 && i%25 == 0 {
				if how := client.login(); how != "changes" {
					t.Errorf("after %d: %s", i, how)
				}
			}
		}
		if how := client.login(); how != "whole" {
			t.Errorf("who has an old version gets %s", how)
		}
		if how := client.login(); how != "unchanged" || len(client.items) != 1 {
			t.Errorf("then %s: %q", how, client.items)
		}
	})
}

// Pushes of changes that others make meanwhile come behind the answer.
func TestRosterPushesComeInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, `{}`, "ann@localhost")
		ann := w.manage("ann@localhost/phone", false)
		ann.say(rosterGet)
		ann.lose()
		desk := w.login("ann@localhost/desk")
		desk.send(rosterSet, "<item jid='bob@elsewhere' name='1'/>")
		desk.send(rosterSet, "<item jid='bob@elsewhere' name='2'/>")
		ann.resume()
		if ann.h != 3 {
			t.Errorf("comes %d, want the answer and two pushes", ann.h)
		}
	})
}
