package e2e_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/jabberii/server/jabberd/e2e/clients"
)

// TestServicesOfAHost has slixmpp use what a server offers beside chat: cards,
// private XML, blocking, version, time and uptime.
func TestServicesOfAHost(t *testing.T) {
	everyIsolation(t, func(t *testing.T, vars map[string]string) { useServices(t, start(t, "conf/jabberd.hcl", vars)) })
	t.Run("edge", func(t *testing.T) { useServices(t, start(t, "conf/edge.hcl", nil)) })
}

func useServices(t *testing.T, r *running) {
	ann, bob := clients.Slixmpp(t, r.user("ann@localhost")), clients.Slixmpp(t, r.user("bob@localhost"))
	features := ann.Disco("localhost").Features
	for _, want := range []string{
		"vcard-temp", "urn:ietf:params:xml:ns:vcard-4.0", "jabber:iq:private", "urn:xmpp:blocking", "jabber:iq:privacy",
		"jabber:iq:version", "urn:xmpp:time", "jabber:iq:last",
	} {
		if !slices.Contains(features, want) {
			t.Errorf("the host does not tell of %s: %q", want, features)
		}
	}
	for _, payload := range []string{"<query xmlns='jabber:iq:version'/>", "<time xmlns='urn:xmpp:time'/>", "<query xmlns='jabber:iq:last'/>"} {
		if answer := ann.IQ("<iq to='localhost' type='get'>" + payload + "</iq>"); answer.Type != "result" {
			t.Errorf("%s is answered with %+v", payload, answer)
		}
	}

	ann.SetCard(clients.Card{Name: "Ann <&>", Photo: []byte("hello")})
	if card := bob.Card("ann@localhost"); card.Name != "Ann <&>" || string(card.Photo) != "hello" {
		t.Errorf("bob sees the card %+v", card)
	}
	ann.Presence(clients.Presence{})
	if p := ann.AwaitPresence("ann@localhost", ""); !strings.Contains(p.XML, "aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d") {
		t.Errorf("her presence does not tell of the picture: %s", p.XML)
	}
	ann.Bookmark("room@rooms.localhost", "The room")
	if rooms := ann.Bookmarks(); !slices.Equal(rooms, []string{"room@rooms.localhost"}) {
		t.Errorf("bookmarks of %q", rooms)
	}

	bob.Presence(clients.Presence{})
	bob.AwaitPresence("bob@localhost", "")
	ann.Block("bob@localhost")
	if list := ann.Blocked(); !slices.Equal(list, []string{"bob@localhost"}) {
		t.Errorf("blocked are %q", list)
	}
	bob.Message("ann@localhost", "are you there?")
	bob.AwaitError("ann@localhost", "service-unavailable")
	if answer := bob.IQ("<iq to='ann@localhost' type='get'><vCard xmlns='vcard-temp'/></iq>"); answer.Condition != "service-unavailable" {
		t.Errorf("bob, who is blocked, asks for her card: %+v", answer)
	}
	ann.Message("bob@localhost", "no")
	ann.AwaitError("bob@localhost", "not-acceptable")
	ann.Unblock("bob@localhost")
	bob.Message("ann@localhost", "and now?")
	ann.AwaitMessage("bob@localhost", "and now?")
	for _, e := range ann.Events() {
		if e.Body == "are you there?" {
			t.Error("what bob said while he was blocked has come")
		}
	}
}

// TestAdmin has an admin with slixmpp add an account, tell all something, and
// disable an account.
func TestAdmin(t *testing.T) {
	everyIsolation(t, func(t *testing.T, vars map[string]string) {
		const admin = "http://jabber.org/protocol/admin#"
		r := start(t, "jabberd/e2e/testdata/admin.hcl", vars)
		ann := clients.Slixmpp(t, r.user("ann@localhost"))
		done := ann.Command("localhost", admin+"add-user", map[string]any{
			"accountjid": "carl@localhost", "password": "new", "password-verify": "new",
		})
		if done.Status != "completed" || len(done.Notes) != 1 || done.Notes[0].Type != "info" {
			t.Fatalf("adding an account: %+v", done)
		}
		login := r.user("bob@localhost")
		login.JID, login.Password = "carl@localhost", "new"
		carl := clients.Slixmpp(t, login)
		carl.Presence(clients.Presence{})
		carl.AwaitPresence("carl@localhost", "")
		online := ann.Command("localhost", admin+"get-online-users-list", map[string]any{"max_items": "25"})
		if !slices.Equal(online.Fields["onlineuserjids"], []string{"carl@localhost"}) {
			t.Errorf("online are %+v", online)
		}
		ann.Command("localhost", admin+"announce", map[string]any{"announcement": []string{"tea", "is ready"}})
		carl.AwaitMessage("localhost", "tea\nis ready")
		ann.Command("localhost", admin+"disable-user", map[string]any{"accountjids": []string{"carl@localhost"}})
		carl.AwaitEvent("disconnected")
		if _, err := clients.TrySlixmpp(t, login); err == nil || !strings.Contains(err.Error(), "account-disabled") {
			t.Errorf("carl, who is disabled, logs in: %v", err)
		}
		if answer := otherAsks(t, r); answer.Condition != "forbidden" {
			t.Errorf("who is no admin runs a command: %+v", answer)
		}
	})
}

func otherAsks(t *testing.T, r *running) clients.Event {
	bob := clients.Slixmpp(t, r.user("bob2@localhost"))
	return bob.IQ("<iq to='localhost' type='set'><command xmlns='http://jabber.org/protocol/commands' node='http://jabber.org/protocol/admin#announce'/></iq>")
}
