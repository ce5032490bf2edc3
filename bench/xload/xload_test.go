package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// over returns a Conn whose server has written the text in the given pieces,
// opened, and what the Conn itself writes.
func over(t *testing.T, pieces ...string) (*Conn, *bufio.Reader) {
	client, server := net.Pipe()
	t.Cleanup(func() { client.Close(); server.Close() })
	go func() {
		for _, piece := range pieces {
			io.WriteString(server, piece)
		}
	}()
	c := &Conn{socket: client, buf: make([]byte, 16), config: &Config{Timeout: 5 * time.Second}}
	client.SetDeadline(time.Now().Add(5 * time.Second))
	return c, bufio.NewReader(server)
}

const header = "<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>"

func TestNext(t *testing.T) {
	whole := header + "<a/>\n<b x='>'><c/>text</b> <message id=\"1\"><body>hi</body></message></stream:stream>"
	want := []string{header[strings.Index(header, "<stream"):], "<a/>", "<b x='>'><c/>text</b>", `<message id="1"><body>hi</body></message>`}
	for name, pieces := range map[string][]string{"at once": {whole}, "byte by byte": strings.Split(whole, "")} {
		t.Run(name, func(t *testing.T) {
			c, _ := over(t, pieces...)
			for _, el := range want {
				if got, err := c.Next(); err != nil || string(got) != el {
					t.Fatalf("got %q, %v; want %q", got, err, el)
				}
			}
			if _, err := c.Next(); !errors.Is(err, errStreamClosed) {
				t.Errorf("at the end: %v", err)
			}
		})
	}
}

func TestAttribute(t *testing.T) {
	el := []byte(`<iq xid='no' to="a>b" id='1' type='set'><x from='inner'/></iq>`)
	for name, want := range map[string]string{"id": "1", "to": "a>b", "type": "set", "from": "", "none": ""} {
		if got := attribute(el, name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if !isElement(el, "iq") || isElement(el, "i") || isElement(el, "iqs") {
		t.Error("isElement")
	}
	if got := content([]byte("<iq><jid>u0@localhost/x</jid></iq>"), "jid"); got != "u0@localhost/x" {
		t.Errorf("content %q", got)
	}
}

func TestAcks(t *testing.T) {
	c, server := over(t, header,
		"<message/><r xmlns='urn:xmpp:sm:3'/><a xmlns='urn:xmpp:sm:3' h='2'/><iq type='result'/><r xmlns='urn:xmpp:sm:3'/>",
		"<presence/><a xmlns='urn:xmpp:sm:3' h='3'/>")
	c.acks = &acks{every: 5}
	answers := make(chan string, 2)
	go func() {
		for range 2 {
			answer, _ := server.ReadString('>')
			answers <- answer
		}
	}()
	c.acks.sent.Store(2)
	for _, want := range []string{"<stream", "<message", "<iq", "<presence"} {
		if el, err := c.Next(); err != nil || !strings.HasPrefix(string(el), want) {
			t.Fatalf("%q, %v; want %s", el, err, want)
		}
	}
	for _, h := range []string{"h='1'", "h='2'"} {
		if answer := <-answers; !strings.Contains(answer, h) {
			t.Errorf("answered %s, want %s", answer, h)
		}
	}
	if open := c.acks.open(); open != 0 {
		t.Errorf("%d stanzas are not acknowledged", open)
	}
	if _, err := c.Next(); err == nil || !strings.Contains(err.Error(), "of 2 sent") {
		t.Errorf("more acknowledged than sent: %v", err)
	}
}

func TestAcksGrow(t *testing.T) {
	tests := []struct {
		name    string
		sent    uint32
		answers []string
		ok      bool
	}{
		{"some, then all", 5, []string{"0", "3", "3", "5"}, true},
		{"fewer than before", 5, []string{"3", "2"}, false},
		{"more than sent", 5, []string{"6"}, false},
		{"no number", 5, []string{"x"}, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			a := &acks{}
			a.sent.Store(test.sent)
			var err error
			for _, h := range test.answers {
				if err == nil {
					err = a.handled(h)
				}
			}
			if (err == nil) != test.ok {
				t.Errorf("error %v", err)
			}
		})
	}
}

func TestRoster(t *testing.T) {
	r := roster{}
	r.update([]byte(`<iq type='result'><query xmlns='jabber:iq:roster' ver='1'><item subscription="both" jid="a@x"><group>g</group></item>` +
		`<item jid='b@x' subscription='to'/><item jid='c@x' subscription='none' ask='subscribe'/></query></iq>`))
	r.update([]byte(`<iq type='set' id='p'><query xmlns='jabber:iq:roster'><item jid='c@x' subscription='both'/></query></iq>`))
	if len(r) != 3 || r.mutual() != 2 || !r.sees("a@x") || !r.sees("b@x") || r.sees("d@x") {
		t.Errorf("roster %v", r)
	}
	r.update([]byte(`<iq type='result'><query xmlns='jabber:iq:roster'/></iq>`))
	if len(r) != 3 {
		t.Errorf("after an empty result: %v", r)
	}
}

func TestNumberOf(t *testing.T) {
	for text, want := range map[string]int{
		"<message to='a' id='x17'>": 17, "<message id=\"x0\" to='a'>": 0, "<message id='17'>": -1, "<message>": -1, "<message id='x'>": -1,
	} {
		n, ok := numberOf([]byte(text))
		if ok != (want >= 0) || ok && n != uint64(want) {
			t.Errorf("%s: %d, %v", text, n, ok)
		}
	}
}

func TestPairSends(t *testing.T) {
	for _, coalesce := range []bool{false, true} {
		c, server := over(t)
		c.acks = &acks{every: 2}
		p := newPair(c, nil, "b@x", 5)
		sent := make(chan error, 1)
		go func() {
			sent <- p.send(3, coalesce, time.Now())
			c.socket.Close()
		}()
		text, _ := io.ReadAll(server)
		message := func(id string) string {
			return "<message to='b@x' type='chat' id='" + id + "'><body>lorem</body></message>"
		}
		want := message("x0") + message("x1") + ackRequest + message("x2")
		if err := <-sent; err != nil || string(text) != want {
			t.Errorf("coalesce %v: sent %q, %v; want %q", coalesce, text, err, want)
		}
		if open := c.acks.open(); open != 3 || p.open() != 3 {
			t.Errorf("coalesce %v: %d stanzas and %d messages open, want 3", coalesce, open, p.open())
		}
	}
}

func TestNumbers(t *testing.T) {
	var s numbers
	for _, test := range []struct {
		n    uint64
		want bool
	}{{0, true}, {0, false}, {63, true}, {64, true}, {1000, true}, {999, true}, {1000, false}, {63, false}} {
		if got := s.add(test.n); got != test.want {
			t.Errorf("add(%d) = %v", test.n, got)
		}
	}
}

// Of a sender whose stream has ended only what was acknowledged can be lost.
func TestMissing(t *testing.T) {
	for _, test := range []struct {
		name                     string
		acked, arrived, returned uint64
		want                     uint64
	}{
		{"nothing acknowledged", 0, 0, 0, 0},
		{"all arrived", 12, 10, 0, 0},
		{"some came back", 12, 6, 4, 0},
		{"more arrived than was acknowledged", 12, 30, 0, 0},
		{"some are missing", 12, 6, 1, 3},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := &pair{from: &Conn{acks: &acks{}}}
			p.from.acks.acked.Store(uint32(test.acked))
			p.arrived.Store(test.arrived)
			p.bounced.Store(test.returned)
			if got := p.missing(); got != test.want {
				t.Errorf("%d missing, want %d", got, test.want)
			}
		})
	}
	if n := (&pair{from: &Conn{}}).missing(); n != 0 {
		t.Errorf("without acknowledgements %d missing", n)
	}
}

// A stream that is hung up is read until the server has ended it, so that what the
// client has acknowledged last arrives.
func TestHangUp(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	heard := make(chan string, 1)
	go func() {
		socket, err := listener.Accept()
		if err != nil {
			heard <- err.Error()
			return
		}
		defer socket.Close()
		io.WriteString(socket, "<stream:stream>"+strings.Repeat("<message/>", 1000))
		end := "</stream:stream>"
		var got []byte
		for b := make([]byte, 512); !strings.HasSuffix(string(got), end); {
			n, err := socket.Read(b)
			if got = append(got, b[:n]...); err != nil {
				got = append(got, err.Error()...)
				break
			}
		}
		io.WriteString(socket, strings.Repeat("<message/>", 1000)+end)
		if _, err := socket.Read(make([]byte, 1)); err != io.EOF {
			got = append(got, fmt.Sprint(err)...) // a reset
		}
		heard <- string(got)
	}()
	socket, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	c := &Conn{socket: socket, buf: make([]byte, 64), acks: &acks{}}
	for c.acks.got.Load() < 1000 {
		if _, err := c.Next(); err != nil {
			t.Fatal(err)
		}
	}
	var readers sync.WaitGroup
	readers.Go(func() {
		if err := discard(c); err != errStreamClosed {
			t.Errorf("the stream ended with %v", err)
		}
	})
	hangUp([]*Conn{nil, c}, &readers)
	if got, want := <-heard, "<a xmlns='urn:xmpp:sm:3' h='1000'/></stream:stream>"; got != want {
		t.Errorf("the server heard %q, want %q", got, want)
	}
}
