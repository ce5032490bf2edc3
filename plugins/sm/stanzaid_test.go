package sm_test

import (
	"strings"
	"testing"
	"testing/synctest"

	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/xmpp/ns"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

// stanzaIDs are the ids of the messages among stanzas, as "BY ID".
func stanzaIDs(stanzas []packet.Packet) (list []string) {
	for _, p := range stanzas {
		for el := range xml.Elements(p.Body, ns.Client) {
			if p.Name == "message" && el.Is("stanza-id", ns.StanzaID) {
				list = append(list, el.Attr("by")+" "+el.Attr("id"))
			}
		}
	}
	return list
}

// Ids are given by the account alone (XEP-0359 section 3, rules 1 to 3), to what may come again.
func TestStanzaIDs(t *testing.T) {
	const own, another = "ann@localhost ", "room@elsewhere 1"
	for _, test := range []struct {
		name, kind, content string
		managed, unmanaged  string // the ids that such a client sees; "own" is one that nobody else has made up
	}{
		{"a text", "chat", `<body>x</body>`, "own", ""},
		{"made up", "chat", `<body>x</body><stanza-id xmlns='urn:xmpp:sid:0' by='ann@localhost' id='1'/>`, "own", ""},
		{"made up twice", "normal", `<stanza-id xmlns='urn:xmpp:sid:0' by='ann@localhost' id='1'/><body>x</body><s:stanza-id xmlns:s='urn:xmpp:sid:0' by='ann@localhost' id='1'/>`, "own", ""},
		{"made up, written otherwise", "chat", `<body>x</body><stanza-id xmlns='urn:xmpp:sid&#58;0' by='&#65;nn@LOCALHOST' id='1'/>`, "own", ""},
		{"of a room", "chat", `<body>x</body><stanza-id xmlns='urn:xmpp:sid:0' by='room@elsewhere' id='1'/>`, another + " own", another},
		{"its sender's", "chat", `<body>x</body><origin-id xmlns='urn:xmpp:sid:0' id='1'/>`, "own", ""},
		{"only that somebody types", "chat", `<composing xmlns='http://jabber.org/protocol/chatstates'/>`, "", ""},
		{"a headline, made up", "headline", `<body>x</body><stanza-id xmlns='urn:xmpp:sid:0' by='ann@localhost' id='1'/>`, "", ""},
	} {
		bubble(t, test.name, func(t *testing.T) {
			w := newWorld(t, `{}`, "ann@localhost")
			phone := w.manage("ann@localhost/phone", true)
			message := `<message from='room@elsewhere/x' type='` + test.kind + `' to='ann@localhost/phone'>` + test.content + `</message>`
			check := func(who string, stanzas []packet.Packet, want string) {
				t.Helper()
				if len(stanzas) != 1 || strings.Contains(string(stanzas[0].Body), "id='1'") != strings.Contains(test.name, "of a room") && !strings.Contains(test.name, "sender's") {
					t.Errorf("%s: %v", who, stanzas)
				}
				ids := strings.Join(stanzaIDs(stanzas), " ")
				if got, found := strings.CutSuffix(want, "own"); !found && ids != want || found && (!strings.HasPrefix(ids, got+own) || len(ids) != len(got+own)+16) {
					t.Errorf("%s has %q, want %q", who, ids, want)
				}
			}
			phone.take()
			w.incoming("%s", message)
			check("managed", phone.take(), test.managed)
			tablet := w.available("ann@localhost/tablet", 0)
			tablet.take()
			w.incoming("%s", strings.Replace(message, "/phone", "/tablet", 1))
			check("unmanaged", tablet.take(), test.unmanaged)
		})
	}
}

// A message that comes again, to whichever client and after whatever death, comes with the same id.
func TestStanzaIDsAreStable(t *testing.T) {
	for _, offline := range []bool{true, false} {
		for _, dies := range []bool{true, false} {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, `{}`, "ann@localhost")
				send := func() {
					w.incoming(`<message type='chat' from='bob@elsewhere/x' to='ann@localhost'><body>x</body></message>`)
				}
				var ids []string
				if offline {
					send()
				}
				for i := range 4 { // it acknowledges nothing, and comes anew
					ann := w.manage("ann@localhost/phone", false)
					ann.send(`<presence/>`)
					synctest.Wait()
					if i == 0 && !offline {
						send()
					}
					synctest.Wait()
					ids = append(ids, stanzaIDs(ann.take())...)
					if i%2 == 1 {
						ann.close()
					}
					if dies {
						w.kill()
					}
					synctest.Wait()
				}
				for _, id := range ids {
					if id != ids[0] {
						t.Errorf("offline %v, dies %v: ids %q", offline, dies, ids)
					}
				}
				if len(ids) != 4 {
					t.Errorf("offline %v, dies %v: it comes %d times: %q", offline, dies, len(ids), ids)
				}
			})
		}
	}
}
