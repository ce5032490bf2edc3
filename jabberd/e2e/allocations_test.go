//go:build !race

// The race detector makes pools forget what they hold; make test runs this without.

package e2e_test

import (
	"context"
	"encoding/base64"
	"io"
	"net"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/c2s"
	"github.com/jabberii/server/plugins/sdk/account"
	"github.com/jabberii/server/plugins/sdk/sdktest"
	"github.com/jabberii/server/plugins/sdk/xdb"
	"github.com/jabberii/server/plugins/sm"
	"github.com/jabberii/server/xdb/memory"
)

// What a message from one client to another may allocate, from socket to
// socket, in one process: a little more than it did when this was last written.
// Whoever has made it less lowers it; to raise it, there has to be a reason.
const (
	mostAllocations      = 3.4 // 16 messages in flight
	mostAllocationsAcks  = 7.3 // with stream management (XEP-0198) on both sides
	mostAllocationsAlone = 4.4 // one in flight
)

func TestAllocationsOfAMessage(t *testing.T) {
	tests := []struct {
		name   string
		window int
		acks   bool
		most   float64
	}{
		{"16 in flight", 16, false, mostAllocations},
		{"16 in flight, acknowledged", 16, true, mostAllocationsAcks},
		{"one in flight", 1, false, mostAllocationsAlone},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			ann, bob := couple(t, test.acks)
			message := "<message to='bob@localhost' type='chat' id='m1'><body>" + strings.Repeat("lorem ", 16) + "</body></message>"
			batch := []byte(strings.Repeat(message, test.window))
			if test.acks {
				batch = append(batch, "<r xmlns='urn:xmpp:sm:3'/>"...)
			}
			exchange := func(messages int) {
				for range messages / test.window {
					if _, err := ann.conn.Write(batch); err != nil {
						t.Fatal(err)
					}
					bob.receive(t, test.window)
				}
			}
			exchange(4000) // until buffers, pools and maps have their size
			const messages = 16000
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			exchange(messages)
			runtime.ReadMemStats(&after)
			each := float64(after.Mallocs-before.Mallocs) / messages
			t.Logf("figure: %.2f allocations and %.0f bytes a message, %s", each, float64(after.TotalAlloc-before.TotalAlloc)/messages, test.name)
			if each > test.most {
				t.Errorf("%.2f allocations a message, more than %.2f", each, test.most)
			}
		})
	}
}

// couple starts a server in this process and logs two users in. What comes to
// the first is not looked at.
func couple(t *testing.T, acks bool) (ann, bob *rawClient) {
	t.Helper()
	h := sdktest.New(t, sdktest.Plan{
		Modules: []module.Module{c2s.Module, sm.Module, memory.Module},
		Sections: []module.Section{
			sdktest.Section("c2s", packet.Session, sdktest.Block("c2s", `{"listen":["127.0.0.1:0"],"starttls":"optional"}`)),
			sdktest.Service("users", sdktest.Host("localhost"), sdktest.Block("sm", `{}`)),
			sdktest.Section("store", packet.XDB, sdktest.Host("*"), sdktest.Block("memory", `{}`)),
		},
	}, false)
	addr := regexp.MustCompile(`address='([^']+)'`).FindStringSubmatch(h.Logged("listening for clients").Attrs)[1]
	ann, bob = rawLogin(t, h, addr, "ann", acks), rawLogin(t, h, addr, "bob", acks)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for buf := make([]byte, 4096); ; {
			if _, err := ann.conn.Read(buf); err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() {
		ann.conn.Close()
		<-ended
	})
	return ann, bob
}

// A rawClient allocates nothing itself once it has logged in.
type rawClient struct {
	conn     net.Conn
	buf      []byte
	messages counter
	requests counter
	answer   []byte
	handled  int64
}

// A counter counts a word in what goes by; no beginning of the word is inside it.
type counter struct {
	word  string
	at, n int
}

func (c *counter) add(text []byte) {
	for _, b := range text {
		switch {
		case b == c.word[c.at]:
			c.at++
		case b == c.word[0]:
			c.at = 1
		default:
			c.at = 0
		}
		if c.at == len(c.word) {
			c.at = 0
			c.n++
		}
	}
}

// rawLogin makes an account and a session of it.
func rawLogin(t *testing.T, h *sdktest.Harness, addr, user string, acks bool) *rawClient {
	t.Helper()
	if err := account.Add(context.Background(), xdb.New(asking{h}, "test"), user+"@localhost", "secret"); err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(2 * time.Minute))
	c := &rawClient{conn: conn, buf: make([]byte, 64<<10), messages: counter{word: "</message>"}, requests: counter{word: "<r "}}
	const open = "<stream:stream to='localhost' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>"
	c.say(t, open, "</stream:features>")
	c.say(t, "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>"+
		base64.StdEncoding.EncodeToString([]byte("\x00"+user+"\x00secret"))+"</auth>", "<success")
	c.say(t, open, "</stream:features>")
	c.say(t, "<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>", "</iq>")
	if acks {
		c.say(t, "<enable xmlns='urn:xmpp:sm:3' resume='true'/>", "<enabled")
	}
	c.say(t, "<presence/>", "<presence")
	c.handled = 1
	return c
}

func (c *rawClient) say(t *testing.T, text, answer string) {
	t.Helper()
	if _, err := io.WriteString(c.conn, text); err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for !strings.Contains(all.String(), answer) {
		n, err := c.conn.Read(c.buf)
		all.Write(c.buf[:n])
		if err != nil {
			t.Fatalf("after %s: %v, %s", text, err, all.String())
		}
	}
	c.requests.add([]byte(all.String()))
}

// receive reads so many messages, and acknowledges what it is asked to.
func (c *rawClient) receive(t *testing.T, messages int) {
	for have := c.messages.n; c.messages.n < have+messages; {
		n, err := c.conn.Read(c.buf)
		if err != nil {
			t.Fatal(err)
		}
		c.messages.add(c.buf[:n])
		c.requests.add(c.buf[:n])
		if c.requests.n > 0 {
			c.requests.n = 0
			c.answer = append(c.answer[:0], "<a xmlns='urn:xmpp:sm:3' h='"...)
			c.answer = strconv.AppendInt(c.answer, c.handled+int64(c.messages.n), 10)
			c.answer = append(c.answer, "'/>"...)
			if _, err := c.conn.Write(c.answer); err != nil {
				t.Fatal(err)
			}
		}
	}
}

type asking struct{ h *sdktest.Harness }

func (a asking) Ask(_ context.Context, q *packet.Packet) (*packet.Packet, error) { return a.h.Ask(q) }
