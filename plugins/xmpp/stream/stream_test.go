package stream_test

import (
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/jabberii/server/plugins/xmpp/jid"
	"github.com/jabberii/server/plugins/xmpp/ns"
	"github.com/jabberii/server/plugins/xmpp/stream"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

func ExampleHeader() {
	in := xml.NewReader(strings.NewReader(
		`<stream:stream to='example.org' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>`), xml.Limits{})
	tok, _ := in.Next()
	header, _ := stream.ParseHeader(tok)
	reply := header.Reply()
	reply.ID = "1" // otherwise nobody could guess it
	out := reply.Append(nil)
	out = stream.AppendFeatures(out, stream.AppendStartTLS(nil, true))
	fmt.Println(strings.ReplaceAll(string(out), "><", ">\n<"))
	// Output:
	// <?xml version='1.0'?>
	// <stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' from='example.org' id='1' version='1.0' xml:lang='en'>
	// <stream:features xmlns:stream='http://etherx.jabber.org/streams'>
	// <starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'>
	// <required/>
	// </starttls>
	// </stream:features>
}

// begin returns the first token of a stream.
func begin(t *testing.T, text string) *xml.Token {
	t.Helper()
	tok, err := xml.NewReader(strings.NewReader(text), xml.Limits{}).Next()
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return tok
}

// element returns an element that stands alone, as on WebSocket.
func element(t *testing.T, text []byte) *xml.Token {
	t.Helper()
	tok, err := xml.NewScanner(xml.Limits{}).Document(text)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return tok
}

func TestHeaderRoundTrip(t *testing.T) {
	for _, h := range []stream.Header{
		{NS: ns.Client, To: jid.MustParse("example.org"), From: jid.MustParse("a@example.org"), Version: "1.0", Lang: "de"},
		{NS: ns.Server, To: jid.MustParse("b\u00fccher.example"), From: jid.MustParse("example.org"), ID: "a'<&", Version: "1.0", Dialback: true},
		{NS: ns.ComponentAccept, To: jid.MustParse("irc.example.org")},
	} {
		if got, err := stream.ParseHeader(begin(t, string(h.Append(nil)))); err != nil || got != h {
			t.Errorf("%s is %+v, %v", h.Append(nil), got, err)
		}
		want := h
		want.NS, want.Dialback = "", false
		if got, err := stream.ParseHeader(element(t, h.AppendFrame(nil))); err != nil || got != want {
			t.Errorf("%s is %+v, %v", h.AppendFrame(nil), got, err)
		}
	}
}

func TestParseHeaderErrors(t *testing.T) {
	const space = ` xmlns:stream='http://etherx.jabber.org/streams' xmlns='jabber:client' `
	tests := []struct {
		name, in string
		want     stream.Condition
	}{
		{"other namespace", `<stream:stream xmlns:stream='urn:x' to='a'>`, stream.InvalidNamespace},
		{"no namespace", `<stream to='a'>`, stream.InvalidNamespace},
		{"other element", `<stream:flow` + space + `to='a'>`, stream.BadFormat},
		{"malformed to", `<stream:stream` + space + `to='@' id='1'>`, stream.ImproperAddressing},
		{"malformed from", `<stream:stream` + space + `from='a b' id='1'>`, stream.ImproperAddressing},
		{"version", `<stream:stream` + space + `version='x' id='1'>`, stream.UnsupportedVersion},
		{"version without dot", `<stream:stream` + space + `version='1' id='1'>`, stream.UnsupportedVersion},
		{"version with a sign", `<stream:stream` + space + `version='1.-1' id='1'>`, stream.UnsupportedVersion},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			h, err := stream.ParseHeader(begin(t, test.in))
			var e *stream.Error
			if !errors.As(err, &e) || e.Condition != test.want {
				t.Errorf("%+v, %v, want %s", h, err, test.want)
			}
			if strings.Contains(test.in, "id='1'") && h.ID != "1" {
				t.Errorf("lost what could be read: %+v", h)
			}
		})
	}
	if _, err := stream.ParseHeader(element(t, []byte(`<message/>`))); err == nil {
		t.Error("a message is a header")
	}
}

func TestReply(t *testing.T) {
	for theirs, ours := range map[string]string{"": "", "1.0": "1.0", "01.000": "1.0", "1.1": "1.0", "2.0": "1.0", "0.9": "0.9"} {
		h := stream.Header{NS: ns.Client, To: jid.MustParse("a"), From: jid.MustParse("b"), ID: "x", Version: theirs, Lang: "de"}
		got := h.Reply()
		if got.ID == "x" || len(got.ID) < 20 {
			t.Errorf("the id is %q", got.ID)
		}
		got.ID = ""
		if want := (stream.Header{NS: ns.Client, To: h.From, From: h.To, Version: ours, Lang: "en"}); got != want {
			t.Errorf("version %q: %+v, want %+v", theirs, got, want)
		}
	}
	if one, two := stream.NewID(), stream.NewID(); one == two {
		t.Error("an id twice")
	}
}

func TestFeatures(t *testing.T) {
	b := stream.AppendFeatures(nil,
		stream.AppendStartTLS(nil, true),
		stream.AppendMechanisms(nil, "SCRAM-SHA-256", "PLAIN"),
		stream.AppendBind(nil),
		xml.AppendEmpty(nil, "sm", ns.StreamManagement))
	f, ok := stream.ParseFeatures(element(t, b))
	if !ok || !f.StartTLS || !f.StartTLSRequired || !f.Bind || !slices.Equal(f.Mechanisms, []string{"SCRAM-SHA-256", "PLAIN"}) {
		t.Errorf("%+v, %v", f, ok)
	}
	if _, ok := f.Find("sm", ns.StreamManagement); !ok {
		t.Error("sm is not there")
	}
	n := 0
	for range f.Elements() {
		n++
	}
	if n != 4 {
		t.Errorf("%d features", n)
	}
	f, ok = stream.ParseFeatures(element(t, stream.AppendFeatures(nil, stream.AppendStartTLS(nil, false))))
	if !ok || !f.StartTLS || f.StartTLSRequired || f.Bind || f.Mechanisms != nil {
		t.Errorf("%+v, %v", f, ok)
	}
	if _, ok := stream.ParseFeatures(element(t, []byte(`<features/>`))); ok {
		t.Error("features of no namespace")
	}
}

// The features, an error and the end are understood in the middle of a stream too.
func TestStream(t *testing.T) {
	h := stream.Header{NS: ns.Client, ID: "1", Version: stream.Version}
	b := stream.AppendFeatures(h.Append(nil), stream.AppendBind(nil))
	b = (&stream.Error{Condition: stream.SystemShutdown}).Append(b)
	r := xml.NewReader(strings.NewReader(string(b)+stream.Close), xml.Limits{})
	next := func() *xml.Token {
		t.Helper()
		tok, err := r.Next()
		if err != nil {
			t.Fatal(err)
		}
		return tok
	}
	next()
	if f, ok := stream.ParseFeatures(next()); !ok || !f.Bind {
		t.Errorf("%+v", f)
	}
	if e, ok := stream.ParseError(next()); !ok || e.Condition != stream.SystemShutdown {
		t.Errorf("%+v", e)
	}
	if tok := next(); tok.Kind != xml.Close {
		t.Errorf("%+v", tok)
	}
	if tok := element(t, []byte(stream.CloseFrame)); tok.Name != "close" || tok.NS != ns.Framing {
		t.Errorf("%+v", tok)
	}
}

// The conditions of RFC 6120, 4.9.3.
var conditions = strings.Fields(`bad-format bad-namespace-prefix conflict connection-timeout host-gone
	host-unknown improper-addressing internal-server-error invalid-from invalid-namespace invalid-xml
	not-authorized not-well-formed policy-violation remote-connection-failed reset resource-constraint
	restricted-xml see-other-host system-shutdown undefined-condition unsupported-encoding
	unsupported-feature unsupported-stanza-type unsupported-version`)

func TestErrorRoundTrip(t *testing.T) {
	list := []*stream.Error{
		{Condition: stream.SeeOtherHost, Host: "[::1]:5222"},
		{Condition: stream.PolicyViolation, Text: "<too much>", Lang: "en", App: []byte("<stanza-too-big xmlns='urn:xmpp:errors'/>")},
	}
	for _, name := range conditions {
		if !stream.Condition(name).Defined() {
			t.Errorf("%s is not defined", name)
		}
		list = append(list, &stream.Error{Condition: stream.Condition(name)})
	}
	for _, e := range list {
		if got, ok := stream.ParseError(element(t, e.Append(nil))); !ok || !reflect.DeepEqual(got, e) {
			t.Errorf("%s is %+v, want %+v", e.Append(nil), got, e)
		}
	}
	other := &stream.Error{Condition: "other", Host: "x"}
	if got, ok := stream.ParseError(element(t, other.Append(nil))); !ok || got.Condition != stream.UndefinedCondition || got.Host != "" {
		t.Errorf("%+v", got)
	}
}

func TestParseError(t *testing.T) {
	const start = `<e:error xmlns:e='http://etherx.jabber.org/streams'>`
	const space = ` xmlns='urn:ietf:params:xml:ns:xmpp-streams'`
	tests := []struct {
		name, in string
		want     stream.Error
	}{
		{"nothing", ``, stream.Error{Condition: "undefined-condition"}},
		{"of RFC 3920", `<xml-not-well-formed` + space + `/>`, stream.Error{Condition: "not-well-formed"}},
		{"two conditions", `<reset` + space + `/><conflict` + space + `/>`, stream.Error{Condition: "reset"}},
		{"text first", `<text` + space + `>x</text><reset` + space + `/>`, stream.Error{Condition: "reset", Text: "x"}},
		{"unknown", `<x` + space + `/>`, stream.Error{Condition: "undefined-condition"}},
	}
	for _, test := range tests {
		got, ok := stream.ParseError(element(t, []byte(start+test.in+`</e:error>`)))
		if !ok || !reflect.DeepEqual(*got, test.want) {
			t.Errorf("%s: %+v, want %+v", test.name, got, test.want)
		}
	}
	if _, ok := stream.ParseError(element(t, []byte(`<error xmlns='jabber:client'/>`))); ok {
		t.Error("an error of a stanza is one of the stream")
	}
}

func TestErrorOf(t *testing.T) {
	syntax := func(in string) error {
		_, err := xml.NewScanner(xml.Limits{Bytes: 100}).Document([]byte(in))
		return err
	}
	s := xml.NewScanner(xml.Limits{})
	s.Next([]byte("<a>"))
	_, _, format := s.Next([]byte("text"))
	tests := []struct {
		err  error
		want stream.Condition
	}{
		{syntax(`<a></b>`), stream.NotWellFormed},
		{syntax(`<a><!-- --></a>`), stream.RestrictedXML},
		{syntax("<a>\xff</a>"), stream.UnsupportedEncoding},
		{syntax(strings.Repeat(" ", 101)), stream.PolicyViolation},
		{format, stream.BadFormat},
		{fmt.Errorf("read: %w", syntax(`<a`)), stream.NotWellFormed},
		{fmt.Errorf("read: %w", &stream.Error{Condition: stream.Conflict}), stream.Conflict},
		{io.ErrUnexpectedEOF, stream.InternalServerError},
	}
	for _, test := range tests {
		e := stream.ErrorOf(test.err)
		if e.Condition != test.want {
			t.Errorf("%v is %v, want %s", test.err, e, test.want)
		}
		if e.Condition == stream.InternalServerError && e.Text != "" {
			t.Errorf("tells the world %q", e.Text)
		}
	}
	if got := (&stream.Error{Condition: "reset", Text: "x"}).Error() + (&stream.Error{Condition: "reset"}).Error(); got != "stream error reset: xstream error reset" {
		t.Errorf("says %q", got)
	}
}
