package c2s_test

import (
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/jabberii/server/plugins/sdk/sdktest"
)

// A boshClient says what it likes by HTTP requests.
type boshClient struct {
	t    *testing.T
	http *http.Client
	url  string
	sid  string
	rid  int
}

func newBOSH(t *testing.T, url string) *boshClient {
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &boshClient{t: t, http: &http.Client{Transport: transport, Timeout: time.Minute}, url: url, rid: 100}
}

// say sends a request and returns the response.
func (c *boshClient) say(attrs, payload string) string {
	c.t.Helper()
	c.rid++
	text := fmt.Sprintf("<body xmlns='http://jabber.org/protocol/httpbind' xmlns:xmpp='urn:xmpp:xbosh' rid='%d' sid='%s'%s>%s</body>", c.rid, c.sid, attrs, payload)
	if c.sid == "" {
		text = strings.Replace(text, " sid=''", "", 1)
	}
	answer, err := c.http.Post(c.url, "text/xml; charset=utf-8", strings.NewReader(text))
	if err != nil {
		c.t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	return string(body)
}

// tell sends a request and checks what is in the response.
func (c *boshClient) tell(attrs, payload string, want ...string) string {
	c.t.Helper()
	got := c.say(attrs, payload)
	for _, w := range want {
		if !strings.Contains(got, w) {
			c.t.Fatalf("to %s%s the answer is %s, without %s", attrs, payload, got, w)
		}
	}
	return got
}

const auth = "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AGFubgBzZWNyZXQ=</auth>"

// login logs in as ann and binds a resource.
func (c *boshClient) login() {
	c.t.Helper()
	got := c.tell(" to='example.org' wait='60' hold='1' xmpp:version='1.0'", "", "<stream:features xmlns:stream='http://etherx.jabber.org/streams'>", "PLAIN")
	if strings.Contains(got, "starttls") || strings.Contains(got, "<stream:stream") {
		c.t.Errorf("the session begins with %s", got)
	}
	c.sid = regexp.MustCompile(" sid='([^']+)'").FindStringSubmatch(got)[1]
	c.tell("", auth, "<success xmlns=")
	c.tell(" xmpp:restart='true' to='example.org'", "", "<body xmlns='http://jabber.org/protocol/httpbind' xmlns:stream='http://etherx.jabber.org/streams'><stream:features ", "xmpp-bind")
	c.tell("", "<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>", "<iq xmlns='jabber:client' ", "ann@example.org/there")
}

const overBOSH = `{"listen":["127.0.0.1:0"],"bosh":{"inactivity":"2s","polling":"0s"}}`

func TestBOSH(t *testing.T) {
	t.Parallel()
	sdktest.Both(t, webPlan(overBOSH), func(t *testing.T, h *sdktest.Harness) {
		clear, secure := served(h), served(h)
		withAccount(t, h)
		for _, url := range []string{"http://" + clear + "/http-bind", "https://" + secure + "/http-bind"} {
			t.Run(url[:5], func(t *testing.T) {
				c := newBOSH(t, url)
				c.login()
				for i := range 3 {
					id := fmt.Sprint("id='m", i, "'")
					c.tell("", "<message xmlns='jabber:client' to='Bob@example.org' "+id+"><body>&lt;x/></body></message>", "<message xmlns='jabber:client' ", id, "<body>&lt;x/></body>")
				}
				c.tell(" type='terminate'", "<presence type='unavailable'/>", "terminate")
				if p := h.Next(); p.Name != "close" || p.Type != "end" || p.From != "ann@example.org/there" {
					t.Errorf("the session is told %+v", p)
				}
			})
		}
	})
}

// A client that keeps its request open and says nothing is parked, and goes on.
// One without a request is lost after a while.
func TestBOSHIsParked(t *testing.T) {
	t.Parallel()
	sdktest.Both(t, webPlan(overBOSH), func(t *testing.T, h *sdktest.Harness) {
		c := newBOSH(t, "http://"+served(h)+"/http-bind")
		withAccount(t, h)
		c.login()
		h.Logged("connections have become quiet")
		c.tell("", "<message to='bob@example.org' id='m'/>", "id='m'")
		if p := h.Next(); p.Name != "close" || p.Type != "lost" {
			t.Errorf("the session is told %+v", p)
		}
		c.tell("", "", "terminate", "item-not-found")
	})
}

func TestBOSHEnds(t *testing.T) {
	t.Parallel()
	sdktest.Both(t, webPlan(overBOSH), func(t *testing.T, h *sdktest.Harness) {
		url := "http://" + served(h) + "/http-bind"
		withAccount(t, h)
		c := newBOSH(t, url)
		c.tell(" to='example.net'", "", "type='terminate'", "condition='remote-stream-error'", "<host-unknown ", " sid='")
		c = newBOSH(t, url)
		c.login()
		c.tell("", "<message to='bob@example.org'><body>end</body></message>", "type='terminate'", "condition='remote-stream-error'", "<policy-violation ")
		h.Next()
		c = newBOSH(t, url)
		c.login()
		c.tell("", "<iq type='get' id='1' from='bob@example.org'/>", "condition='remote-stream-error'", "<invalid-from ")
		h.Next()
		c = newBOSH(t, url)
		c.login()
		c.tell("", strings.Repeat("<a/>", 100000), "policy-violation")
		answer, err := http.Get(url)
		if err != nil || answer.StatusCode != http.StatusMethodNotAllowed {
			t.Errorf("GET: %+v, %v", answer, err)
		}
		preflight, _ := http.NewRequest("OPTIONS", url, nil)
		preflight.Header.Set("Origin", "https://chat.example.org")
		preflight.Header.Set("Access-Control-Request-Method", "POST")
		if answer, err = http.DefaultClient.Do(preflight); err != nil || answer.Header.Get("Access-Control-Allow-Methods") != "POST, OPTIONS" {
			t.Errorf("OPTIONS: %+v, %v", answer, err)
		}
	})
}

// A session that began encrypted is not for requests that are not: those are cut off, and
// it goes on (XEP-0124 section 19.1).
func TestBOSHStaysEncrypted(t *testing.T) {
	t.Parallel()
	sdktest.Both(t, webPlan(overBOSH), func(t *testing.T, h *sdktest.Harness) {
		clear, secure := served(h), served(h)
		withAccount(t, h)
		c := newBOSH(t, "https://"+secure+"/http-bind")
		c.login()
		stolen := fmt.Sprintf("<body xmlns='http://jabber.org/protocol/httpbind' rid='%d' sid='%s'><message xmlns='jabber:client' to='bob@example.org' id='stolen'/></body>", c.rid+1, c.sid)
		q, _ := http.NewRequest("POST", "http://"+clear+"/http-bind", strings.NewReader(stolen))
		q.Header.Set("X-Forwarded-For", "192.0.2.1") // by a proxy that was asked in the clear
		q.Header.Set("X-Forwarded-Proto", "http")
		if answer, err := c.http.Do(q); err == nil {
			t.Errorf("in the clear: %+v", answer)
		}
		c.tell("", "<message to='bob@example.org' id='mine'/>", "id='mine'")
	})
}

// A wrong password is told like everywhere, and the third ends the session.
func TestBOSHWrongPassword(t *testing.T) {
	t.Parallel()
	sdktest.Both(t, webPlan(overBOSH), func(t *testing.T, h *sdktest.Harness) {
		withAccount(t, h)
		c := newBOSH(t, "http://"+served(h)+"/http-bind")
		got := c.tell(" to='example.org'", "", "PLAIN")
		c.sid = regexp.MustCompile(" sid='([^']+)'").FindStringSubmatch(got)[1]
		wrong := strings.Replace(auth, "AGFubgBzZWNyZXQ=", "AGFubgBndWVzcw==", 1)
		for range 2 {
			c.tell("", wrong, "<not-authorized/>")
		}
		c.tell("", wrong, "<not-authorized/>", "type='terminate'", "<policy-violation ")
	})
}
