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

// message has about 300 bytes and is as clients send it.
const message = `<message to='juliet@capulet.example/balcony' from='romeo@montague.example/orchard' type='chat' ` +
	`id='ktx72v49-1b2c-4d3e'><body>Neither, fair saint, if either thee dislike &amp; so on.</body>` +
	`<active xmlns='http://jabber.org/protocol/chatstates'/><request xmlns='urn:xmpp:receipts'/>` +
	`<x xmlns='urn:x'/></message>`

// started returns a scanner that has seen the header of a stream.
func started(t testing.TB, limits xml.Limits) *xml.Scanner {
	t.Helper()
	s := xml.NewScanner(limits)
	tok, n, err := s.Next([]byte(header))
	if err != nil || tok == nil || tok.Kind != xml.Open || n != len(header) {
		t.Fatalf("header: %v %d %v", tok, n, err)
	}
	return s
}

func TestStream(t *testing.T) {
	s := xml.NewScanner(xml.Limits{})
	b := []byte("\n" + header + " \n" + message + `<r xmlns='urn:xmpp:sm:3'/></stream:stream >` + "\n")
	next := func() *xml.Token {
		t.Helper()
		tok, n, err := s.Next(b)
		if err != nil || tok == nil {
			t.Fatalf("%q: %v, %v", b, tok, err)
		}
		b = b[n:]
		return tok
	}
	tok := next()
	if tok.Kind != xml.Open || tok.Name != "stream" || tok.NS != ns.Stream || tok.Default != ns.Client || tok.Lang != "en" ||
		string(tok.To) != "example.org" || string(tok.From) != "ann@example.org" || string(tok.Attr("version")) != "1.0" ||
		len(tok.Declared) != 1 || tok.Declared[0] != ns.Stream {
		t.Errorf("header: %+v", tok)
	}
	tok = next()
	if tok.Kind != xml.Child || tok.Name != "message" || tok.NS != ns.Client || tok.Default != ns.Client || tok.Lang != "en" ||
		string(tok.To) != "juliet@capulet.example/balcony" || string(tok.From) != "romeo@montague.example/orchard" ||
		tok.Type != "chat" || string(tok.ID) != "ktx72v49-1b2c-4d3e" || tok.Rest != nil || tok.Attr("foo") != nil {
		t.Errorf("message: %+v", tok)
	}
	if got, want := string(tok.Body), message[strings.Index(message, "<body>"):len(message)-len("</message>")]; got != want {
		t.Errorf("body %q, want %q", got, want)
	}
	if tok = next(); tok.Kind != xml.Child || tok.Name != "r" || tok.NS != ns.StreamManagement || len(tok.Body) != 0 || tok.To != nil || tok.Type != "" {
		t.Errorf("r: %+v", tok)
	}
	if tok = next(); tok.Kind != xml.Close {
		t.Errorf("close: %+v", tok)
	}
	if tok, n, err := s.Next(b); tok != nil || n != len(b) || err != nil {
		t.Errorf("white space after the end: %v %d %v", tok, n, err)
	}
	if _, _, err := s.Next([]byte("<x/>")); !errors.Is(err, xml.ErrFormat) {
		t.Errorf("an element after the end: %v", err)
	}
	s.Reset()
	b = []byte(`<a xmlns='urn:a'/>`)
	if tok = next(); tok.Kind != xml.Open || tok.Name != "a" || tok.NS != "urn:a" || tok.Lang != "" {
		t.Errorf("the next stream: %+v", tok)
	}
	if tok = next(); tok.Kind != xml.Close {
		t.Errorf("the end of the next stream: %+v", tok)
	}
}

func TestSyntaxErrors(t *testing.T) {
	tests := []struct {
		name, in string // after the header of a stream
		want     error
		offset   int
	}{
		{"comment", `<a><!-- x --></a>`, xml.ErrRestricted, 3},
		{"comment between", `<!-- x -->`, xml.ErrRestricted, 0},
		{"processing instruction", `<a><?x y?></a>`, xml.ErrRestricted, 3},
		{"late declaration", `<?xml version='1.0'?>`, xml.ErrRestricted, 0},
		{"document type", `<!DOCTYPE x>`, xml.ErrRestricted, 0},
		{"entity", `<a>&nbsp;</a>`, xml.ErrRestricted, 3},
		{"entity in a value", `<a b='&nbsp;'/>`, xml.ErrRestricted, 6},
		{"CDATA between", `<![CDATA[x]]>`, xml.ErrFormat, 0},
		{"text between", `x<a/>`, xml.ErrFormat, 0},
		{"end of something else", `<a><b></a></b>`, xml.ErrNotWellFormed, 6},
		{"end with a longer name", `<a></ab>`, xml.ErrNotWellFormed, 3},
		{"end with a shorter name", `<ab></a>`, xml.ErrNotWellFormed, 4},
		{"end with another prefix", `<a xmlns:p='x'><p:b></b></a>`, xml.ErrNotWellFormed, 20},
		{"end with an attribute", `<a></a b='c'>`, xml.ErrNotWellFormed, 3},
		{"end of another stream", `</stream>`, xml.ErrNotWellFormed, 0},
		{"no name", `< a/>`, xml.ErrNotWellFormed, 1},
		{"bad name", `<1a/>`, xml.ErrNotWellFormed, 1},
		{"bad character in a name", "<a\u00d7/>", xml.ErrNotWellFormed, 2},
		{"no local name", `<stream:/>`, xml.ErrNotWellFormed, 8},
		{"no prefix", `<:a/>`, xml.ErrNotWellFormed, 1},
		{"two colons", `<stream:a:b/>`, xml.ErrNotWellFormed, 9},
		{"no value", `<a b/>`, xml.ErrNotWellFormed, 4},
		{"no quotes", `<a b=c/>`, xml.ErrNotWellFormed, 5},
		{"no space", `<a b='1'c='2'/>`, xml.ErrNotWellFormed, 8},
		{"slash in a tag", `<a / >`, xml.ErrNotWellFormed, 4},
		{"less-than in a value", `<a b='<'/>`, xml.ErrNotWellFormed, 6},
		{"attribute twice", `<a b='1' b='2'/>`, xml.ErrNotWellFormed, 9},
		{"attribute twice by namespace", `<a xmlns:p='u' xmlns:q='&#117;' p:b='1' q:b='2'/>`, xml.ErrNotWellFormed, 42},
		{"default namespace twice", `<a xmlns='1' xmlns='2'/>`, xml.ErrNotWellFormed, 13},
		{"prefix of an element", `<p:a/>`, xml.ErrNotWellFormed, 1},
		{"prefix of an attribute", `<a p:b='1'/>`, xml.ErrNotWellFormed, 3},
		{"prefix out of scope", `<a><b xmlns:p='u'/><p:c/></a>`, xml.ErrNotWellFormed, 20},
		{"prefix undeclared", `<a xmlns:stream=''/>`, xml.ErrNotWellFormed, 9},
		{"prefix xmlns declared", `<a xmlns:xmlns='x'/>`, xml.ErrNotWellFormed, 9},
		{"prefix xmlns used", `<xmlns:a/>`, xml.ErrNotWellFormed, 1},
		{"prefix xml misused", `<a xmlns:xml='x'/>`, xml.ErrNotWellFormed, 9},
		{"namespace of xml", `<a xmlns='http://www.w3.org/XML/1998/namespace'/>`, xml.ErrNotWellFormed, 3},
		{"end of CDATA in text", `<a>x]]></a>`, xml.ErrNotWellFormed, 6},
		{"bare ampersand", `<a>x & y</a>`, xml.ErrNotWellFormed, 5},
		{"reference to no character", `<a>&#0;</a>`, xml.ErrNotWellFormed, 3},
		{"reference to a surrogate", `<a>&#xD800;</a>`, xml.ErrNotWellFormed, 3},
		{"reference too large", `<a>&#1114112;</a>`, xml.ErrNotWellFormed, 3},
		{"reference without number", `<a>&#x;</a>`, xml.ErrNotWellFormed, 3},
		{"reference in upper case", `<a>&#X41;</a>`, xml.ErrNotWellFormed, 3},
		{"control character", "<a>\x01</a>", xml.ErrNotWellFormed, 3},
		{"NUL in a value", "<a b='\x00'/>", xml.ErrNotWellFormed, 6},
		{"U+FFFE", "<a>\ufffe</a>", xml.ErrNotWellFormed, 3},
		{"not UTF-8", "<a>\xff</a>", xml.ErrEncoding, 3},
		{"overlong", "<a>\xc0\xbc</a>", xml.ErrEncoding, 3},
		{"surrogate in UTF-8", "<a>\xed\xa0\x80</a>", xml.ErrEncoding, 3},
		{"not UTF-8 between", "\xff", xml.ErrEncoding, 0},
		{"not UTF-8 in CDATA", "<a><![CDATA[\xff]]></a>", xml.ErrEncoding, 12},
		{"not UTF-8 in a name", "<a\xff/>", xml.ErrEncoding, 2},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := started(t, xml.Limits{})
			tok, _, err := s.Next([]byte(test.in))
			var syntax *xml.SyntaxError
			if !errors.As(err, &syntax) || !errors.Is(err, test.want) || syntax.Offset != test.offset {
				t.Fatalf("%+v, %v, want %v at byte %d", tok, err, test.want, test.offset)
			}
			if _, _, again := s.Next([]byte("<a/>")); again != err {
				t.Errorf("afterwards %v", again)
			}
		})
	}
}

func TestStartOfStream(t *testing.T) {
	tests := []struct {
		name, in string
		want     error
	}{
		{"declaration", `<?xml version="1.0" encoding='utf-8'?><a>`, nil},
		{"declaration with all", `<?xml version="1.0" encoding="UTF-8" standalone='no' ?> <a>`, nil},
		{"none", `<a>`, nil},
		{"other encoding", `<?xml version='1.0' encoding='iso-8859-1'?><a>`, xml.ErrEncoding},
		{"other version", `<?xml version='1.1'?><a>`, xml.ErrNotWellFormed},
		{"no version", `<?xml encoding='utf-8'?><a>`, xml.ErrNotWellFormed},
		{"other order", `<?xml version='1.0' standalone='yes' encoding='utf-8'?><a>`, xml.ErrNotWellFormed},
		{"unknown", `<?xml version='1.0' x='yes'?><a>`, xml.ErrNotWellFormed},
		{"twice", `<?xml version='1.0'?><?xml version='1.0'?><a>`, xml.ErrRestricted},
		{"instruction", `<?xml-stylesheet version='1.0'?><a>`, xml.ErrRestricted},
		{"endless", `<?xml version='1.0' ` + strings.Repeat(" ", 300), xml.ErrNotWellFormed},
		{"UTF-16", "\xfe\xff\x00<", xml.ErrEncoding},
		{"UTF-16 without mark", "<\x00a\x00", xml.ErrEncoding},
		{"byte order mark", "\ufeff<a>", xml.ErrNotWellFormed},
		{"text", `x`, xml.ErrNotWellFormed},
		{"end", `</a>`, xml.ErrNotWellFormed},
		{"document type", `<!DOCTYPE a><a>`, xml.ErrRestricted},
		{"prefix", `<p:a>`, xml.ErrNotWellFormed},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			tok, _, err := xml.NewScanner(xml.Limits{}).Next([]byte(test.in))
			if !errors.Is(err, test.want) || (err == nil) != (tok != nil && tok.Kind == xml.Open && tok.Name == "a") {
				t.Errorf("%+v, %v, want %v", tok, err, test.want)
			}
		})
	}
}

func TestBody(t *testing.T) {
	tests := []struct{ name, in, want, rest string }{
		{"as it is", `<a><b c="d" >&lt;<e/></b > x</a>`, `<b c="d" >&lt;<e/></b > x`, ``},
		{"empty", `<a></a>`, ``, ``},
		{"no content", `<a/>`, ``, ``},
		{"text only", `<a>x<![CDATA[</a>]]></a>`, `x<![CDATA[</a>]]>`, ``},
		{"prefix of the stream",
			`<a><stream:b/><c stream:d=''/></a>`,
			`<stream:b xmlns:stream='http://etherx.jabber.org/streams'/><c xmlns:stream='http://etherx.jabber.org/streams' stream:d=''/>`, ``},
		{"prefix of the element, once a child",
			`<a xmlns:p="'u'"><b><p:c p:d=''/></b><p:e/></a>`,
			`<b xmlns:p="'u'"><p:c p:d=''/></b><p:e xmlns:p="'u'"/>`, ``},
		{"prefix hidden by the child",
			`<a xmlns:p='u'><p:b xmlns:p='v'><p:c/></p:b></a>`,
			`<p:b xmlns:p='v'><p:c/></p:b>`, ``},
		{"prefix hidden further inside",
			`<a xmlns:p='u'><b><p:c xmlns:p='v'/><p:d/></b></a>`,
			`<b xmlns:p='u'><p:c xmlns:p='v'/><p:d/></b>`, ``},
		{"prefix of the stream hidden by the element",
			`<a xmlns:stream='u'><stream:b/></a>`, `<stream:b xmlns:stream='u'/>`, ``},
		{"namespace of the element repeated",
			`<a><b  xmlns='jabber:client' c='d'><e xmlns='jabber:client'/></b></a>`,
			`<b c='d'><e xmlns='jabber:client'/></b>`, ``},
		{"namespace of the element repeated, prefix borrowed",
			`<a><b xmlns='jabber:client'><stream:c/></b></a>`,
			`<b xmlns:stream='http://etherx.jabber.org/streams'><stream:c/></b>`, ``},
		{"namespace of its own", `<a xmlns='urn:a'><b/></a>`, `<b/>`, ``},
		{"namespace by prefix",
			`<stream:a><b/><stream:c/><d xmlns='urn:d'/></stream:a>`,
			`<b xmlns='jabber:client'/><stream:c xmlns:stream='http://etherx.jabber.org/streams' xmlns='jabber:client'/><d xmlns='urn:d'/>`, ``},
		{"no namespace", `<p:a xmlns:p='u' xmlns=''><b/></p:a>`, `<b xmlns=''/>`, ``},
		{"other attributes",
			`<a to='t' foo = "b&amp;r" stream:x='1' stream:y='2' xml:lang='de' xml:base='z' xmlns:q='unused'/>`, ``,
			` foo = "b&amp;r" xmlns:stream='http://etherx.jabber.org/streams' stream:x='1' stream:y='2' xml:base='z'`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			tok, n, err := started(t, xml.Limits{}).Next([]byte(test.in))
			if err != nil || tok == nil || n != len(test.in) {
				t.Fatalf("%v %d %v", tok, n, err)
			}
			if string(tok.Body) != test.want || string(tok.Rest) != test.rest {
				t.Errorf("body %q, rest %q\nwant %q, rest %q", tok.Body, tok.Rest, test.want, test.rest)
			}
		})
	}
}

func TestValues(t *testing.T) {
	s := started(t, xml.Limits{})
	tok, _, err := s.Next([]byte(`<a to='&lt;&gt;&amp;&quot;&apos;&#65;&#x1F600;' from="'" id='` + "1\r\n2\t3\r4" + `&#10;5' xml:lang='de' type='&#103;et'/>`))
	if err != nil || tok == nil {
		t.Fatal(tok, err)
	}
	if string(tok.To) != `<>&"'A😀` || string(tok.From) != "'" || string(tok.ID) != "1 2 3 4\n5" || tok.Lang != "de" || tok.Type != "get" {
		t.Errorf("%+v", tok)
	}
	tok, _, err = s.Next([]byte(`<a xml:lang='' id='1'/>`)) // in no language, which isn't that of the stream
	if err != nil || tok == nil || tok.Lang != "" || string(tok.Rest) != " xml:lang=''" {
		t.Errorf("%+v, %v", tok, err)
	}
	tok, _, err = s.Next([]byte(`<a to='' p:to='x' xmlns:p='u'/>`))
	if err != nil || tok == nil || tok.To == nil || len(tok.To) != 0 || tok.Lang != "en" || tok.Type != "" || len(tok.Attrs) != 2 || tok.Attrs[1].NS != "u" {
		t.Errorf("%+v, %v", tok, err)
	}
}

func TestNames(t *testing.T) {
	starts := "AZ_az\u00c0\u00d6\u00d8\u00f6\u00f8\u02ff\u0370\u037d\u037f\u1fff\u200c\u200d\u2070\u218f\u2c00\u2fef\u3001\ud7ff\uf900\ufdcf\ufdf0\ufffd\U00010000\U000effff"
	others := "-.09\u00b7\u0300\u036f\u203f\u2040"
	never := "@[^\x60{,/;\u007f\u00bf\u00d7\u00f7\u037e\u2000\u200b\u200e\u203e\u2041\u206f\u2190\u2bff\u2ff0\u3000\ue000\uf8ff\ufdd0\ufdef\U000f0000"
	for class, chars := range map[string]string{"start": starts, "other": others, "never": never} {
		for _, c := range chars {
			first := xml.Check([]byte("<"+string(c)+" "+string(c)+"='' stream"+string(c)+"=''/>"), xml.Limits{}) == nil
			second := xml.Check([]byte("<a"+string(c)+"/>"), xml.Limits{}) == nil
			if first != (class == "start") || second != (class != "never") && c != '/' {
				t.Errorf("%q is %s: %v %v", c, class, first, second)
			}
		}
	}
}

func TestReferences(t *testing.T) {
	for in, want := range map[string]string{
		"&lt;&gt;&amp;&apos;&quot;":            "<>&'\"",
		"&#9;&#10;&#13;&#x20;&#xd7FF;&#xe000;": "\t\n\r \ud7ff\ue000",
		"&#xFFFD;&#x10000;&#x0010FFFF;":        "\ufffd\U00010000\U0010ffff",
		"&#xFFFE;":                             "", "&#xFFFF;": "", "&#x110000;": "", "&#8;": "", "&#;": "", "&#xg;": "", "&;": "", "&#1a;": "",
	} {
		body := []byte("<a b='" + in + "'>" + in + "</a>")
		err := xml.Check(body, xml.Limits{})
		if (err == nil) != (want != "") {
			t.Errorf("%s: %v", in, err)
		}
		el, _ := xml.First(body, "")
		if err == nil && (el.Text() != want || el.Attr("b") != want) {
			t.Errorf("%s is %q and %q, want %q", in, el.Text(), el.Attr("b"), want)
		}
	}
}

func TestLimits(t *testing.T) {
	limits := xml.Limits{Bytes: 400, Depth: 3, Attrs: 6}
	many := func(n int, format string) string { return strings.Repeat(format, n) }
	tests := []struct {
		name, in string
		ok       bool
	}{
		{"as long as may be", `<a>` + many(393, "x") + `</a>`, true},
		{"one byte longer", `<a>` + many(394, "x") + `</a>`, false},
		{"without end", `<a>` + many(400, "x"), false},
		{"one tag without end", `<a b='` + many(400, "x"), false},
		{"white space between elements", many(1000, " ") + `<a/>`, true},
		{"as deep as may be", `<a><b><c/></b></a>`, true},
		{"one deeper", `<a><b><c><d/></c></b></a>`, false},
		{"as many attributes as may be", `<a b='' c='' d='' e='' f='' xmlns='g'/>`, true},
		{"one more", `<a b='' c='' d='' e='' f='' g='' xmlns='g'/>`, false},
		{"corrected body", `<a><stream:b/><stream:b/><stream:b/><stream:b/><stream:b/><stream:b/><stream:b/><stream:b/><stream:b/></a>`, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := xml.NewScanner(xml.Limits{})
			if _, _, err := s.Next([]byte(header)); err != nil {
				t.Fatal(err)
			}
			s.SetLimits(limits)
			tok, _, err := s.Next([]byte(test.in))
			if test.ok && (tok == nil || err != nil) || !test.ok && !errors.Is(err, xml.ErrLimit) {
				t.Errorf("%v, %v", tok, err)
			}
		})
	}
}

// Names are looked up in what is declared, so that has bounds of its own.
func TestLimitsOfDeclarations(t *testing.T) {
	var deep, twins strings.Builder
	for i := range 40 {
		deep.WriteString(`<a xmlns:p` + strings.Repeat("x", i) + `='1' xmlns:q` + strings.Repeat("x", i) + `='2' xmlns:r` + strings.Repeat("x", i) + `='3' xmlns:s` + strings.Repeat("x", i) + `='4'>`)
	}
	twins.WriteString("<a")
	for i := range 10 {
		p := string(rune('a' + i))
		twins.WriteString(" xmlns:" + p + "='" + p + "' " + p + ":x=''")
	}
	twins.WriteString("/>")
	long := `<a xmlns:p='` + strings.Repeat("u", 513) + `'/>`
	for name, in := range map[string]string{"deep": deep.String(), "twins": twins.String(), "long": long} {
		if _, _, err := started(t, xml.Limits{}).Next([]byte(in)); !errors.Is(err, xml.ErrLimit) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// An element that comes in single bytes is not scanned from its start for each
// of them: this would take minutes.
func TestSingleBytes(t *testing.T) {
	const size = 400 << 10
	for name, in := range map[string]string{
		"text":      `<a>` + strings.Repeat("x", size) + `</a>`,
		"value":     `<a b='` + strings.Repeat(">", size) + `'/>`,
		"tag":       `<a` + strings.Repeat(" ", size) + `/>`,
		"end":       `<a></a` + strings.Repeat(" ", size) + `>`,
		"CDATA":     `<a><![CDATA[` + strings.Repeat("]", size) + `]]></a>`,
		"elements":  `<a>` + strings.Repeat("<b/>", size/4) + `</a>`,
		"character": `<a>` + strings.Repeat("é", size/2) + `</a>`,
	} {
		s := started(t, xml.Limits{Bytes: 1 << 20})
		b := []byte(in)
		for i := 1; i < len(b); i++ {
			if tok, n, err := s.Next(b[:i]); tok != nil || n != 0 || err != nil {
				t.Fatalf("%s: %v %d %v after %d bytes", name, tok, n, err, i)
			}
		}
		if tok, n, err := s.Next(b); tok == nil || n != len(b) || err != nil {
			t.Errorf("%s: %v %d %v", name, tok, n, err)
		}
	}
	s := xml.NewScanner(xml.Limits{Bytes: 1 << 20})
	b := []byte(`<a b='` + strings.Repeat("x", size) + `'></a` + strings.Repeat(" ", size))
	have := 0
	var err error
	for i := 1; i < len(b) && err == nil; i++ {
		var n int
		_, n, err = s.Next(b[have:i])
		have += n
	}
	if have == 0 || !errors.Is(err, xml.ErrNotWellFormed) {
		t.Errorf("an end of a stream that doesn't end: %v", err)
	}
}

func TestDocument(t *testing.T) {
	tests := []struct {
		name, in string
		want     error
	}{
		{"element", `<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' to='x'/>`, nil},
		{"element with content", `<message xmlns='jabber:client'><body>x</body></message>`, nil},
		{"white space behind", "<a/>\n", nil},
		{"nothing", ``, xml.ErrNotWellFormed},
		{"white space before", ` <a/>`, xml.ErrNotWellFormed},
		{"half", `<a>`, xml.ErrNotWellFormed},
		{"half a tag", `<a`, xml.ErrNotWellFormed},
		{"an end", `</a>`, xml.ErrNotWellFormed},
		{"two", `<a/><b/>`, xml.ErrNotWellFormed},
		{"declaration", `<?xml version='1.0'?><a/>`, xml.ErrRestricted},
		{"prefix", `<stream:features/>`, xml.ErrNotWellFormed},
		{"too long", `<a>` + strings.Repeat("x", xml.DefaultBytes) + `</a>`, xml.ErrLimit},
	}
	s := xml.NewScanner(xml.Limits{})
	s.SetLang("de")
	for _, test := range tests { // one scanner: an error is not final
		t.Run(test.name, func(t *testing.T) {
			tok, err := s.Document([]byte(test.in))
			if !errors.Is(err, test.want) || (err == nil) != (tok != nil) {
				t.Errorf("%+v, %v, want %v", tok, err, test.want)
			}
			if tok != nil && (tok.Kind != xml.Child || tok.Lang != "de") {
				t.Errorf("%+v", tok)
			}
		})
	}
}

func TestCheck(t *testing.T) {
	tests := []struct {
		name, in string
		want     error
	}{
		{"empty", ``, nil},
		{"elements and text", `x<a><b/></a><c xmlns:p='u' p:d=''/>&amp;`, nil},
		{"half", `<a>`, xml.ErrNotWellFormed},
		{"half a tag", `<a`, xml.ErrNotWellFormed},
		{"half a CDATA section", `<![CDATA[`, xml.ErrNotWellFormed},
		{"half a character", "\xc3", xml.ErrNotWellFormed},
		{"end of what is around", `</a>`, xml.ErrNotWellFormed},
		{"end without a name", `</>`, xml.ErrNotWellFormed},
		{"prefix", `<a/><p:b/>`, xml.ErrNotWellFormed},
		{"comment", `<!-- -->`, xml.ErrRestricted},
		{"too deep", strings.Repeat("<a>", 128), xml.ErrLimit},
		{"too long", strings.Repeat("x", xml.DefaultBytes+1), xml.ErrLimit},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if err := xml.Check([]byte(test.in), xml.Limits{}); !errors.Is(err, test.want) {
				t.Errorf("%v, want %v", err, test.want)
			}
		})
	}
}

func TestPark(t *testing.T) {
	s := started(t, xml.Limits{})
	in := []byte(`<message xml:lang='fr' xmlns:p='u'><p:a/></message>`)
	for i := range in[:len(in)-1] {
		if tok, _, err := s.Next(in[:i+1]); tok != nil || err != nil {
			t.Fatal(tok, err)
		}
		s.Park() // has to do nothing within an element
	}
	tok, _, err := s.Next(in)
	if err != nil || tok == nil || tok.Lang != "fr" || string(tok.Body) != "<p:a xmlns:p='u'/>" {
		t.Fatalf("%+v, %v", tok, err)
	}
	s.Park()
	if tok, _, err = s.Next([]byte(`<iq/>`)); err != nil || tok == nil || tok.NS != ns.Client || tok.Lang != "en" {
		t.Fatalf("%+v, %v", tok, err)
	}
}

func TestAllocations(t *testing.T) {
	s := started(t, xml.Limits{})
	for name, in := range map[string]string{
		"message":         message,
		"corrected":       `<message xmlns:p='urn:p' foo='bar'><body xmlns='jabber:client'>&amp;</body><p:x/></message>`,
		"acknowledgement": `<a xmlns='urn:xmpp:sm:3' h='17'/>`,
		"language":        `<message to='&#97;@b' xml:lang='fr'><body>x</body></message>`,
		"half":            message[:200],
		"white space":     "\n",
	} {
		s.Reset()
		if _, _, err := s.Next([]byte(header)); err != nil {
			t.Fatal(err)
		}
		b := []byte(in)
		scan := func() {
			if _, _, err := s.Next(b); err != nil {
				t.Error(err)
			}
		}
		scan() // makes room
		if n := testing.AllocsPerRun(100, scan); n > 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func BenchmarkScanner(b *testing.B) {
	roster := `<iq type='result' id='r1' to='ann@example.org/x'><query xmlns='jabber:iq:roster'>` +
		strings.Repeat(`<item jid='somebody@example.net' name='Some Body' subscription='both'><group>Friends</group></item>`, 100) + `</query></iq>`
	text := `<message to='a@b'><body>` + strings.Repeat("lorem ipsum dolor sit amet ", 150) + `</body></message>`
	for _, bench := range []struct{ name, in string }{
		{"message", message}, {"ack", `<a xmlns='urn:xmpp:sm:3' h='17'/>`}, {"roster", roster}, {"text", text},
		{"cyrillic", `<message to='a@b'><body>` + strings.Repeat("здравствуй мир ", 150) + `</body></message>`},
	} {
		b.Run(bench.name, func(b *testing.B) {
			s := started(b, xml.Limits{})
			in := []byte(bench.in)
			b.SetBytes(int64(len(in)))
			b.ReportAllocs()
			for b.Loop() {
				if tok, _, err := s.Next(in); tok == nil || err != nil {
					b.Fatal(tok, err)
				}
			}
		})
	}
}

// BenchmarkPieces is a message that arrives in single bytes.
func BenchmarkPieces(b *testing.B) {
	s := started(b, xml.Limits{})
	in := []byte(message)
	b.SetBytes(int64(len(in)))
	b.ReportAllocs()
	for b.Loop() {
		for i := 1; i <= len(in); i++ {
			if _, _, err := s.Next(in[:i]); err != nil {
				b.Fatal(err)
			}
		}
	}
}
