package xml_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/jabberii/server/plugins/xmpp/ns"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

func ExampleElements() {
	body := []byte(`<body>Art thou not Romeo?</body><request xmlns='urn:xmpp:receipts'/>`)
	for el := range xml.Elements(body, ns.Client) {
		switch {
		case el.Is("body", ns.Client):
			fmt.Println("says:", el.Text())
		case el.Is("request", ns.Receipts):
			fmt.Println("wants a receipt")
		}
	}
	// Output:
	// says: Art thou not Romeo?
	// wants a receipt
}

func ExampleAppendStart() {
	b := xml.AppendStart(nil, "query", ns.Roster)
	b = xml.AppendStart(b, "item", "", "jid", "romeo@example.net", "name", "Romeo & co.", "ask", "")
	b = xml.AppendElement(b, "group", "", "Friends")
	b = xml.AppendEnd(b, "item")
	b = xml.AppendEnd(b, "query")
	fmt.Println(string(b))
	// Output:
	// <query xmlns='jabber:iq:roster'><item jid='romeo@example.net' name='Romeo &amp; co.'><group>Friends</group></item></query>
}

func TestElements(t *testing.T) {
	tests := []struct {
		name, body string
		want       []string // name|namespace|text of each
	}{
		{"none", ``, nil},
		{"text only", `x &lt; y`, nil},
		{"inherited namespace", `<a/>`, []string{"a|jabber:client|"}},
		{"namespaces", `<a xmlns='u'>x</a><p:b xmlns:p="v"/><c xmlns='&#117;&amp;'/><d xmlns=''/><xml:e/>`,
			[]string{"a|u|x", "b|v|", "c|u&|", "d||", "e|" + ns.XML + "|"}},
		{"text between", `x<a/>y<b/>z`, []string{"a|jabber:client|", "b|jabber:client|"}},
		{"same name within", `<a><a>x</a></a><b/>`, []string{"a|jabber:client|", "b|jabber:client|"}},
		{"tags in values", `<a b='</a>' c="/>">x</a>`, []string{"a|jabber:client|x"}},
		{"tags in CDATA", `<a><![CDATA[</a><b>]]></a><![CDATA[<c/>]]>`, []string{"a|jabber:client|</a><b>"}},
		{"text around elements", `<a>x&amp;<b>no</b>y<c/>` + "\r\n" + `<![CDATA[&]]></a>`, []string{"a|jabber:client|x&y\n&"}},
		{"end", `<a></a ><b/>`, []string{"a|jabber:client|", "b|jabber:client|"}},
		{"cut off", `<a/><b>`, []string{"a|jabber:client|"}},
		{"cut off in a tag", `<a/><b c='>`, []string{"a|jabber:client|"}},
		{"end of nothing", `<a/></b><c/>`, []string{"a|jabber:client|"}},
		{"prefix of nothing", `<a/><p:b/><c/>`, []string{"a|jabber:client|"}},
		{"comment", `<a/><!-- --><c/>`, []string{"a|jabber:client|"}},
		{"attribute without value", `<a/><b c/><d/>`, []string{"a|jabber:client|"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var got []string
			for el := range xml.Elements([]byte(test.body), ns.Client) {
				got = append(got, el.Name()+"|"+el.NS()+"|"+el.Text())
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("%q, want %q", got, test.want)
			}
		})
	}
}

func TestElement(t *testing.T) {
	body := []byte(`<p:x xmlns:p='urn:p' xmlns='urn:d' a='1' p:a="2&amp;" xml:lang='de'><y/><p:y xmlns:q='urn:q'><q:z q:b='3'/><w/></p:y></p:x>`)
	x, ok := xml.First(body, ns.Client)
	if !ok || !x.Is("x", "urn:p") || x.Is("x", "urn:d") || x.Is("y", "urn:p") || x.Lang() != "de" {
		t.Fatalf("%q", x.Outer())
	}
	if value, ok := x.LookupAttr("a"); !ok || value != "1" || x.Attr("b") != "" {
		t.Errorf("a is %q", value)
	}
	if _, ok := x.LookupAttr("b"); ok {
		t.Error("there is no b")
	}
	var attrs []string
	for a := range x.Attrs() {
		attrs = append(attrs, a.NS+"|"+string(a.Name)+"|"+string(a.Value))
	}
	if want := []string{"|a|1", "urn:p|a|2&", ns.XML + "|lang|de"}; !slices.Equal(attrs, want) {
		t.Errorf("attributes %q, want %q", attrs, want)
	}
	if _, ok := x.Find("y", ns.Client); ok {
		t.Error("y is in no such namespace")
	}
	if y, ok := x.Find("y", "urn:d"); !ok || string(y.Outer()) != "<y/>" || string(y.Append(nil)) != "<y xmlns='urn:d'/>" {
		t.Errorf("y is %q", y.Outer())
	}
	y, ok := x.Find("y", "urn:p")
	if want := `<p:y xmlns='urn:d' xmlns:p='urn:p' xmlns:q='urn:q'><q:z q:b='3'/><w/></p:y>`; !ok || string(y.Append(nil)) != want {
		t.Errorf("p:y moved is %q, want %q", y.Append(nil), want)
	}
	z, ok := y.Find("z", "urn:q")
	if want := `<q:z xmlns='urn:d' xmlns:q='urn:q' q:b='3'/>`; !ok || string(z.Append(nil)) != want {
		t.Errorf("q:z moved is %q, want %q", z.Append(nil), want)
	}
	if w, ok := y.Find("w", "urn:d"); !ok || w.NS() != "urn:d" {
		t.Errorf("w is in %q", w.NS())
	}
	if body, ok := xml.Find([]byte(`<a/><body>x</body>`), ns.Client, "body", ns.Client); !ok || string(body.Append(nil)) != `<body xmlns='jabber:client'>x</body>` {
		t.Errorf("body moved is %q", body.Append(nil))
	}
	if _, ok := xml.First([]byte("text"), ns.Client); ok {
		t.Error("a text has no first element")
	}
}

func TestAppend(t *testing.T) {
	tests := []struct {
		name string
		got  []byte
		want string
	}{
		{"text", xml.AppendText(nil, "a<b>&'\"\t\n\rü\x00\xff\uffff"), "a&lt;b&gt;&amp;'\"\t\n&#xD;ü\ufffd\ufffd\ufffd"},
		{"text of bytes", xml.AppendText([]byte("x"), []byte("]]>")), "x]]&gt;"},
		{"attribute", xml.AppendAttr(nil, "a", "'\"<>&\t\n\r"), ` a='&apos;&quot;&lt;&gt;&amp;&#x9;&#xA;&#xD;'`},
		{"start", xml.AppendStart(nil, "a", "urn:&", "b", "c", "d", "", "e", "<"), `<a xmlns='urn:&amp;' b='c' e='&lt;'>`},
		{"odd attributes", xml.AppendEmpty(nil, "a", "", "b", "c", "d"), `<a b='c'/>`},
		{"element", xml.AppendElement(nil, "a", "", "x&y", "b", "c"), `<a b='c'>x&amp;y</a>`},
		{"element without text", xml.AppendElement(nil, "a", "u", ""), `<a xmlns='u'/>`},
		{"unescaped", xml.AppendUnescaped(nil, []byte("&lt;<![CDATA[&lt;\r]]>\r\n&#x41;")), "<&lt;\n\nA"},
		{"unescaped, malformed", xml.AppendUnescaped(nil, []byte("a&b<c>")), "a&b<c>"},
	}
	for _, test := range tests {
		if string(test.got) != test.want {
			t.Errorf("%s: %q, want %q", test.name, test.got, test.want)
		}
	}
}

var servicesBody = []byte(`<body>Neither, fair saint, if either thee dislike &amp; so on.</body>` +
	`<active xmlns='http://jabber.org/protocol/chatstates'/><request xmlns='urn:xmpp:receipts'/>` +
	`<x xmlns='urn:x' xmlns:p='urn:p'><p:y><p:z/></p:y></x>`)

func TestElementAllocations(t *testing.T) {
	found := 0
	n := testing.AllocsPerRun(100, func() {
		for el := range xml.Elements(servicesBody, ns.Client) {
			if el.Is("request", ns.Receipts) {
				found++
			}
			if el.Name() == "active" && el.NS() == ns.ChatStates {
				found++
			}
		}
		if _, ok := xml.Find(servicesBody, ns.Client, "x", "urn:x"); ok {
			found++
		}
	})
	if n > 0 || found == 0 || found%3 != 0 {
		t.Errorf("%v allocations, found %d", n, found)
	}
	room := make([]byte, 0, 1024)
	text := strings.Repeat("a < b", 10)
	n = testing.AllocsPerRun(100, func() {
		b := xml.AppendStart(room, "a", "urn:a", "b", text)
		b = xml.AppendElement(b, "c", "", text, "d", "e")
		xml.AppendEnd(b, "a")
	})
	if n > 0 {
		t.Errorf("writing: %v allocations", n)
	}
}

func BenchmarkElements(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		for el := range xml.Elements(servicesBody, ns.Client) {
			if el.Is("none", ns.Receipts) {
				b.Fatal("found")
			}
		}
	}
}
