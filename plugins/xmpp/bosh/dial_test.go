package bosh_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/jabberii/server/plugins/xmpp/bosh"
	"github.com/jabberii/server/plugins/xmpp/stream"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

// A streamer reads and writes a stream over BOSH as one over TCP.
type streamer struct {
	t    *testing.T
	conn net.Conn
	in   *xml.Reader
}

func dial(t *testing.T, url string) *streamer {
	t.Helper()
	conn, err := bosh.Dial(t.Context(), url, &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(30 * time.Second))
	return &streamer{t, conn, xml.NewReader(conn, xml.Limits{})}
}

func (s *streamer) say(text string) {
	s.t.Helper()
	if _, err := io.WriteString(s.conn, text); err != nil {
		s.t.Fatal(err)
	}
}

// hear reads tokens and compares them, by name and content.
func (s *streamer) hear(want ...string) {
	s.t.Helper()
	for _, w := range want {
		t, err := s.in.Next()
		if err != nil {
			s.t.Fatalf("%v instead of %s", err, w)
		}
		got := t.Name + " " + string(t.Body)
		if t.Kind == xml.Close {
			got = "end"
		}
		if strings.TrimSpace(got) != w {
			s.t.Fatalf("heard %s, want %s", got, w)
		}
	}
}

const header = "<?xml version='1.0'?><stream:stream to='example.org' version='1.0' xml:lang='de' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>"

// A stream over BOSH is like one over TCP: it begins, begins again, and ends, also
// while connections are cut.
func TestDial(t *testing.T) {
	s := serve(t, nil)
	c := dial(t, s.URL)
	c.say(header)
	c.hear("stream", "features")
	s.expect("open to=example.org version=1.0 lang=de")
	for i := range 20 {
		if i%5 == 4 {
			s.CloseClientConnections()
		}
		c.say(fmt.Sprintf("<echo>a%d</echo><echo>b%d</echo>", i, i))
		c.hear(fmt.Sprint("echo a", i), fmt.Sprint("echo b", i))
		s.expect(fmt.Sprint("echo jabber:client de a", i), fmt.Sprint("echo jabber:client de b", i))
	}
	c.in.Reset(c.conn)
	c.say(header)
	c.say("<echo>c</echo>")
	c.hear("stream", "features", "echo c")
	c.say(stream.Close)
	s.expect("open to=example.org version=1.0 lang=de", "echo jabber:client de c", "close")
	c.hear("end")
	if _, err := c.conn.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("after the end: %v", err)
	}
	if _, err := c.conn.Write([]byte("<echo/>")); err == nil {
		t.Error("a session that has ended is written to")
	}
}

// What is written with a header goes out with it, the first time.
func TestDialInOneWrite(t *testing.T) {
	s := serve(t, nil)
	c := dial(t, s.URL)
	c.say(header + "<echo>ahead</echo>")
	c.hear("stream", "features", "echo ahead")
	c.in.Reset(c.conn)
	c.say(header + "<echo>behind</echo>" + stream.Close)
	c.hear("stream", "features", "echo behind", "end")
}

func TestDialHearsErrors(t *testing.T) {
	s := serve(t, nil)
	c := dial(t, s.URL)
	c.say(header + "<fail/>")
	c.hear("stream", "features", "before", "error <reset xmlns='jabber:client'/>", "end")

	c = dial(t, s.URL)
	c.say(header)
	c.hear("stream", "features")
	for range 2 {
		(<-s.sessions).Cut() // the one before is cut already
	}
	if _, err := c.in.Next(); err == nil || !strings.Contains(err.Error(), "item-not-found") {
		t.Errorf("the server knows no such session: %v", err)
	}

	for name, answer := range map[string]string{
		"404":    "",
		"answer": "<html/>",
		"EOF":    "<body",
	} {
		page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if answer == "" {
				http.NotFound(w, r)
			}
			io.WriteString(w, answer)
		}))
		c = dial(t, page.URL)
		c.say(header)
		if _, err := c.in.Next(); err == nil {
			t.Errorf("%s: no error", name)
		}
		page.Close()
	}
	for _, url := range []string{"ftp://localhost", "http://127.0.0.1:1", "http://[", "https://" + s.Listener.Addr().String()} {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		if _, err := bosh.Dial(ctx, url, nil); err == nil {
			t.Errorf("%s: no error", url)
		}
		cancel()
	}
}

func TestDialDeadlines(t *testing.T) {
	s := serve(t, nil)
	c := dial(t, s.URL)
	c.say(header)
	c.hear("stream", "features")
	c.conn.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
	if _, err := c.conn.Read(make([]byte, 1)); err == nil {
		t.Error("nothing came, and there is no error")
	}
	c.conn.SetReadDeadline(time.Time{})
	c.say("<echo>x</echo>")
	if b := make([]byte, 5); true {
		if _, err := io.ReadFull(c.conn, b); err != nil || string(b) != "<echo" {
			t.Errorf("%s, %v", b, err)
		}
	}
}

// A client that does not read is not sent more and more, and goes on when it reads.
func TestDialIsNotFlooded(t *testing.T) {
	s := serve(t, nil)
	c := dial(t, s.URL)
	c.say(header)
	c.hear("stream", "features")
	c.conn.SetWriteDeadline(time.Now().Add(time.Second))
	text, said := strings.Repeat("x", 9000), 0
	for err := error(nil); err == nil; said++ {
		if said == 100 {
			t.Fatal("all is taken, though nothing is read")
		}
		_, err = io.WriteString(c.conn, "<echo>"+text+"</echo>")
	}
	c.conn.SetWriteDeadline(time.Now().Add(30 * time.Second))
	for range said {
		c.hear("echo " + text)
	}
	c.say("<echo>last</echo>")
	c.hear("echo last")
}
