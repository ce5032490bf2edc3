package element_test

import (
	"errors"
	"reflect"
	"testing"

	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sdk/element"
	"github.com/jabberii/server/plugins/xmpp/jid"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

func TestElementsAndPackets(t *testing.T) {
	names := jid.NewCache(16)
	for name, c := range map[string]struct {
		in, out string // out, if it isn't in
		p       packet.Packet
		err     string
	}{
		"message": {
			in: `<message to='a@b/c' from='d' type='chat' id='1&lt;' xml:lang='de'><body>x &amp; y</body></message>`,
			p:  packet.Packet{To: "a@b/c", From: "d", Name: "message", Type: "chat", ID: "1<", Lang: "de", Body: []byte("<body>x &amp; y</body>")},
		},
		"prepared": {
			in: `<iq to='A@B' type='get'/>`, out: `<iq to='a@b' type='get'/>`,
			p: packet.Packet{To: "a@b", Name: "iq", Type: "get"},
		},
		"stanza namespace": {
			in: `<presence xmlns='jabber:component:accept' from='a@b'/>`, out: `<presence from='a@b'/>`,
			p: packet.Packet{From: "a@b", Name: "presence"},
		},
		"other namespace": {
			in: `<r xmlns='urn:xmpp:sm:3'/>`,
			p:  packet.Packet{Name: "r", NS: "urn:xmpp:sm:3"},
		},
		"other attributes": {
			in: `<message xmlns:x='urn:x' x:y='z' odd='1'><x:q/></message>`, out: `<message xmlns:x='urn:x' x:y='z' odd='1'><x:q xmlns:x='urn:x'/></message>`,
			p: packet.Packet{Name: "message", Attrs: ` xmlns:x='urn:x' x:y='z' odd='1'`, Body: []byte(`<x:q xmlns:x='urn:x'/>`)},
		},
		"no address": {
			in: `<message to='@' from='a'/>`, out: `<message from='a'/>`, err: "jid-malformed",
			p: packet.Packet{Name: "message", From: "a"},
		},
		"no addresses": {
			in: `<message to='@' from='a b@c'/>`, out: `<message/>`, err: "jid-malformed",
			p: packet.Packet{Name: "message"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			token, err := xml.NewScanner(xml.Limits{}).Document([]byte(c.in))
			if err != nil {
				t.Fatal(err)
			}
			p, err := element.Packet(token, names)
			var bad *packet.Reject
			if errors.As(err, &bad) != (c.err != "") || bad != nil && bad.Condition != c.err {
				t.Errorf("got %v, want %q", err, c.err)
			}
			if len(p.Body) == 0 {
				p.Body = nil
			}
			if !reflect.DeepEqual(p, c.p) {
				t.Errorf("got  %+v\nwant %+v", p, c.p)
			}
			if c.out == "" {
				c.out = c.in
			}
			if out := string(element.Append(nil, &p)); out != c.out {
				t.Errorf("got  %s\nwant %s", out, c.out)
			}
		})
	}
}
