package xml_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/jabberii/server/plugins/xmpp/ns"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

const header = `<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' ` +
	`to='example.org' from='ann@example.org' version='1.0' xml:lang='en'>`

// message is 300 bytes, as clients send them.
const message = `<message to='juliet@capulet.example/balcony' from='romeo@montague.example/orchard' type='chat' ` +
	`id='ktx72v49-1b2c-4d3e'><body>Neither, fair saint, if either thee dislike &amp; so on.</body>` +
	`<active xmlns='http://jabber.org/protocol/chatstates'/><request xmlns='urn:xmpp:receipts'/>` +
	`<x xmlns='urn:x'/></message>`

func TestNext(t *testing.T) {
	s := xml.NewScanner(xml.Limits{})
	b := []byte(header + " \n" + message + `<r xmlns='urn:xmpp:sm:3'/></stream:stream>`)
	tok, n, err := s.Next(b)
	if err != nil || tok == nil || tok.Kind != xml.Open || tok.Name != "stream" || tok.NS != ns.Stream || tok.Lang != "en" || string(tok.Attr("version")) != "1.0" {
		t.Fatalf("header: %+v, %v", tok, err)
	}
	b = b[n:]
	tok, n, err = s.Next(b)
	if err != nil || tok == nil || tok.Name != "message" || tok.NS != ns.Client || tok.Lang != "en" ||
		string(tok.To) != "juliet@capulet.example/balcony" || tok.Type != "chat" || tok.Rest != nil {
		t.Fatalf("message: %+v, %v", tok, err)
	}
	if got, want := string(tok.Body), message[strings.Index(message, "<body>"):len(message)-len("</message>")]; got != want {
		t.Fatalf("body %q, want %q", got, want)
	}
	if el, ok := xml.Find(tok.Body, ns.Client, "body", ns.Client); !ok || el.Text() != "Neither, fair saint, if either thee dislike & so on." {
		t.Fatalf("body element: %q", el.Outer())
	}
	b = b[n:]
	tok, n, err = s.Next(b)
	if err != nil || tok == nil || tok.Name != "r" || tok.NS != ns.StreamManagement || len(tok.Body) != 0 {
		t.Fatalf("r: %+v, %v", tok, err)
	}
	b = b[n:]
	tok, n, err = s.Next(b)
	if err != nil || tok == nil || tok.Kind != xml.Close || n != len(b) {
		t.Fatalf("close: %+v, %v", tok, err)
	}
	if _, _, err = s.Next([]byte("<x/>")); !errors.Is(err, xml.ErrFormat) {
		t.Fatalf("after the end: %v", err)
	}
}

func BenchmarkNext(b *testing.B) {
	s := xml.NewScanner(xml.Limits{})
	if _, _, err := s.Next([]byte(header)); err != nil {
		b.Fatal(err)
	}
	in := []byte(message)
	b.SetBytes(int64(len(in)))
	b.ReportAllocs()
	for b.Loop() {
		if tok, _, err := s.Next(in); tok == nil || err != nil {
			b.Fatal(err)
		}
	}
}
