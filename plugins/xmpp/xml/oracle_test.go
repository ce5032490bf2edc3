package xml_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	oracle "encoding/xml"

	"github.com/jabberii/server/plugins/xmpp/xml"
)

// The oracle is encoding/xml. What the scanner accepts, it has to accept too and
// has to understand in the same way. Both sides are brought into one textual
// form, in which elements have their namespaces and texts are joined.

// errOracleName: the oracle knows the names of XML 1.0, fourth edition, only.
var errOracleName = errors.New("a name that the oracle doesn't know")

// understood renders the tokens of encoding/xml from the level of the
// elements on. It ends where the bytes end.
func understood(t *testing.T, data []byte, level int) (elements []string, err error) {
	t.Helper()
	d := oracle.NewDecoder(bytes.NewReader(data))
	d.Strict = true
	var out strings.Builder
	text := []byte(nil)
	flush := func() {
		if len(text) > 0 {
			fmt.Fprintf(&out, "%q", text)
			text = nil
		}
	}
	for depth := 0; ; {
		token, err := d.Token()
		var syntax *oracle.SyntaxError
		switch {
		case err == io.EOF, errors.As(err, &syntax) && syntax.Msg == "unexpected EOF":
			return elements, nil
		case err != nil && strings.Contains(err.Error(), "invalid XML name") && !isASCII(data):
			return nil, errOracleName
		case err != nil:
			return nil, err
		}
		switch token := token.(type) {
		case oracle.StartElement:
			flush()
			renderStart(&out, token)
			depth++
		case oracle.EndElement:
			flush()
			out.WriteString(")")
			if depth--; depth == level {
				elements = append(elements, out.String())
				out.Reset()
			}
		case oracle.CharData:
			if depth > level {
				text = append(text, token...)
			} else if len(bytes.Trim(token, " \t\r\n")) > 0 {
				t.Fatalf("text %q between elements of %q", token, data)
			}
		case oracle.ProcInst:
			if token.Target != "xml" || depth > 0 {
				t.Fatalf("%q holds a processing instruction", data)
			}
		default:
			t.Fatalf("%q holds a %T", data, token)
		}
		if depth == level && level > 0 {
			out.Reset() // of a start tag around the elements
		}
	}
}

func isASCII(b []byte) bool {
	return !slices.ContainsFunc(b, func(c byte) bool { return c >= utf8.RuneSelf })
}

func renderStart(out *strings.Builder, start oracle.StartElement) {
	attrs := []string{}
	for _, a := range start.Attr {
		if a.Name.Space != "xmlns" && (a.Name.Space != "" || a.Name.Local != "xmlns") {
			attrs = append(attrs, renderAttr(a.Name.Space, a.Name.Local, a.Value))
		}
	}
	slices.Sort(attrs)
	fmt.Fprintf(out, "(%q %q %s ", spaced(start.Name.Space), start.Name.Local, attrs)
}

func renderAttr(space, name, value string) string {
	return fmt.Sprintf("%q %q=%q", spaced(space), name, spaced(value))
}

// spaced levels a difference: by XML 1.0, 3.3.3 white space in a value is a
// space unless it is written as a reference. The oracle leaves it as it is.
func spaced(s string) string {
	return strings.NewReplacer("\t", " ", "\n", " ", "\r", " ").Replace(s)
}

// found renders a token in the same way, by iterating over its body.
func found(tok *xml.Token) string {
	var out strings.Builder
	attrs := []string{}
	for _, a := range tok.Attrs {
		attrs = append(attrs, renderAttr(a.NS, string(a.Name), string(a.Value)))
	}
	slices.Sort(attrs)
	fmt.Fprintf(&out, "(%q %q %s ", spaced(tok.NS), tok.Name, attrs)
	renderContent(&out, tok.Body, xml.Elements(tok.Body, tok.NS))
	out.WriteString(")")
	return out.String()
}

func renderContent(out *strings.Builder, content []byte, elements func(func(xml.Element) bool)) {
	at := 0
	text := func(to int) {
		if s := xml.AppendUnescaped(nil, content[at:to]); len(s) > 0 {
			fmt.Fprintf(out, "%q", s)
		}
	}
	for el := range elements {
		start := cap(content) - cap(el.Outer()) // it is a part of content
		text(start)
		at = start + len(el.Outer())
		renderElement(out, el)
	}
	text(len(content))
}

func renderElement(out *strings.Builder, el xml.Element) {
	attrs := []string{}
	for a := range el.Attrs() {
		attrs = append(attrs, renderAttr(a.NS, string(a.Name), string(a.Value)))
	}
	slices.Sort(attrs)
	fmt.Fprintf(out, "(%q %q %s ", spaced(el.NS()), el.Name(), attrs)
	renderContent(out, el.Inner(), el.Elements())
	out.WriteString(")")
}
