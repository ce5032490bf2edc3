package sm_test

import (
	"strings"
	"testing"
	"testing/synctest"

	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/xmpp/ns"
)

// inline asks for a session by Bind 2, and returns how the answer begins.
func (c *conn) inline(t *testing.T, client, wishes string) packet.Packet {
	t.Helper()
	c.send(`<bind xmlns='%s' client='%s'>%s</bind>`, ns.Bind2, client, wishes)
	in := c.take()
	if len(in) == 0 {
		t.Fatal("no answer")
	}
	return in[0]
}

func TestBindInline(t *testing.T) {
	const enable = "<enable xmlns='urn:xmpp:sm:3' resume='true' max='60'/>"
	for _, test := range []struct {
		name, client, wishes, resource string // a resource that ends with / is a prefix
		enabled                        bool
	}{
		{"tag and client", "ID", "<tag>Some client</tag>", "Some client/ID", false},
		{"a client without a tag", "ID", "", "ID", false},
		{"a tag without a client", "", "<tag>x</tag>", "x/", false},
		{"a tag that is none", "ID", "<tag>&#9;</tag>", "ID", false},
		{"with stream management", "ID", "<tag>x</tag>" + enable, "x/ID", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, "{}", "ann@localhost")
				c := w.connect("ann@localhost")
				p := c.inline(t, test.client, test.wishes)
				resource := packet.Resource(p.To)
				if p.Name != "bound" || p.NS != ns.Bind2 || resource != test.resource && (!strings.HasSuffix(test.resource, "/") || !strings.HasPrefix(resource, test.resource)) {
					t.Fatalf("answer %+v", p)
				}
				if enabled := strings.HasPrefix(string(p.Body), "<enabled xmlns='urn:xmpp:sm:3' id='"); enabled != test.enabled {
					t.Errorf("answer %s", p.Body)
				}
				if test.enabled && !strings.Contains(string(p.Body), " max='60' resume='true'") {
					t.Errorf("answer %s", p.Body)
				}
				w.incoming(`<message type='chat' from='bob@elsewhere/x' to='%s'><body>hi</body></message>`, p.To)
				if in := c.take(); len(in) == 0 || in[0].Name != "message" {
					t.Errorf("got %v", in)
				}
			})
		})
	}
}

// A client that comes again takes the place of what it had, under another name too.
func TestTheSameClientAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "{}", "ann@localhost")
		one, other, again := w.connect("ann@localhost"), w.connect("ann@localhost"), w.connect("ann@localhost")
		one.inline(t, "ID", "<tag>old</tag>")
		other.inline(t, "OTHER", "<tag>old</tag>")
		again.inline(t, "ID", "<tag>new</tag>")
		if in := one.take(); len(in) != 1 || in[0].Name != "end" || in[0].Type != "conflict" {
			t.Errorf("the session of before is told %v", in)
		}
		if in := other.take(); len(in) != 0 {
			t.Errorf("another client is told %v", in)
		}
	})
}

func TestBindInlineWithCarbonsInactive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "{}", "ann@localhost")
		desk := w.available("ann@localhost/desk", 0)
		c := w.connect("ann@localhost")
		c.inline(t, "ID", "<enable xmlns='urn:xmpp:carbons:2'/><inactive xmlns='urn:xmpp:csi:0'/><enable xmlns='urn:xmpp:sm:3'/>")
		desk.send(`<message type='chat' to='bob@elsewhere'><body>hi</body></message>`)
		if in := c.take(); len(in) == 0 || !strings.Contains(string(in[0].Body), "<sent xmlns='urn:xmpp:carbons:2'") {
			t.Errorf("no carbon: %v", in)
		}
		w.incoming(`<presence from='bob@elsewhere/x' to='%s'/>`, c.address)
		for _, p := range c.take() {
			if p.Name == "presence" {
				t.Error("a presence to a client that is inactive")
			}
		}
	})
}

// The session manager dies at each packet of a login: the client is told its session
// once, before all stanzas, and it counts them from there.
func TestDeathWhileBindingInline(t *testing.T) {
	for in := 1; in < 8; in++ {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, "{}", "ann@localhost")
			c := w.connect("ann@localhost")
			w.die(in)
			c.send(`<bind xmlns='%s' client='ID'><enable xmlns='urn:xmpp:sm:3' resume='true'/></bind>`, ns.Bind2)
			w.die(0)
			w.kill()
			w.incoming(`<message type='chat' from='bob@elsewhere/x' to='ann@localhost/ID'><body>hi</body></message>`)
			var names []string
			for _, p := range c.take() {
				if p.Name != "r" {
					names = append(names, p.Name)
				}
			}
			if got := strings.Join(names, " "); got != "bound message" {
				t.Errorf("death at %d: %s", in, got)
			}
			c.send(`<a xmlns='urn:xmpp:sm:3' h='1'/>`)
			if in := c.take(); len(in) != 0 {
				t.Errorf("an acknowledgement of one stanza is answered with %v", in)
			}
		})
	}
}
