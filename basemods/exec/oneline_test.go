package exec

import (
	"bytes"
	"encoding/json"
	stdxml "encoding/xml"
	"fmt"
	"strings"
	"testing"

	"github.com/jabberii/server/plugins/xmpp/jid"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

// meaning returns what an element says, by another parser.
func meaning(t *testing.T, element []byte) string {
	t.Helper()
	var out strings.Builder
	d := stdxml.NewDecoder(bytes.NewReader(element))
	for {
		token, err := d.Token()
		if token == nil {
			return out.String()
		}
		if err != nil {
			t.Fatalf("%q: %v", element, err)
		}
		switch token := token.(type) {
		case stdxml.StartElement:
			fmt.Fprintf(&out, "<%v", token.Name)
			for _, a := range token.Attr { // which encoding/xml does not normalize
				fmt.Fprintf(&out, " %v=%q", a.Name, strings.NewReplacer("\n", " ", "\t", " ", "\r", " ").Replace(a.Value))
			}
			out.WriteByte('>')
		case stdxml.EndElement:
			out.WriteString("</>")
		case stdxml.CharData:
			out.Write(token)
		}
	}
}

// Whatever can come through the tree is one line for a program, and says the same.
func FuzzOneLine(f *testing.F) {
	for _, s := range []string{
		"<a/>", "<a>\n</a>", "<a\nb='\n>'\n>1<![CDATA[\n]]>\n<c d=\"'\n'\"/></a\n>", "<a><![CDATA[]]]]><![CDATA[>\n]]></a>",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, element []byte) {
		element = bytes.TrimSpace(element)
		if _, err := xml.NewScanner(xml.Limits{}).Document(element); err != nil || bytes.ContainsRune(element, '\r') {
			return
		}
		line := appendOneLine(nil, element)
		if bytes.ContainsRune(line, '\n') {
			t.Fatalf("%q has more than one line", line)
		}
		if _, err := xml.NewScanner(xml.Limits{Bytes: 1 << 20}).Document(line); err != nil {
			t.Fatalf("%q became %q: %v", element, line, err)
		}
		if was, is := meaning(t, element), meaning(t, line); was != is {
			t.Fatalf("%q became %q\nwas %s\nis  %s", element, line, was, is)
		}
	})
}

// Whatever a program says in JSON is refused, or is a packet whose parts are one
// well-formed element and whose addresses are prepared.
func FuzzHear(f *testing.F) {
	for _, s := range []string{
		`{"to":"A@b/c","from":"d","name":"message","body":"<body>x</body>"}`,
		`{"name":"message","attrs":" a='1'><x","body":"</x>"}`,
		`{"name":"message foo='1'"}`, `{"name":"a","ns":"urn:x'","attrs":"/>","body":"<b/>"}`,
		`{"kind":"log","from":"c2s","name":"entry","attrs":" to='x'"}`,
	} {
		f.Add([]byte(s))
	}
	h := hearer{names: jid.NewCache(16)}
	f.Fuzz(func(t *testing.T, line []byte) {
		var s said
		if json.Unmarshal(line, &s) != nil {
			return
		}
		p, err := h.hear(&s)
		if err != nil {
			return
		}
		again := say(&p)
		q, err := h.hear(again)
		if err != nil || q.Name != p.Name || q.Attrs != p.Attrs || string(q.Body) != string(p.Body) || q.To != p.To || q.From != p.From {
			t.Fatalf("%s\nwas  %+v\nthen %+v, %v", line, p, q, err)
		}
		if err := xml.Check(p.Body, xml.Limits{}); err != nil {
			t.Fatalf("%s: body %q: %v", line, p.Body, err)
		}
	})
}
