package xml_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/jabberii/server/plugins/xmpp/ns"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

// streams are the seeds of FuzzScanner.
var streams = []string{
	header + message + "</stream:stream>",
	header + " \n" + message + message + " ",
	`<stream:stream xmlns:stream='http://etherx.jabber.org/streams' xmlns='jabber:server' xmlns:db='jabber:server:dialback'><db:result from='a' to='b'>x</db:result>`,
	header + `<iq type='set' id='1'><query xmlns='jabber:iq:roster'><item jid='a@b' name='&lt;&#x41;&#66;&amp;"'/></query></iq>`,
	header + `<message><a:b xmlns:a='urn:a' a:c='d' e="f'"><g/><a:h/></a:b>text<![CDATA[<x>]]]]>&gt;</message>`,
	header + `<message xmlns:p='urn:p' p:q='1'><p:x/><y xmlns='urn:y' p:z='2'><p:x xmlns:p='urn:q'/></y></message>`,
	header + `<message><body xmlns='jabber:client'>x</body><stream:y/></message>`,
	header + `<p:message xmlns:p='urn:p' xmlns='urn:d'><body/><p:b><c/></p:b><x xmlns=''/></p:message>`,
	header + "<m\u00fcller \u00e9='\U0001f600\u2028'>\r\n\r\tx</m\u00fcller >",
	header + `<message to=' a&#x9;b` + "\t\n" + `c' xml:lang='de' foo='bar'/>`,
	`<a><b/><c></c></a>`,
	`<a/>`,
	"<?xml version=\"1.0\" encoding='UTF-8' standalone='yes' ?>\n<x:a xmlns:x='y'><x:b></x:b></x:a>",
	header + `<a><!-- no --></a>`,
	header + `<a b='1' b='2'/>`,
	header + `<a x:b='1'/>`,
	header + `<a></b>`,
	header + `<a>&nbsp;</a>`,
	header + `<a>]]></a>`,
	header + "<a>\xff</a>",
}

func seeds(f *testing.F) {
	for i, s := range streams {
		f.Add([]byte(s), uint64(i), uint16(0))
		f.Add([]byte(s), uint64(i), uint16(64))
	}
}

// outcome is what a scanner made of a stream.
type outcome struct {
	tokens   []string // rendered
	bodies   []string
	rests    []string
	consumed int
	closed   bool
	err      error
}

// scanIn scans data, of which it gives the scanner pieces of the sizes that the
// function says.
func scanIn(t *testing.T, data []byte, limits xml.Limits, size func() int) (o outcome) {
	t.Helper()
	s := xml.NewScanner(limits)
	have := 0
	for {
		tok, n, err := s.Next(data[o.consumed:have:have])
		o.consumed += n
		if o.consumed > have {
			t.Fatalf("consumed %d of %d", o.consumed, have)
		}
		switch {
		case err != nil:
			o.err = err
			if _, _, again := s.Next(nil); again != err {
				t.Fatalf("the error changes from %v to %v", err, again)
			}
			return o
		case tok != nil && tok.Kind == xml.Close:
			o.closed = true
		case tok != nil:
			o.tokens = append(o.tokens, found(tok))
			o.bodies = append(o.bodies, string(tok.Body))
			o.rests = append(o.rests, string(tok.Rest))
			if tok.Kind == xml.Child {
				checkToken(t, tok, limits)
			}
		case have == len(data):
			return o
		default:
			have = min(len(data), have+size())
		}
	}
}

// checkToken checks that the body stands alone and that what a writer makes of
// the token is the same again.
func checkToken(t *testing.T, tok *xml.Token, limits xml.Limits) {
	t.Helper()
	if err := xml.Check(tok.Body, xml.Limits{Bytes: 1 << 20, Depth: limits.Depth, Attrs: 1 << 10}); err != nil {
		t.Fatalf("body %q: %v", tok.Body, err)
	}
	out := xml.AppendStart(nil, "w", tok.NS)
	out = append(out, tok.Body...)
	out = xml.AppendEnd(out, "w")
	alone, err := understood(t, out, 0)
	if err != nil && err != errOracleName {
		t.Fatalf("%q: %v", out, err)
	}
	bare := xml.Token{Name: "w", NS: tok.NS, Body: tok.Body}
	if err == nil && alone[0] != found(&bare) {
		t.Fatalf("body %q stands for\n%s, not\n%s", tok.Body, alone[0], found(&bare))
	}
	for el := range xml.Elements(tok.Body, tok.NS) {
		var one, two strings.Builder
		moved := el.Append(nil)
		again, ok := xml.First(moved, "urn:other")
		if !ok || len(again.Outer()) != len(moved) {
			t.Fatalf("%q moved is %q", el.Outer(), moved)
		}
		renderElement(&one, el)
		renderElement(&two, again)
		if err := xml.Check(moved, xml.Limits{Bytes: 1 << 20, Depth: limits.Depth, Attrs: 1 << 10}); err != nil || one.String() != two.String() {
			t.Fatalf("%q moved is %q: %v", el.Outer(), moved, err)
		}
	}
}

// FuzzScanner: what is accepted is what encoding/xml accepts, and it makes no
// difference in which pieces it came.
func FuzzScanner(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, data []byte, seed uint64, bytes16 uint16) {
		limits := xml.Limits{Bytes: int(bytes16), Depth: 16, Attrs: 32}
		whole := scanIn(t, data, limits, func() int { return len(data) })
		random := rand.New(rand.NewPCG(seed, 1))
		same(t, whole, scanIn(t, data, limits, func() int { return 1 }))
		same(t, whole, scanIn(t, data, limits, func() int { return 1 + random.IntN(20) }))
		same(t, whole, scanIn(t, data, limits, func() int { return 1 + random.IntN(200) }))
		agrees(t, data, whole)
	})
}

// same compares what came of a stream in one piece and in many.
func same(t *testing.T, whole, pieces outcome) {
	t.Helper()
	if !slices.Equal(whole.tokens, pieces.tokens) || !slices.Equal(whole.bodies, pieces.bodies) || !slices.Equal(whole.rests, pieces.rests) || whole.closed != pieces.closed {
		t.Fatalf("whole %+v, in pieces %+v", whole, pieces)
	}
	switch {
	case whole.err == nil && pieces.err == nil:
	case whole.err != nil && pieces.err == nil: // the tag isn't complete, so it waits
	case errors.Is(pieces.err, xml.ErrLimit) && whole.err != nil: // or has waited too long
	case whole.err == nil || whole.err.Error() != pieces.err.Error():
		t.Fatalf("whole %v, in pieces %v", whole.err, pieces.err)
	}
}

// agrees compares with the oracle.
func agrees(t *testing.T, data []byte, o outcome) {
	t.Helper()
	if len(o.tokens) == 0 {
		return
	}
	want, err := understood(t, bytes.TrimLeft(data[:o.consumed], " \t\r\n"), 1)
	if err == errOracleName {
		t.Skip()
	}
	if err != nil {
		t.Fatalf("accepted %q: %v", data[:o.consumed], err)
	}
	if got := o.tokens[1:]; !slices.Equal(got, want) {
		t.Fatalf("%q is\n%q, not\n%q", data[:o.consumed], got, want)
	}
}

// FuzzBody: whatever the bytes are, looking into them is safe; and of what Check
// accepts, encoding/xml has the same view.
func FuzzBody(f *testing.F) {
	for _, s := range streams {
		f.Add([]byte(s))
	}
	f.Add([]byte(`<a/>x<b xmlns='urn:b' c='d'>&amp;<e/></b>`))
	f.Add([]byte(`<a b='>'></a ><![CDATA[<]]>`))
	f.Fuzz(func(t *testing.T, body []byte) {
		bare := xml.Token{Name: "w", NS: ns.Client, Body: body}
		got := found(&bare)
		visit(xml.Elements(body, ns.Client))
		if xml.Check(body, xml.Limits{}) != nil {
			return
		}
		checkToken(t, &bare, xml.Limits{})
		out := append(xml.AppendStart(nil, "w", ns.Client), body...)
		want, err := understood(t, xml.AppendEnd(out, "w"), 0)
		if err == errOracleName {
			t.Skip()
		}
		if err != nil || len(want) != 1 || want[0] != got {
			t.Fatalf("%q is\n%s, not\n%q: %v", body, got, want, err)
		}
	})
}

// visit uses all that an element can be asked.
func visit(elements func(func(xml.Element) bool)) {
	for el := range elements {
		el.Text()
		el.Lang()
		el.Attr("to")
		el.Append(nil)
		el.Is(el.Name(), el.NS())
		el.Find("x", "urn:x")
		visit(el.Elements())
	}
}

// FuzzAppend: what the writer writes is well-formed and means what was given.
func FuzzAppend(f *testing.F) {
	f.Add("a < b & c > d ]]> '\"\r\n\t")
	f.Add("\x00\ufffe\xff\xf0\x9f\U0001f600")
	f.Fuzz(func(t *testing.T, s string) {
		want := strings.Map(func(r rune) rune {
			if r < ' ' && r != '\t' && r != '\n' && r != '\r' || r == 0xfffe || r == 0xffff {
				return '\ufffd'
			}
			return r // and U+FFFD of each byte that isn't UTF-8
		}, s)
		b := xml.AppendElement(nil, "x", "urn:x", s, "a", s)
		if err := xml.Check(b, xml.Limits{}); err != nil {
			t.Fatalf("%q: %v", b, err)
		}
		el, _ := xml.First(b, "")
		if el.Text() != want || el.Attr("a") != want {
			t.Fatalf("%q holds %q and %q, not %q", b, el.Text(), el.Attr("a"), want)
		}
	})
}
