package stanza_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/jabberii/server/plugins/xmpp/jid"
	"github.com/jabberii/server/plugins/xmpp/ns"
	"github.com/jabberii/server/plugins/xmpp/stanza"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

func ExampleStanza_Append() {
	ping := stanza.Stanza{Name: stanza.IQ, Type: stanza.TypeGet, ID: "1", To: jid.MustParse("example.org")}
	ping.Body = xml.AppendEmpty(nil, "ping", ns.Ping)
	fmt.Println(string(ping.Append(nil, "")))
	fmt.Println(string(ping.Result(nil).Append(nil, ns.Client)))
	// Output:
	// <iq to='example.org' type='get' id='1'><ping xmlns='urn:xmpp:ping'/></iq>
	// <iq xmlns='jabber:client' from='example.org' type='result' id='1'/>
}

// scan returns the only stanza in text.
func scan(t *testing.T, text string) *xml.Token {
	t.Helper()
	tok, err := xml.NewScanner(xml.Limits{}).Document([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

func TestRoundTrip(t *testing.T) {
	for _, text := range []string{
		`<message xmlns='jabber:client'/>`,
		`<message xmlns='jabber:server' to='a@b/c' from='d' type='chat' id='&lt;&apos;' xml:lang='de'><body>x</body></message>`,
		`<presence xmlns='jabber:client' id='1' xmlns:p='urn:p' p:q='1' foo="bar"/>`,
	} {
		tok := scan(t, text)
		s, err := stanza.FromToken(tok)
		if err != nil {
			t.Fatal(err)
		}
		if got := string(s.Append(nil, tok.NS)); got != text {
			t.Errorf("%s, want %s", got, text)
		}
	}
}

// The scanner's bytes are gone with its next token, a stanza stays.
func TestFromTokenCopies(t *testing.T) {
	b := []byte(`<iq xmlns='jabber:client' to='a@b' id='1' x='y' type='get'><ping xmlns='urn:xmpp:ping'/></iq>`)
	tok, err := xml.NewScanner(xml.Limits{}).Document(b)
	if err != nil {
		t.Fatal(err)
	}
	s, err := stanza.FromToken(tok)
	clear(b)
	want := `<iq to='a@b' type='get' id='1' x='y'><ping xmlns='urn:xmpp:ping'/></iq>`
	if got := string(s.Append(nil, "")); err != nil || got != want {
		t.Errorf("%s, %v, want %s", got, err, want)
	}
}

func TestMalformedAddress(t *testing.T) {
	for _, text := range []string{`<iq to='@' from='a@b' id='1' type='get'/>`, `<iq to='a@b' from='' id='1' type='get'/>`} {
		s, err := stanza.FromToken(scan(t, text))
		var e *stanza.Error
		if !errors.As(err, &e) || e.Condition != stanza.JIDMalformed || e.Text == "" || s.ID != "1" || s.To.IsZero() == s.From.IsZero() {
			t.Errorf("%s: %+v, %v", text, s, err)
		}
	}
}

func TestLooking(t *testing.T) {
	s, _ := stanza.FromToken(scan(t, `<message xmlns='jabber:server'> <body xmlns='jabber:server'>x</body><active xmlns='http://jabber.org/protocol/chatstates'/></message>`))
	if body, ok := s.Find("body", ns.Client); !ok || body.Text() != "x" {
		t.Errorf("the body of a message of a server is %q", body.Text())
	}
	if first, ok := s.Payload(); !ok || !first.Is("body", ns.Client) {
		t.Errorf("the first element is %q", first.Outer())
	}
	n := 0
	for range s.Elements() {
		n++
	}
	if n != 2 {
		t.Errorf("%d elements", n)
	}
}

func TestReplies(t *testing.T) {
	s := stanza.Stanza{Name: stanza.IQ, Type: stanza.TypeSet, ID: "1", Lang: "de", To: jid.MustParse("a"), From: jid.MustParse("b@c/d"), Rest: []byte(" x='y'"), Body: []byte("<z/>")}
	tests := []struct {
		name string
		got  stanza.Stanza
		want string
	}{
		{"reply", s.Reply(), `<iq to='b@c/d' from='a' id='1'/>`},
		{"result", s.Result([]byte("<w/>")), `<iq to='b@c/d' from='a' type='result' id='1'><w/></iq>`},
		{"error", s.ErrorReply(&stanza.Error{Condition: stanza.NotAllowed}),
			`<iq to='b@c/d' from='a' type='error' id='1'><error type='cancel'><not-allowed xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>`},
	}
	for _, test := range tests {
		if got := string(test.got.Append(nil, "")); got != test.want {
			t.Errorf("%s: %s, want %s", test.name, got, test.want)
		}
	}
}

func TestTypes(t *testing.T) {
	all := []string{"", stanza.TypeError, stanza.TypeChat, stanza.TypeGroupchat, stanza.TypeHeadline, stanza.TypeNormal,
		stanza.TypeUnavailable, stanza.TypeSubscribe, stanza.TypeSubscribed, stanza.TypeUnsubscribe, stanza.TypeUnsubscribed,
		stanza.TypeProbe, stanza.TypeGet, stanza.TypeSet, stanza.TypeResult, "other"}
	tests := []struct {
		name, types, answerable, requests string // one letter a type, in the order above
	}{
		{stanza.Message, "yyyyyy----------", "y-yyyyyyyyyyyyyy", "----------------"},
		{stanza.Presence, "yy----yyyyyy----", "y-yyyy-y----yyyy", "----------------"},
		{stanza.IQ, "-y----------yyy-", "y-yyyyyyyyyyyy-y", "------------yy--"},
		{"other", "----------------", "y-yyyyyyyyyyyyyy", "----------------"},
	}
	letter := func(yes bool) string {
		if yes {
			return "y"
		}
		return "-"
	}
	for _, test := range tests {
		var types, answerable, requests string
		for _, kind := range all {
			s := stanza.Stanza{Name: test.name, Type: kind}
			types += letter(stanza.IsType(test.name, kind))
			answerable += letter(s.Answerable())
			requests += letter(s.IsRequest())
		}
		if types != test.types || answerable != test.answerable || requests != test.requests {
			t.Errorf("%s: types %s, answerable %s, requests %s", test.name, types, answerable, requests)
		}
		if stanza.IsName(test.name) != (test.name != "other") {
			t.Errorf("%s is a name: %v", test.name, stanza.IsName(test.name))
		}
	}
	for space, want := range map[string]bool{ns.Client: true, ns.Server: true, ns.ComponentAccept: true, ns.ComponentConnect: true, ns.Stream: false, "": false} {
		if stanza.IsNS(space) != want {
			t.Errorf("%q has stanzas: %v", space, !want)
		}
	}
}
