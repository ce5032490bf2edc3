package bosh_test

import (
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jabberii/server/plugins/xmpp/bosh"
	"github.com/jabberii/server/plugins/xmpp/stream"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

// A service echoes what sessions say: each element of the name echo is written
// back, and so is a header.
type service struct {
	*httptest.Server
	t        *testing.T
	sessions chan *bosh.Session
	heard    chan string // what sessions say, and how they end
}

func serve(t *testing.T, change func(*bosh.Config)) *service {
	t.Helper()
	s := &service{t: t, sessions: make(chan *bosh.Session, 10), heard: make(chan string, 1000)}
	c := bosh.Config{
		Wait: time.Minute, Hold: 1, Inactivity: time.Minute, MaxPause: 2 * time.Minute, Polling: time.Minute, Sessions: 10,
		Limits: xml.Limits{Bytes: 10000},
		Open: func(session *bosh.Session, _ *http.Request) bool {
			s.sessions <- session
			go s.listen(session)
			return true
		},
	}
	if change != nil {
		change(&c)
	}
	s.Server = httptest.NewServer(bosh.New(c))
	t.Cleanup(s.Close)
	return s
}

func (s *service) listen(session *bosh.Session) {
	for {
		t, err := session.Next(func() {})
		switch {
		case err != nil:
			s.heard <- err.Error()
			return
		case t.Kind == xml.Open:
			s.heard <- fmt.Sprintf("open to=%s version=%s lang=%s", t.To, t.Attr("version"), t.Lang)
			io.WriteString(session, "<features/>")
			continue
		case t.Kind == xml.Close:
			s.heard <- "close"
			io.WriteString(session, stream.Close)
			return
		}
		s.heard <- fmt.Sprintf("%s %s %s %s", t.Name, t.NS, t.Lang, t.Body)
		switch t.Name {
		case "echo":
			session.Write([]byte("<echo>" + string(t.Body) + "</echo>"))
		case "fail":
			session.Write([]byte("<before/><stream:error xmlns:stream='http://etherx.jabber.org/streams'><reset/></stream:error>" + stream.Close))
		}
	}
}

func (s *service) expect(want ...string) {
	s.t.Helper()
	for _, w := range want {
		select {
		case got := <-s.heard:
			if got != w {
				s.t.Fatalf("heard %q, want %q", got, w)
			}
		case <-time.After(30 * time.Second):
			s.t.Fatalf("nothing heard, want %q", w)
		}
	}
}

// A client sends requests as it is told.
type client struct {
	t   *testing.T
	url string
	sid string
	rid int64
}

// post sends a body and returns the response.
func (c *client) post(rid int64, attrs, payload string) string {
	c.t.Helper()
	answer := <-c.start(rid, attrs, payload)
	return answer
}

// start sends a body and returns where the response will come.
func (c *client) start(rid int64, attrs, payload string) <-chan string {
	if c.sid != "" {
		attrs = " sid='" + c.sid + "'" + attrs
	}
	text := fmt.Sprintf("<body xmlns='%s' xmlns:xmpp='urn:xmpp:xbosh' rid='%d'%s>%s</body>", bosh.NS, rid, attrs, payload)
	response := make(chan string, 1)
	go func() {
		r, err := http.Post(c.url, "text/xml; charset=utf-8", strings.NewReader(text))
		if err != nil {
			response <- err.Error()
			return
		}
		defer r.Body.Close()
		b, _ := io.ReadAll(r.Body)
		response <- string(b)
	}()
	return response
}

// next is post with the next number.
func (c *client) next(attrs, payload string) string {
	c.t.Helper()
	c.rid++
	return c.post(c.rid, attrs, payload)
}

func (c *client) startNext(attrs, payload string) <-chan string {
	c.rid++
	return c.start(c.rid, attrs, payload)
}

var sidIn = regexp.MustCompile(` sid='([^']+)'`)

// begin begins a session.
func (s *service) begin(attrs string) *client {
	s.t.Helper()
	c := &client{t: s.t, url: s.URL, rid: 1000}
	answer := c.post(c.rid, " to='example.org' xml:lang='de' ver='1.6' xmpp:version='1.0'"+attrs, "")
	found := sidIn.FindStringSubmatch(answer)
	if found == nil || !strings.Contains(answer, "<features/>") {
		s.t.Fatalf("the session begins with %s", answer)
	}
	c.sid = found[1]
	s.expect("open to=example.org version=1.0 lang=de")
	return c
}

const empty = "<body xmlns='http://jabber.org/protocol/httpbind'/>"

func body(payload string) string {
	return "<body xmlns='http://jabber.org/protocol/httpbind'>" + payload + "</body>"
}

func ended(condition string) string {
	return "<body xmlns='http://jabber.org/protocol/httpbind' type='terminate' condition='" + condition + "'/>"
}

func (c *client) want(got, want string) {
	c.t.Helper()
	if got != want {
		c.t.Fatalf("answered %s\nwant %s", got, want)
	}
}

func TestSession(t *testing.T) {
	s := serve(t, nil)
	c := &client{t: t, url: s.URL, rid: 5}
	got := c.post(5, " to='example.org' wait='300' hold='9' xmpp:version='1.0'", "")
	for _, want := range []string{" wait='60'", " hold='1'", " requests='2'", " inactivity='60'", " polling='60'", " maxpause='120'", " from='example.org'", " xmpp:restartlogic='true'", " xmlns:stream='"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %s in %s", want, got)
		}
	}
	c.sid = sidIn.FindStringSubmatch(got)[1]
	c.want(c.next("", "<echo xmlns='jabber:client'>1</echo>"), body("<echo>1</echo>"))
	c.want(c.next("", "<x xmlns='urn:x' xml:lang='fr'/> <echo><y xmlns='urn:y'/></echo>"), body("<echo><y xmlns='urn:y'/></echo>"))
	c.want(c.next(" xmpp:restart='true' to='example.org' xml:lang='en'", "<echo>no</echo>"), body("<features/>"))
	c.want(c.next("", "<echo>2</echo>"), body("<echo>2</echo>"))
	c.want(c.next(" type='terminate'", "<presence type='unavailable'/>"), strings.Replace(empty, "/>", " type='terminate'/>", 1))
	s.expect("open to=example.org version=1.0 lang=", "echo jabber:client  1", "x urn:x fr ", "echo jabber:client  <y xmlns='urn:y'/>",
		"open to=example.org version=1.0 lang=en", "echo jabber:client en 2", "presence jabber:client en ", "close")
}

// The version of the protocol is the lower one of theirs and ours (XEP-0124 section 7.2).
func TestVersion(t *testing.T) {
	for theirs, want := range map[string]string{
		"ver='1.6'": "1.6", "ver='1.10'": "1.10", "ver='1.11'": "1.11", "ver='1.12'": "1.11", "ver='2.0'": "1.11", "ver='01.06'": "1.6",
		"": "1.11", "ver=''": "1.11", "ver='1'": "1.11", "ver='x.y'": "1.11", "ver='-1.5'": "1.11",
	} {
		c := &client{t: t, url: serve(t, nil).URL, rid: 5}
		if got := c.post(5, " to='example.org' xmpp:version='1.0' "+theirs, ""); !strings.Contains(got, " ver='"+want+"'") {
			t.Errorf("%s is answered with %s", theirs, got)
		}
	}
}

func TestRequestsAreHeld(t *testing.T) {
	s := serve(t, nil)
	c := s.begin("")
	session := <-s.sessions
	first := c.startNext("", "<a/>")
	s.expect("a jabber:client de ")
	second := c.startNext("", "<b/>") // answers the first
	c.want(<-first, empty)
	s.expect("b jabber:client de ")
	session.Write([]byte("<c/><d/>"))
	c.want(<-second, body("<c/><d/>"))
	written := make(chan error)
	go func() {
		_, err := session.Write([]byte("<e/>")) // nobody is there to take it
		written <- err
	}()
	c.want(c.next("", "<f/>"), body("<e/>"))
	if err := <-written; err != nil {
		t.Error(err)
	}
}

func TestAHeldRequestIsAnsweredInTime(t *testing.T) {
	s := serve(t, func(c *bosh.Config) { c.Polling = 0 })
	c := s.begin(" wait='1'")
	c.want(c.next("", ""), empty)
}

func TestRequestsOutOfOrder(t *testing.T) {
	s := serve(t, nil)
	c := s.begin("")
	second := c.start(1002, "", "<b/>")
	first := c.start(1001, "", "<a/>")
	s.expect("a jabber:client de ", "b jabber:client de ")
	c.want(<-first, empty)
	(<-s.sessions).Write([]byte("<c/>"))
	c.want(<-second, body("<c/>"))
}

func TestALostResponseIsSentAgain(t *testing.T) {
	s := serve(t, nil)
	c := s.begin("")
	c.want(c.next("", "<echo>1</echo>"), body("<echo>1</echo>"))
	c.want(c.post(1001, "", "<echo>1</echo>"), body("<echo>1</echo>"))
	c.want(c.next("", "<echo>2</echo>"), body("<echo>2</echo>"))
	c.want(c.post(1001, "", "<echo>1</echo>"), body("<echo>1</echo>"))
	c.want(c.post(1002, "", "<echo>2</echo>"), body("<echo>2</echo>"))
	s.expect("echo jabber:client de 1", "echo jabber:client de 2")
	c.want(c.next("", "<echo>3</echo>"), body("<echo>3</echo>"))
	c.want(c.post(1001, "", ""), ended("item-not-found")) // no longer kept
	s.expect("echo jabber:client de 3", "unexpected EOF")
}

// A request that is sent again while it is held takes the place of the first.
func TestAHeldRequestIsSentAgain(t *testing.T) {
	s := serve(t, nil)
	c := s.begin("")
	first := c.startNext("", "<a/>")
	s.expect("a jabber:client de ")
	again := c.start(1001, "", "<a/>")
	c.want(<-first, strings.Replace(empty, "/>", " type='error'/>", 1))
	(<-s.sessions).Write([]byte("<b/>"))
	c.want(<-again, body("<b/>"))
	c.want(c.next("", "<echo>2</echo>"), body("<echo>2</echo>"))
	s.expect("echo jabber:client de 2")
}

// A client whose connection breaks while its request is held asks again.
func TestABrokenConnection(t *testing.T) {
	s := serve(t, nil)
	c := s.begin("")
	broken := &http.Client{Transport: &http.Transport{}}
	text := fmt.Sprintf("<body xmlns='%s' rid='1001' sid='%s'><a/></body>", bosh.NS, c.sid)
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		r, err := http.NewRequest("POST", s.URL, strings.NewReader(text))
		if err == nil {
			broken.Do(r)
		}
	}()
	s.expect("a jabber:client de ")
	broken.CloseIdleConnections()
	s.CloseClientConnections()
	http.DefaultClient.CloseIdleConnections() // the one that has begun the session is closed, too
	<-gone
	if got := c.post(1001, "", "<a/>"); got != empty && !strings.Contains(got, "<b/>") {
		t.Fatalf("answered %s", got)
	}
	c.rid = 1001
	c.want(c.next("", "<echo>2</echo>"), body("<echo>2</echo>"))
	s.expect("echo jabber:client de 2")
}

func TestTerminalConditions(t *testing.T) {
	for name, c := range map[string]struct {
		do   func(c *client) string
		want string
	}{
		"another session":       {func(c *client) string { c.sid = "x"; return c.next("", "") }, ended("item-not-found")},
		"a number too high":     {func(c *client) string { return c.post(1010, "", "") }, ended("item-not-found")},
		"a number too low":      {func(c *client) string { return c.post(900, "", "") }, ended("item-not-found")},
		"no number":             {func(c *client) string { return c.post(1001, " rid2='1'", "</body>") }, ended("bad-request")},
		"a negative number":     {func(c *client) string { return c.post(-1, "", "") }, ended("bad-request")},
		"not XML":               {func(c *client) string { return c.post(1001, "", "<a>") }, ended("bad-request")},
		"another element":       {func(c *client) string { c.url += "?"; return post(c.t, c.url, "<message/>") }, ended("bad-request")},
		"too large":             {func(c *client) string { return c.next("", strings.Repeat("<a/>", 10000)) }, ended("policy-violation")},
		"too long a pause":      {func(c *client) string { return c.next(" pause='500'", "") }, ended("policy-violation")},
		"no host":               {func(c *client) string { c.sid = ""; return c.next("", "") }, ended("improper-addressing")},
		"empty ones in a hurry": {func(c *client) string { first := c.startNext("", ""); second := c.next("", ""); <-first; return second }, "<body xmlns='http://jabber.org/protocol/httpbind' type='terminate'/>"},
		"a stream error": {func(c *client) string { return c.next("", "<fail/>") }, strings.Replace(ended("remote-stream-error"), "/>",
			" xmlns:stream='http://etherx.jabber.org/streams'><before/><stream:error xmlns:stream='http://etherx.jabber.org/streams'><reset/></stream:error></body>", 1)},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, nil)
			client := s.begin("")
			client.t = t
			client.want(c.do(client), c.want)
		})
	}
}

func post(t *testing.T, url, text string) string {
	t.Helper()
	r, err := http.Post(url, "text/xml", strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	b, _ := io.ReadAll(r.Body)
	return string(b)
}

// More requests than a session may have under way, which nobody reads.
func TestTooManyRequests(t *testing.T) {
	s := serve(t, func(c *bosh.Config) {
		c.Open = func(session *bosh.Session, _ *http.Request) bool {
			go session.Write([]byte("<features/>"))
			return true
		}
	})
	c := &client{t: t, url: s.URL}
	c.sid = sidIn.FindStringSubmatch(c.post(1000, " to='example.org'", ""))[1]
	var pending []<-chan string
	for _, rid := range []int64{1001, 1002, 1003} {
		pending = append(pending, c.start(rid, "", "<a/>"))
	}
	var answers []string
	for _, p := range pending {
		answers = append(answers, <-p)
	}
	if all := strings.Join(answers, " "); strings.Count(all, "policy-violation") == 0 || strings.Count(all, "terminate") != 3 {
		t.Errorf("answered %s", all)
	}
}

func TestPolling(t *testing.T) {
	s := serve(t, nil)
	c := s.begin(" wait='0' hold='0'")
	c.want(c.next("", "<a/>"), empty)
	c.want(c.next("", "<b/>"), empty)
	s.expect("a jabber:client de ", "b jabber:client de ")
	c.want(c.next("", ""), empty)
	c.want(c.next("", ""), ended("policy-violation"))
}

func TestPause(t *testing.T) {
	s := serve(t, func(c *bosh.Config) { c.Inactivity = 200 * time.Millisecond })
	c := s.begin("")
	first := c.startNext("", "<a/>")
	c.want(c.next(" pause='100'", ""), empty)
	c.want(<-first, empty)
	s.expect("a jabber:client de ")
	select {
	case got := <-s.heard:
		t.Fatalf("heard %s while the client pauses", got)
	case <-time.After(600 * time.Millisecond): // inactivity would have ended it
	}
	c.want(c.next("", "<echo>1</echo>"), body("<echo>1</echo>"))
	s.expect("echo jabber:client de 1", "unexpected EOF") // back to the short time
	c.want(c.next("", ""), ended("item-not-found"))
}

func TestKeys(t *testing.T) {
	hash := func(text string) string {
		sum := sha1.Sum([]byte(text))
		return hex.EncodeToString(sum[:])
	}
	first := hash("other")
	k3, k2, k1 := hash(hash(hash("seed"))), hash(hash("seed")), hash("seed")
	s := serve(t, nil)
	c := s.begin(" newkey='" + k3 + "'")
	c.want(c.next(" key='"+k2+"'", "<echo>1</echo>"), body("<echo>1</echo>"))
	c.want(c.next(" key='"+k1+"' newkey='"+first+"'", "<echo>2</echo>"), body("<echo>2</echo>"))
	c.want(c.next(" key='other'", "<echo>3</echo>"), body("<echo>3</echo>"))
	c.want(c.next(" key='other'", "<echo>4</echo>"), ended("item-not-found"))
}

func TestAcknowledgements(t *testing.T) {
	s := serve(t, nil)
	c := &client{t: t, url: s.URL, rid: 7}
	got := c.post(7, " to='example.org' ack='1'", "")
	if !strings.Contains(got, " ack='7'") {
		t.Fatalf("the session begins with %s", got)
	}
	c.sid = sidIn.FindStringSubmatch(got)[1]
	first := c.startNext("", "<a/>")
	s.expect("open to=example.org version=1.0 lang=", "a jabber:client  ")
	second := c.startNext("", "<b/>")
	c.want(<-first, strings.Replace(empty, "/>", " ack='9'/>", 1))
	(<-s.sessions).Write([]byte("<c/>"))
	c.want(<-second, body("<c/>"))
}

// What a session has to say when it ends waits for the next request.
func TestTheEndIsTold(t *testing.T) {
	s := serve(t, nil)
	c := s.begin("")
	(<-s.sessions).Write([]byte("<bye/>" + stream.Close))
	c.want(c.next("", "<a/>"), "<body xmlns='http://jabber.org/protocol/httpbind' type='terminate'><bye/></body>")
}

func TestNoRoom(t *testing.T) {
	s := serve(t, func(c *bosh.Config) { c.Sessions = 1 })
	s.begin("")
	c := &client{t: t, url: s.URL}
	c.want(c.post(1, " to='example.org'", ""), ended("internal-server-error"))
}

func TestDeadlineAndParking(t *testing.T) {
	var session *bosh.Session
	opened := make(chan struct{})
	s := httptest.NewServer(bosh.New(bosh.Config{Wait: time.Minute, Hold: 1, Inactivity: time.Minute, Sessions: 1, Open: func(b *bosh.Session, _ *http.Request) bool {
		session = b
		close(opened)
		return true
	}}))
	defer s.Close()
	c := &client{t: t, url: s.URL, rid: 1}
	response := c.start(1, " to='x'", "")
	<-opened
	if tok, err := session.Next(func() {}); err != nil || tok.Kind != xml.Open {
		t.Fatalf("%+v, %v", tok, err)
	}
	waits := make(chan struct{})
	go func() {
		<-waits
		session.SetReadDeadline(time.Unix(1, 0))
	}()
	var once sync.Once
	if _, err := session.Next(func() { once.Do(func() { close(waits) }) }); err != os.ErrDeadlineExceeded {
		t.Fatalf("Next: %v", err)
	}
	session.SetReadDeadline(time.Time{})
	woken := make(sleeper, 10)
	session.Park(woken)
	session.Write([]byte("<features/>"))
	c.sid = sidIn.FindStringSubmatch(<-response)[1]
	held := c.startNext("", "<a/>")
	<-woken
	session.Park(woken) // there is something, so at once
	<-woken
	if tok, err := session.Next(func() {}); err != nil || tok.Name != "a" {
		t.Fatalf("%+v, %v", tok, err)
	}
	session.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
	if _, err := session.Next(func() {}); err != os.ErrDeadlineExceeded {
		t.Fatalf("Next: %v", err)
	}
	session.Park(woken)
	session.Leave(woken)
	session.Cut()
	<-held
	if len(woken) != 0 {
		t.Error("woken after it has left")
	}
	if _, err := session.Next(func() {}); err != io.ErrUnexpectedEOF {
		t.Errorf("Next: %v", err)
	}
	if _, err := session.Write([]byte("<a/>")); err == nil {
		t.Error("a session that has ended is written to")
	}
}

type sleeper chan struct{}

func (s sleeper) Wake() { s <- struct{}{} }

func TestOnlyPOST(t *testing.T) {
	s := serve(t, nil)
	r, err := http.Get(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	r.Body.Close()
	if r.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("GET is answered with %s", r.Status)
	}
}

// Whatever is said, there is an answer which is a body, and nothing hangs.
func FuzzRequests(f *testing.F) {
	f.Add(" to='example.org'", "<echo>1</echo>", " rid='8'", "<a/><b xmlns='urn:x'>c</b>")
	f.Add(" to='a' newkey='x'", "", " rid='8' key='y'", "<x:y xmlns:x='z'/>")
	f.Add(" to='a' hold='0' wait='0'", "<![CDATA[<a/>]]><a/>", " rid='8' type='terminate'", "")
	f.Fuzz(func(t *testing.T, attrs, payload, attrs2, payload2 string) {
		server := bosh.New(bosh.Config{Wait: time.Millisecond, Hold: 1, Inactivity: time.Minute, Sessions: 2, Open: func(s *bosh.Session, _ *http.Request) bool {
			go func() {
				for {
					tok, err := s.Next(func() {})
					if err != nil || tok.Kind == xml.Close {
						s.Close()
						return
					}
					io.WriteString(s, "<x/>")
				}
			}()
			return true
		}})
		ask := func(text string) string {
			w := httptest.NewRecorder()
			server.ServeHTTP(w, httptest.NewRequest("POST", "/", strings.NewReader(text)))
			if tok, err := xml.NewScanner(xml.Limits{}).Document(w.Body.Bytes()); err != nil || tok.Name != "body" {
				t.Fatalf("answered %s: %v", w.Body, err)
			}
			return w.Body.String()
		}
		const start = "<body xmlns='http://jabber.org/protocol/httpbind' xmlns:xmpp='urn:xmpp:xbosh'"
		found := sidIn.FindStringSubmatch(ask(start + " rid='7'" + attrs + ">" + payload + "</body>"))
		if found == nil {
			return
		}
		ask(start + " sid='" + found[1] + "'" + attrs2 + ">" + payload2 + "</body>")
		ask(start + " sid='" + found[1] + "' rid='9' type='terminate'/>")
	})
}
