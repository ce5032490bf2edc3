package register_test

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sdk/account"
	"github.com/jabberii/server/plugins/sdk/invite"
	"github.com/jabberii/server/plugins/sdk/sdktest"
	"github.com/jabberii/server/plugins/xmpp/session"
)

const (
	inviting = "<command xmlns='http://jabber.org/protocol/commands' node='urn:xmpp:invite#invite' action='execute'/>"
	creating = "<command xmlns='http://jabber.org/protocol/commands' node='urn:xmpp:invite#create-account'"
)

var tokenIn = regexp.MustCompile(`preauth=([A-Z2-7]+)`)

// XEP-0401 section 4 and XEP-0445: somebody registers with the invitation of a user, and
// the two are contacts.
func TestInvited(t *testing.T) {
	sdktest.Both(t, plan(`{}`), func(t *testing.T, h *sdktest.Harness) {
		s := run(t, h)
		ann := s.user("ann")
		defer ann.Close()
		made := s.ask(ann, "set", inviting)
		found := tokenIn.FindStringSubmatch(made)
		if found == nil || !strings.Contains(made, "<value>xmpp:ann@example.org?roster;preauth="+found[1]+";ibr=y</value>") || !strings.Contains(made, "var='expire'") {
			t.Fatalf("an invitation: %s", made)
		}
		if _, err := s.login(session.Account{Register: true}, "bob", "a password"); err == nil || !strings.Contains(err.Error(), "not-allowed") {
			t.Errorf("without an invitation: %v", err)
		}
		bob, err := s.login(session.Account{Register: true, Invitation: found[1]}, "bob", "a password")
		if err != nil {
			t.Fatal(err)
		}
		defer bob.Close()
		s.await(ann, "jabber:iq:roster", "bob@example.org", "subscription='both'")
		roster, err := bob.Roster(within(t))
		if err != nil || len(roster) != 1 || roster[0].Address.String() != "ann@example.org" {
			t.Errorf("the roster of who was invited: %+v, %v", roster, err)
		} else if roster[0].Subscription != "both" { // her answer is still on its way
			s.await(bob, "jabber:iq:roster", "ann@example.org", "subscription='both'")
		}
		if _, err := s.login(session.Account{Register: true, Invitation: found[1]}, "carl", "a password"); err == nil || !strings.Contains(err.Error(), "item-not-found") {
			t.Errorf("the invitation is used twice: %v", err)
		}
	})
}

// Invitations come with the link of their page where the file says where pages are, and
// the command says so (XEP-0401).
func TestInvitedWithAPage(t *testing.T) {
	s := run(t, sdktest.New(t, plan(`{"invite":{"page":"https://chat.example.net/invite/{host}/"}}`), false))
	ann := s.user("ann")
	defer ann.Close()
	made := s.ask(ann, "set", inviting)
	found := tokenIn.FindStringSubmatch(made)
	if found == nil || !strings.Contains(made, "<value>https://chat.example.net/invite/example.org/"+found[1]+"</value>") {
		t.Errorf("an invitation: %s", made)
	}
	said := s.ask(ann, "get", "<query xmlns='http://jabber.org/protocol/disco#info' node='urn:xmpp:invite#invite'/>")
	if !strings.Contains(said, "landing-url") || !strings.Contains(said, "<value>https://chat.example.net/invite/example.org/</value>") {
		t.Errorf("the command: %s", said)
	}
	for _, wrong := range []string{"https://{host}/invite", "ftp://{host}/", "/invite/"} {
		if _, err := sdktest.Try(t, plan(`{"invite":{"page":"`+wrong+`"}}`), false); err == nil || !strings.Contains(err.Error(), "invite.page") {
			t.Errorf("%s: %v", wrong, err)
		}
	}
}

// An invitation for a username keeps the name free, and is for nothing else.
func TestInvitedByName(t *testing.T) {
	s := run(t, sdktest.New(t, plan(`{"who":"anybody","limit":{"per_address":0},"invite":{"by":"admins","admins":["ann@example.org"]}}`), false))
	ann, bob := s.user("ann"), s.user("bob")
	defer ann.Close()
	defer bob.Close()
	for _, c := range []string{inviting, creating + "/>"} {
		if got := s.ask(bob, "set", c); got != "error forbidden" {
			t.Errorf("who is no admin: %s", got)
		}
	}
	if form := s.ask(ann, "set", creating+"/>"); !strings.Contains(form, "var='username'") || !strings.Contains(form, "status='executing'") {
		t.Errorf("the form: %s", form)
	}
	fill := func(name string) string {
		return s.ask(ann, "set", creating+"><x xmlns='jabber:x:data' type='submit'><field var='username'><value>"+name+"</value></field></x></command>")
	}
	made := fill("Root")
	token := tokenIn.FindStringSubmatch(made)
	if token == nil || !strings.Contains(made, "xmpp:root@example.org?register;preauth=") {
		t.Fatalf("an invitation for a name: %s", made)
	}
	for name, want := range map[string]string{"root": "error conflict", "bob": "error conflict", "a b": "error not-acceptable"} {
		if got := fill(name); got != want {
			t.Errorf("an invitation for %s: %s", name, got)
		}
	}
	if made := fill(""); !strings.Contains(made, "xmpp:example.org?register;preauth=") {
		t.Errorf("an invitation for any name: %s", made)
	}
	for _, x := range []struct{ name, token, want string }{
		{"carl", token[1], "not-allowed"},
		{"root", "", "not-acceptable"},
		{"root", token[1], ""},
	} {
		c, err := s.login(session.Account{Register: true, Invitation: x.token}, x.name, "a password")
		switch {
		case err == nil && x.want == "":
			c.Close()
		case err == nil || x.want == "" || !strings.Contains(err.Error(), x.want):
			t.Errorf("%s with %q: %v, want %s", x.name, x.token, err, x.want)
		}
	}
}

func TestTooManyInvitations(t *testing.T) {
	s := run(t, sdktest.New(t, plan(`{"invite":{"max":2}}`), false))
	ann := s.user("ann")
	defer ann.Close()
	for i, want := range []string{"result", "result", "error resource-constraint"} {
		if got := s.ask(ann, "set", inviting); !strings.HasPrefix(got, want) {
			t.Errorf("invitation %d: %s", i, got)
		}
	}
	items := s.ask(ann, "get", "<query xmlns='http://jabber.org/protocol/disco#items' node='http://jabber.org/protocol/commands'/>")
	if !strings.Contains(items, "urn:xmpp:invite#invite") || strings.Contains(items, "create-account") {
		t.Errorf("commands: %s", items)
	}
}

// The invitation of an account that is gone, or too old, is none; one that was shown in
// time is good until it is used (XEP-0445 section 4).
func TestInvitationsEnd(t *testing.T) {
	s := run(t, sdktest.New(t, plan(`{}`), false))
	ctx := within(t)
	if err := account.Add(ctx, s.store, "ann@example.org", "password"); err != nil {
		t.Fatal(err)
	}
	of := func(by string, expires time.Time) string {
		i := &invite.Invitation{Host: host, By: by, Register: true, Uses: 1, Expires: expires}
		if err := invite.Create(ctx, s.store, i); err != nil {
			t.Fatal(err)
		}
		return i.Token
	}
	show := func(token string) string {
		return "<iq type='set' id='p'><preauth xmlns='urn:xmpp:pars:0' token='" + token + "'/></iq>"
	}
	anns, old := of("ann@example.org", time.Time{}), of("", time.Now().Add(-time.Minute))
	if got := s.raw(show(anns)); !strings.Contains(got, "type='result'") {
		t.Errorf("good: %s", got)
	}
	if got := s.raw(show(old)); !strings.Contains(got, "<item-not-found") {
		t.Errorf("too old: %s", got)
	}
	p := newcomer(0, "<query xmlns='jabber:iq:register'><username>bob</username><password>a password</password></query>")
	p.Attrs += " preauth='" + old + "'"
	if s.Deliver(p); s.Next().Type != "result" {
		t.Error("it was shown in time, and refused later")
	}
	if err := account.Remove(ctx, s.store, "ann@example.org", nil); err != nil {
		t.Fatal(err)
	}
	if got := s.raw(show(anns)); !strings.Contains(got, "<item-not-found") {
		t.Errorf("of nobody any more: %s", got)
	}
}

// XEP-0379: somebody elsewhere shows the invitation, and is granted what he asks.
func TestContacts(t *testing.T) {
	s := run(t, sdktest.New(t, plan(`{}`), false))
	ann := s.user("ann")
	defer ann.Close()
	token := tokenIn.FindStringSubmatch(s.ask(ann, "set", inviting))[1]
	subscribe := func(from, token string) {
		s.Deliver(&packet.Packet{Name: "presence", Type: "subscribe", From: from, To: "ann@example.org", Body: []byte("<preauth xmlns='urn:xmpp:pars:0' token='" + token + "'/>")})
	}
	subscribe("eve@elsewhere.example", strings.Repeat("A", 26))
	if got := s.await(ann, "type='subscribe'"); !strings.Contains(got, "eve@elsewhere.example") {
		t.Errorf("a wrong token: %s", got)
	}
	subscribe("bob@elsewhere.example", token)
	got := map[string]bool{}
	for range 3 {
		p := s.Next()
		got[p.Type] = p.To == "bob@elsewhere.example"
	}
	if !got["subscribe"] || !got["subscribed"] || !got[""] {
		t.Errorf("bob is sent %v", got)
	}
	s.Deliver(&packet.Packet{Name: "presence", Type: "subscribed", From: "bob@elsewhere.example", To: "ann@example.org"})
	s.await(ann, "bob@elsewhere.example", "subscription='both'")
	subscribe("carl@elsewhere.example", token)
	s.await(ann, "type='subscribe'", "carl@elsewhere.example")
}

func TestExplains(t *testing.T) {
	s := run(t, sdktest.New(t, plan(`{"invite":{"by":"admins"}}`), false))
	iq := func(from, body string) *packet.Packet {
		return &packet.Packet{Name: "iq", Type: "set", ID: "1", From: from, To: host, Body: []byte(body)}
	}
	for want, p := range map[string]*packet.Packet{
		"claim: answers a client that has no account; who may register: invited": newcomer(0, ""),
		"pass: it is not about an account or an invitation":                      iq("ann@example.org/x", "<ping xmlns='urn:xmpp:ping'/>"),
		"claim: answers what ann@example.org asks for its account":               iq("ann@example.org/x", "<query xmlns='jabber:iq:register'/>"),
		"refuse: eve@elsewhere.example is no account of example.org":             iq("eve@elsewhere.example/x", "<query xmlns='jabber:iq:register'/>"),
		"refuse: ann@example.org may not invite":                                 iq("ann@example.org/x", inviting),
	} {
		step := s.Explain(p).Sections[0].Steps[0]
		if got := step.Verdict + ": " + step.Why; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
