package link_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sdk/element"
	"github.com/jabberii/server/plugins/sdk/link"
	"github.com/jabberii/server/plugins/xmpp/jid"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

// TestTheGate: what a peer may not send is refused, and the connection goes on.
func TestTheGate(t *testing.T) {
	p := newPair(t, func(c *link.Config) {
		c.Admit = func(domain string) bool { return domain == "near.example" }
		c.Packet = 1000
	})
	p.connect(p.dial())
	for name, c := range map[string]struct {
		change    func(*packet.Packet)
		condition string
		text      string
	}{
		"another's host":       {func(p *packet.Packet) { p.From = "ann@far.example" }, "not-allowed", "does not speak for far.example"},
		"no sender":            {func(p *packet.Packet) { p.From = "" }, "bad-request", "both addresses"},
		"no receiver":          {func(p *packet.Packet) { p.To = "" }, "bad-request", "both addresses"},
		"an address":           {func(p *packet.Packet) { p.From = "a b@near.example" }, "jid-malformed", ""},
		"no stanza":            {func(p *packet.Packet) { p.Name = "stream:error" }, "bad-request", "stanzas only"},
		"another namespace":    {func(p *packet.Packet) { p.NS = "x:y" }, "bad-request", "stanzas only"},
		"an end tag":           {func(p *packet.Packet) { p.Body = []byte("</message><message from='x@far.example'>") }, "bad-request", ""},
		"an open element":      {func(p *packet.Packet) { p.Body = []byte("<body>") }, "bad-request", ""},
		"an unknown prefix":    {func(p *packet.Packet) { p.Body = []byte("<x:body/>") }, "bad-request", ""},
		"a second from":        {func(p *packet.Packet) { p.Attrs = " from='x@far.example'" }, "bad-request", ""},
		"the end of a tag":     {func(p *packet.Packet) { p.Attrs = "><body/" }, "bad-request", ""},
		"an attribute twice":   {func(p *packet.Packet) { p.Attrs = " id='2'" }, "bad-request", ""},
		"a namespace":          {func(p *packet.Packet) { p.Attrs = " xmlns='x:y'" }, "bad-request", ""},
		"a control character":  {func(p *packet.Packet) { p.ID = "a\x01b" }, "bad-request", ""},
		"too large a packet":   {func(p *packet.Packet) { p.Body = bytes.Repeat([]byte("x"), 1001) }, "policy-violation", "larger"},
		"the 32nd hop":         {func(p *packet.Packet) { p.Hops = 31 }, "resource-constraint", "loop"},
		"hops beyond counting": {func(p *packet.Packet) { p.Hops = 255 }, "resource-constraint", "loop"},
	} {
		t.Run(name, func(t *testing.T) {
			m := message("1", "ann@near.example", "bob@far.example")
			c.change(m)
			if text := refusal(t, await(t, "a verdict", p.near.post(m, module.Name{})), c.condition); !strings.Contains(text, c.text) {
				t.Errorf("the text is %q, want %q", text, c.text)
			}
		})
	}
	m := message("quotes", "Ann@NEAR.example", "bob@far.example/desk")
	m.ID, m.Lang, m.Attrs, m.Host, m.Section = `a'b"<&>`, "de", " xmlns:x='x:y' x:z='1'", "near.example", "s"
	m.Flags = packet.Redelivered | packet.Down
	if v := await(t, "a verdict", p.near.post(m, module.Name{})); v.err != nil {
		t.Fatal(v.err)
	}
	got := p.far.h.Next()
	if got.From != "ann@near.example" || got.ID != m.ID || got.Lang != "de" || got.Attrs != m.Attrs || got.Host != "" || got.Section != "" || got.Flags != packet.Redelivered {
		t.Errorf("arrived as %+v", got)
	}
	if rest := p.far.h.Received(); len(rest) > 0 {
		t.Errorf("there also came %+v", rest)
	}
}

// FuzzGate: whatever passes the gate is, written to a stream, one element with the
// addresses that were judged.
func FuzzGate(f *testing.F) {
	f.Add("chat", "1", "en", " x='y'", []byte("<body>hello</body>"))
	f.Add("", "", "", "><a", []byte("</message>"))
	f.Add("a'b", "\"", "<", " xmlns:a='b' a:c='d'", []byte("<a:b xmlns:a='c'>&amp;</a:b>"))
	f.Fuzz(func(t *testing.T, typ, id, lang, attrs string, body []byte) {
		p := packet.Packet{Name: "message", From: "a@near.example", To: "b@far.example", Type: typ, ID: id, Lang: lang, Attrs: attrs, Body: body}
		if link.Judge(&p) != nil {
			return
		}
		tok, err := xml.NewScanner(xml.Limits{}).Document(element.Append(nil, &p))
		if err != nil {
			t.Fatalf("%q: %v", element.Append(nil, &p), err)
		}
		q, err := element.Packet(tok, jid.NewCache(1))
		if err != nil || q.From != p.From || q.To != p.To || q.Name != p.Name || q.ID != p.ID || q.Type != p.Type || !bytes.Equal(q.Body, p.Body) {
			t.Fatalf("%+v was judged, %+v is written, %v", p, q, err)
		}
	})
}
