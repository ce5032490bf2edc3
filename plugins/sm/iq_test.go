package sm_test

import (
	"strings"
	"testing"
	"testing/synctest"

	"github.com/jabberii/server/plugins/xmpp/ns"
)

// RFC 6121 section 8.5 and RFC 6120 sections 8.2.3 and 10.3.3: who answers an
// IQ, and who is never answered.
func TestIQ(t *testing.T) {
	const ping = "<ping xmlns='" + ns.Ping + "'/>"
	tests := []struct {
		name, send string
		ann, bob   string // what the sender and the other get
	}{
		{"no address", "<iq type='get' id='1'>" + ping + "</iq>", "iq:result ann@localhost>ann@localhost/phone", ""},
		{"to one's account", "<iq type='get' id='1' to='ann@localhost'>" + ping + "</iq>", "iq:result ann@localhost>ann@localhost/phone", ""},
		{"to the host", "<iq type='get' id='1' to='localhost'>" + ping + "</iq>", "iq:result localhost>ann@localhost/phone", ""},
		{"to a session", "<iq type='get' id='1' to='bob@localhost/desk'>" + ping + "</iq>", "", "iq:get ann@localhost/phone>bob@localhost/desk <ping/>"},
		{"to a session that is none", "<iq type='get' id='1' to='bob@localhost/gone'>" + ping + "</iq>", "iq:error bob@localhost/gone>ann@localhost/phone service-unavailable", ""},
		{"a set to a session that is none", "<iq type='set' id='1' to='bob@localhost/gone'>" + ping + "</iq>", "iq:error bob@localhost/gone>ann@localhost/phone service-unavailable", ""},
		{"to nobody", "<iq type='get' id='1' to='nobody@localhost/x'>" + ping + "</iq>", "iq:error nobody@localhost/x>ann@localhost/phone service-unavailable", ""},
		{"a result to a session that is none", "<iq type='result' id='1' to='bob@localhost/gone'/>", "", ""},
		{"an error to a session that is none", "<iq type='error' id='1' to='bob@localhost/gone'/>", "", ""},
		{"a result to an account", "<iq type='result' id='1' to='bob@localhost'/>", "", ""},
		{"a result to the host", "<iq type='result' id='1' to='localhost'/>", "", ""},
		{"a result to a session", "<iq type='result' id='1' to='bob@localhost/desk'/>", "", "iq:result ann@localhost/phone>bob@localhost/desk"},
		{"unknown to an account", "<iq type='get' id='1' to='bob@localhost'><x xmlns='urn:x'/></iq>", "iq:error bob@localhost>ann@localhost/phone service-unavailable", ""},
		{"unknown without address", "<iq type='set' id='1'><x xmlns='urn:x'/></iq>", "iq:error ann@localhost>ann@localhost/phone service-unavailable", ""},
		{"unknown to the host", "<iq type='get' id='1' to='localhost'><x xmlns='urn:x'/></iq>", "iq:error localhost>ann@localhost/phone service-unavailable", ""},
		{"no type", "<iq id='1' to='localhost'>" + ping + "</iq>", "iq:error localhost>ann@localhost/phone bad-request", ""},
		{"another type", "<iq type='ask' id='1' to='localhost'>" + ping + "</iq>", "iq:error localhost>ann@localhost/phone bad-request", ""},
		{"no id", "<iq type='get' to='localhost'>" + ping + "</iq>", "iq:error localhost>ann@localhost/phone bad-request", ""},
		{"nothing in it", "<iq type='get' id='1' to='localhost'/>", "iq:error localhost>ann@localhost/phone bad-request", ""},
		{"two in it", "<iq type='get' id='1' to='localhost'>" + ping + ping + "</iq>", "iq:error localhost>ann@localhost/phone bad-request", ""},
		{"a ping that sets", "<iq type='set' id='1' to='localhost'>" + ping + "</iq>", "iq:error localhost>ann@localhost/phone bad-request", ""},
		{"the session of RFC 3921", "<iq type='set' id='1'><session xmlns='" + ns.Session + "'/></iq>", "iq:result ann@localhost>ann@localhost/phone", ""},
		{"the same to the host", "<iq type='set' id='1' to='localhost'><session xmlns='" + ns.Session + "'/></iq>", "iq:result localhost>ann@localhost/phone", ""},
		{"another's roster", "<iq type='get' id='1' to='bob@localhost'><query xmlns='" + ns.Roster + "'/></iq>", "iq:error bob@localhost>ann@localhost/phone forbidden", ""},
		{"elsewhere", "<iq type='get' id='1' to='carl@elsewhere'>" + ping + "</iq>", "", ""},
	}
	for _, test := range tests {
		bubble(t, test.name, func(t *testing.T) {
			w := newWorld(t, `{}`, "ann@localhost", "bob@localhost")
			ann, bob := w.available("ann@localhost/phone", 0), w.available("bob@localhost/desk", 0)
			ann.send("%s", test.send)
			if got := strings.Join(ann.got(), " "); got != test.ann {
				t.Errorf("the sender gets %q, want %q", got, test.ann)
			}
			if got := strings.Join(bob.got(), " "); got != test.bob {
				t.Errorf("the other gets %q, want %q", got, test.bob)
			}
			if got := w.elsewhere(); (len(got) > 0) != (test.name == "elsewhere") {
				t.Errorf("elsewhere comes %q", got)
			}
		})
	}
}

func TestDiscovery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, `{}`, "ann@localhost", "bob@localhost")
		w.item("bob@localhost", "ann@localhost", "from")
		ann := w.login("ann@localhost/phone")
		query := func(to, space, node string) string {
			ann.send(`<iq type='get' id='1' to='%s'><query xmlns='%s'%s/></iq>`, to, space, node)
			return strings.Join(ann.got(), " ")
		}
		host := query("localhost", ns.DiscoInfo, "")
		for _, want := range []string{"category='server' type='im'", ns.DiscoInfo, ns.DiscoItems, ns.Ping, "msgoffline"} {
			if !strings.Contains(host, want) {
				t.Errorf("of the host %s is missing in %s", want, host)
			}
		}
		if got := query("localhost", ns.DiscoItems, ""); got != "iq:result localhost>ann@localhost/phone <query/>" {
			t.Errorf("items of the host: %s", got)
		}
		for _, to := range []string{"ann@localhost", "bob@localhost"} {
			if got := query(to, ns.DiscoInfo, ""); !strings.Contains(got, "category='account' type='registered'") {
				t.Errorf("%s: %s", to, got)
			}
		}
		if got := query("localhost", ns.DiscoInfo, " node='x'"); !strings.HasSuffix(got, "item-not-found") {
			t.Errorf("a node: %s", got)
		}
		w.available("bob@localhost/desk", 0)
		ann.send(`<presence/>`)
		ann.take()
		for account, session := range map[string]string{"ann@localhost": "/phone", "bob@localhost": "/desk"} {
			if got := query(account, ns.DiscoItems, ""); !strings.HasSuffix(got, " <query><item jid='"+account+session+"'/></query>") {
				t.Errorf("sessions of %s: %s", account, got)
			}
		}
		// Who may not see an account's presence does not learn whether it exists.
		for _, to := range []string{"ann@localhost", "bob@localhost", "nobody@localhost"} {
			w.incoming(`<iq type='get' id='1' to='%s' from='eve@elsewhere/x'><query xmlns='%s'/></iq>`, to, ns.DiscoInfo)
			expect(t, "a stranger", w.elsewhere(), "iq:error "+to+">eve@elsewhere/x service-unavailable")
		}
	})
}

// What modules before sm have put into a query is in the answer, what a client
// has put there is not.
func TestDiscoveryIsComposed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, `{}`, "ann@localhost")
		ann := w.login("ann@localhost/phone")
		brought := "<feature var='urn:brought'/><identity category='store' type='file'/>"
		w.incoming(`<iq type='get' id='1' to='localhost' from='carl@elsewhere/x'><query xmlns='%s'>%s</query></iq>`, ns.DiscoInfo, brought)
		if got := strings.Join(w.elsewhere(), " "); !strings.Contains(got, "<feature var='urn:brought'/>") || !strings.Contains(got, "category='store'") {
			t.Errorf("what the chain has brought is missing: %s", got)
		}
		ann.send(`<iq type='get' id='1' to='localhost'><query xmlns='%s'>%s</query></iq>`, ns.DiscoInfo, brought)
		if got := strings.Join(ann.got(), " "); strings.Contains(got, "urn:brought") || strings.Contains(got, "store") {
			t.Errorf("a client tells the server what it is: %s", got)
		}
		w.incoming(`<iq type='get' id='1' to='localhost' from='carl@elsewhere/x'><query xmlns='%s'><item jid='rooms.localhost'/></query></iq>`, ns.DiscoItems)
		expect(t, "items", w.elsewhere(), "iq:result localhost>carl@elsewhere/x <query><item jid='rooms.localhost'/></query>")
	})
}
