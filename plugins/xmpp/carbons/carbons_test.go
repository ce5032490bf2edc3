package carbons_test

import (
	"testing"

	"github.com/jabberii/server/plugins/xmpp/carbons"
	"github.com/jabberii/server/plugins/xmpp/ns"
)

// XEP-0280 section 6.1: which messages are copied. The other side is a client
// unless its address says that it is a room.
func TestEligible(t *testing.T) {
	const (
		body    = "<body>hi</body>"
		private = "<private xmlns='" + ns.Carbons + "'/>"
		noCopy  = "<no-copy xmlns='" + ns.Hints + "'/>"
		typing  = "<composing xmlns='" + ns.ChatStates + "'/>"
		receipt = "<received xmlns='" + ns.Receipts + "' id='1'/>"
		marker  = "<displayed xmlns='" + ns.ChatMarkers + "' id='1'/>"
		room    = "<x xmlns='http://jabber.org/protocol/muc#user'/>"
		invited = "<x xmlns='http://jabber.org/protocol/muc#user'><invite from='a@b'/></x>"
		direct  = "<x xmlns='jabber:x:conference' jid='room@c'/>"
	)
	for name, test := range map[string]struct {
		kind, other, body string
		sent, received    bool
	}{
		"chat":                          {"chat", "a@b/c", body, true, true},
		"chat without body":             {"chat", "a@b/c", "", true, true},
		"normal with body":              {"normal", "a@b/c", body, true, true},
		"no type with body":             {"", "a@b", body, true, true},
		"normal without body":           {"normal", "a@b/c", "<x xmlns='urn:x'/>", false, false},
		"somebody types":                {"", "a@b/c", typing, true, true},
		"a receipt":                     {"", "a@b/c", receipt, true, true},
		"a marker":                      {"normal", "a@b/c", marker, true, true},
		"headline":                      {"headline", "a@b/c", body, false, false},
		"groupchat":                     {"groupchat", "room@c/nick", body, false, false},
		"groupchat with an invitation":  {"groupchat", "room@c", invited, false, false},
		"private":                       {"chat", "a@b/c", body + private, false, false},
		"private, first":                {"chat", "a@b/c", private + body, false, false},
		"the hint alone":                {"chat", "a@b/c", body + noCopy, false, false},
		"a private invitation":          {"", "room@c", invited + private, false, false},
		"another's private":             {"chat", "a@b/c", body + "<private xmlns='urn:x'/>", true, true},
		"in a room, to one":             {"chat", "room@c/nick", body + room, true, false},
		"mediated invitation":           {"", "room@c", invited, true, true},
		"mediated by an occupant":       {"", "room@c/nick", invited, true, true},
		"direct invitation":             {"normal", "a@b/c", direct, true, true},
		"error":                         {"error", "a@b", "<error type='cancel'/>", true, true},
		"error of a room":               {"error", "room@c/nick", room, false, false},
		"error that repeats a private":  {"error", "a@b", body + private, false, false},
		"what a room says of itself":    {"", "room@c", room, false, false},
		"chat of the room itself":       {"chat", "room@c", body + room, true, true},
		"a body in another namespace":   {"", "a@b", "<body xmlns='urn:x'>hi</body>", false, false},
		"a type that there is not":      {"what", "a@b", body, false, false},
		"an error with an invitation":   {"error", "room@c/nick", invited, false, false},
		"private in what is forwarded":  {"chat", "a@b/c", "<forwarded xmlns='" + ns.Forward + "'>" + private + "</forwarded>", true, true},
		"invitation in what is not x":   {"", "a@b", "<y xmlns='http://jabber.org/protocol/muc#user'><invite/></y>", false, false},
		"a room's text beside its mark": {"chat", "room@c/nick", room + body + typing, true, false},
	} {
		for side, want := range map[carbons.Side]bool{carbons.Sent: test.sent, carbons.Received: test.received} {
			if got := carbons.Eligible(side, test.kind, test.other, []byte(test.body)); got != want {
				t.Errorf("%s, %s: %v, want %v", name, side, got, want)
			}
		}
	}
}

func TestCopied(t *testing.T) {
	message := []byte("<message xmlns='jabber:client' to='a@b'><body>hi</body></message>")
	for _, side := range []carbons.Side{carbons.Sent, carbons.Received} {
		content := carbons.Append([]byte("before"), side, message)[len("before"):]
		el, ok := carbons.Copied(content)
		if !ok || string(el.Outer()) != string(message) {
			t.Errorf("%s: %v, %s", content, ok, el.Outer())
		}
	}
	for _, other := range []string{
		"", "<body>hi</body>", "<received xmlns='urn:xmpp:receipts' id='1'/>", "<sent xmlns='" + ns.Carbons + "'/>",
		"<sent xmlns='" + ns.Carbons + "'><forwarded xmlns='" + ns.Forward + "'/></sent>", "<private xmlns='" + ns.Carbons + "'/>",
	} {
		if _, ok := carbons.Copied([]byte(other)); ok {
			t.Errorf("%q counts as a copy", other)
		}
	}
}

func FuzzEligible(f *testing.F) {
	f.Add("chat", "a@b/c", []byte("<body>hi</body><private xmlns='"+ns.Carbons+"'/>"))
	f.Add("", "room@c", []byte("<x xmlns='http://jabber.org/protocol/muc#user'><invite/></x>"))
	f.Fuzz(func(t *testing.T, kind, other string, body []byte) {
		carbons.Eligible(carbons.Sent, kind, other, body)
		carbons.Eligible(carbons.Received, kind, other, body)
		carbons.Copied(body)
	})
}
