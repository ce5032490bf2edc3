package xml_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/jabberii/server/plugins/xmpp/xml"
)

func TestReader(t *testing.T) {
	long := `<a>` + strings.Repeat("x", 100<<10) + `</a>`
	all := header + message + "\n" + long + " " + message + long + `</stream:stream>`
	want := []string{"open", "message", "a", "message", "a", "close"}
	sources := map[string]func() io.Reader{
		"whole":       func() io.Reader { return strings.NewReader(all) },
		"bytes":       func() io.Reader { return iotest.OneByteReader(strings.NewReader(all)) },
		"halves":      func() io.Reader { return iotest.HalfReader(strings.NewReader(all)) },
		"end at once": func() io.Reader { return iotest.DataErrReader(strings.NewReader(all)) },
	}
	for name, source := range sources {
		t.Run(name, func(t *testing.T) {
			r := xml.NewReader(source(), xml.Limits{})
			for _, want := range want {
				tok, err := r.Next()
				if err != nil {
					t.Fatal(err)
				}
				got := tok.Name
				if tok.Kind != xml.Child {
					got = tok.Kind.String()
				}
				if got != want {
					t.Fatalf("%s, want %s", got, want)
				}
				if got == "a" && len(tok.Body) != 100<<10 {
					t.Fatalf("%d bytes", len(tok.Body))
				}
			}
			for range 2 {
				if tok, err := r.Next(); err != io.EOF {
					t.Fatalf("%v, %v after the end", tok, err)
				}
			}
		})
	}
}

func TestReaderErrors(t *testing.T) {
	broken := errors.New("broken")
	tests := []struct {
		name string
		src  io.Reader
		want error
	}{
		{"cut off", strings.NewReader(header + "<message><body>"), io.ErrUnexpectedEOF},
		{"cut off in a tag", strings.NewReader(header + "<"), io.ErrUnexpectedEOF},
		{"between elements", strings.NewReader(header + " \n"), io.EOF},
		{"source", io.MultiReader(strings.NewReader(header+"<a>"), iotest.ErrReader(broken)), broken},
		{"syntax", strings.NewReader(header + "<a></b>"), xml.ErrNotWellFormed},
		{"limit", io.MultiReader(strings.NewReader(header+"<a>"), endless{}), xml.ErrLimit},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := xml.NewReader(test.src, xml.Limits{})
			if _, err := r.Next(); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				if tok, err := r.Next(); !errors.Is(err, test.want) {
					t.Fatalf("%v, %v, want %v", tok, err, test.want)
				}
			}
		})
	}
	if _, err := xml.NewReader(idle{}, xml.Limits{}).Next(); err != io.ErrNoProgress {
		t.Errorf("a source without bytes: %v", err)
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) { return copy(p, strings.Repeat("x", len(p))), nil }

type idle struct{}

func (idle) Read([]byte) (int, error) { return 0, nil }

func TestReaderReset(t *testing.T) {
	client, server := net.Pipe()
	defer client.Close()
	go func() {
		// The second stream comes in one piece with the end of the first, as it
		// does from a client that doesn't wait.
		io.WriteString(server, header+`<auth/>`+header+"<iq/>\r\n<inject/>")
		server.Close()
	}()
	r := xml.NewReader(client, xml.Limits{})
	expect := func(kind xml.Kind, name string) {
		t.Helper()
		if tok, err := r.Next(); err != nil || tok.Kind != kind || tok.Name != name {
			t.Fatalf("%+v, %v, want %v %s", tok, err, kind, name)
		}
	}
	expect(xml.Open, "stream")
	expect(xml.Child, "auth")
	r.Reset(client)
	expect(xml.Open, "stream")
	expect(xml.Child, "iq")
	if n := r.Buffered(); n != len("<inject/>") {
		t.Errorf("%d bytes are left", n)
	}
	r.Reset(strings.NewReader(header + "<message/>\r\n\t "))
	if n := r.Buffered(); n != 0 {
		t.Errorf("%d bytes came along", n)
	}
	expect(xml.Open, "stream")
	expect(xml.Child, "message")
	if n := r.Buffered(); n != 0 {
		t.Errorf("%d bytes of white space count", n)
	}
}

func BenchmarkReader(b *testing.B) {
	r := xml.NewReader(io.MultiReader(strings.NewReader(header), &repeat{s: message}), xml.Limits{})
	b.SetBytes(int64(len(message)))
	b.ReportAllocs()
	if _, err := r.Next(); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := r.Next(); err != nil {
			b.Fatal(err)
		}
	}
}

// repeat is s without end.
type repeat struct {
	s  string
	at int
}

func (r *repeat) Read(p []byte) (n int, err error) {
	for n < len(p) {
		c := copy(p[n:], r.s[r.at:])
		n += c
		r.at = (r.at + c) % len(r.s)
	}
	return n, nil
}

// pausing is a source that times out once, between its two parts.
type pausing struct{ parts []string }

func (p *pausing) Read(b []byte) (int, error) {
	if len(p.parts) == 0 {
		return 0, io.EOF
	}
	if p.parts[0] == "" {
		p.parts = p.parts[1:]
		return 0, os.ErrDeadlineExceeded
	}
	n := copy(b, p.parts[0])
	p.parts[0] = p.parts[0][n:]
	return n, nil
}

func TestReaderRestsAnywhere(t *testing.T) {
	all := header + message + "\n <b xml:lang='de' xmlns:p='urn:p'><p:c>&amp;<![CDATA[d]]></p:c></b>" + message + `</stream:stream>`
	var want []string
	for r := xml.NewReader(strings.NewReader(all), xml.Limits{}); ; {
		tok, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, fmt.Sprint(tok.Kind, tok.Name, tok.NS, tok.Lang, string(tok.To), string(tok.Body)))
	}
	for i := 1; i < len(all); i++ {
		r := xml.NewReader(&pausing{[]string{all[:i], all[i:]}}, xml.Limits{})
		var got []string
		rested := false
		for {
			tok, err := r.Next()
			if errors.Is(err, os.ErrDeadlineExceeded) {
				r.Rest()
				rested = true
				continue
			}
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatalf("after a rest at %d: %v", i, err)
			}
			got = append(got, fmt.Sprint(tok.Kind, tok.Name, tok.NS, tok.Lang, string(tok.To), string(tok.Body)))
		}
		if !rested || !slices.Equal(got, want) {
			t.Fatalf("rest at %d (%v): %q, want %q", i, rested, got, want)
		}
	}
}

// A reader that wakes takes what another has given back, and not what it was in.
func TestReadersAtRestShareNothing(t *testing.T) {
	first := "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' xmlns:x='urn:x' xml:lang='de'><x:a to='b' y='c'/>"
	second := "<stream xmlns='http://etherx.jabber.org/streams'><a xmlns='jabber:client'/>"
	show := func(tok *xml.Token, err error) string {
		if err != nil {
			return err.Error()
		}
		return fmt.Sprintf("%v %s %s %q %d %q", tok.Kind, tok.Name, tok.NS, tok.Lang, len(tok.Attrs), tok.To)
	}
	for range 3 {
		// Nothing is read ahead.
		one, two := iotest.OneByteReader(strings.NewReader(first+"<x:a/>")), iotest.OneByteReader(strings.NewReader(second+"<a xmlns='jabber:client'/>"))
		a, b := xml.NewReader(one, xml.Limits{}), xml.NewReader(two, xml.Limits{})
		var got []string
		for range 3 {
			for _, r := range []*xml.Reader{a, b} {
				got = append(got, show(r.Next()))
				r.Rest()
			}
		}
		want := []string{
			`open stream http://etherx.jabber.org/streams "de" 1 ""`, `open stream http://etherx.jabber.org/streams "" 0 ""`,
			`child a urn:x "de" 2 "b"`, `child a jabber:client "" 0 ""`, `child a urn:x "de" 0 ""`, `child a jabber:client "" 0 ""`,
		}
		if !slices.Equal(got, want) {
			t.Fatalf("%q, want %q", got, want)
		}
	}
}
