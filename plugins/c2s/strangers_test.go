package c2s_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/jabberii/server/plugins/c2s"
	weblisten "github.com/jabberii/server/plugins/http"
	"github.com/jabberii/server/plugins/sdk/sdktest"
	"github.com/jabberii/server/plugins/sdk/web"
)

// proxied is the header of a proxy for a client at an address.
func proxied(address string) string {
	if strings.Contains(address, ":") {
		return "PROXY TCP6 " + address + " 2001:db8:ffff::1 1000 5222\r\n"
	}
	return "PROXY TCP4 " + address + " 192.0.2.200 1000 5222\r\n"
}

// There may be so many clients of one address that are not logged in, and so many in
// all; those that are count no more, and those that go make room.
func TestTooManyStrangers(t *testing.T) {
	p := plan(`{"listen":["127.0.0.1:0"],"starttls":"optional","proxies":["127.0.0.1"],"unauthenticated":{"per_address":2,"max":3}}`)
	sdktest.Both(t, p, func(t *testing.T, h *sdktest.Harness) {
		address := listening(h)
		withAccount(t, h)
		refused := func(from string) {
			t.Helper()
			if out := raw(t, address, proxied(from)+header); !strings.Contains(out, "<resource-constraint") {
				t.Errorf("one too many from %s is told %s", from, out)
			}
		}
		one, in := talk(t, address, proxied("192.0.2.1")+header)
		until(t, in, "</stream:features>")
		_, in = talk(t, address, proxied("192.0.2.1")+header)
		until(t, in, "</stream:features>")
		refused("192.0.2.1")
		refused("192.0.2.1")
		if e := h.Logged("too many connections that are not logged in"); !strings.Contains(e.Attrs, "last_from='192.0.2.1'") {
			t.Errorf("logged as %s", e.Attrs)
		}
		other, otherIn := talk(t, address, proxied("192.0.2.2")+header)
		until(t, otherIn, "</stream:features>")
		refused("192.0.2.3") // of all
		io.WriteString(other, plainAs("ann", "secret"))
		until(t, otherIn, "<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>")
		io.WriteString(other, header+bindIQ)
		until(t, otherIn, "</iq>")
		_, in = talk(t, address, proxied("2001:db8::1")+header) // in the place of who is logged in
		until(t, in, "</stream:features>")
		refused("192.0.2.1")
		one.Close()
		for { // until it is gone
			if out := raw(t, address, proxied("192.0.2.1")+header+closed); !strings.Contains(out, "<resource-constraint") {
				return
			}
		}
	})
}

// A /64 is one address.
func TestStrangersOfIPv6(t *testing.T) {
	h := sdktest.New(t, plan(`{"listen":["127.0.0.1:0"],"starttls":"optional","proxies":["127.0.0.1"],"unauthenticated":{"per_address":1}}`), false)
	address := listening(h)
	_, in := talk(t, address, proxied("2001:db8::1")+header)
	until(t, in, "</stream:features>")
	if out := raw(t, address, proxied("2001:db8::ffff:2")+header); !strings.Contains(out, "<resource-constraint") {
		t.Errorf("another of the same /64 is told %s", out)
	}
	_, in = talk(t, address, proxied("2001:db8:0:1::1")+header)
	until(t, in, "</stream:features>")
}

// Clients by HTTP count as well, each with the address that a trusted proxy tells.
func TestStrangersByHTTP(t *testing.T) {
	routes := new(web.Routes)
	p := plan(`{"listen":[],"bosh":{},"websocket":{},"unauthenticated":{"per_address":1}}`)
	p.Modules[0] = c2s.With(routes)
	p.Modules = append(p.Modules, weblisten.With(routes))
	p.Sections[0].Chain = append(p.Sections[0].Chain, sdktest.Block("http", `{"listen":["127.0.0.1:0"]}`))
	h := sdktest.New(t, p, false)
	at := addressIn.FindStringSubmatch(h.Logged("listening for HTTP").Attrs)[1]
	begin := func(path, from string) (int, string) {
		t.Helper()
		r, err := http.NewRequest("POST", "http://"+at+path, strings.NewReader(
			"<body xmlns='http://jabber.org/protocol/httpbind' rid='1' to='example.org' wait='1' hold='1' xmlns:xmpp='urn:xmpp:xbosh' xmpp:version='1.0'/>"))
		if err != nil {
			t.Fatal(err)
		}
		if path == "/ws" {
			r.Method, r.Body, r.ContentLength = "GET", nil, 0
			for name, value := range map[string]string{"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
				"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Protocol": "xmpp"} {
				r.Header.Set(name, value)
			}
		}
		r.Header.Set("X-Forwarded-For", from)
		r.Header.Set("X-Forwarded-Proto", "https")
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		if answer.StatusCode == http.StatusSwitchingProtocols {
			t.Cleanup(func() { answer.Body.Close() })
			return answer.StatusCode, ""
		}
		defer answer.Body.Close()
		body, err := io.ReadAll(answer.Body)
		if err != nil {
			t.Fatal(err)
		}
		return answer.StatusCode, string(body)
	}
	if status, body := begin("/http-bind", "192.0.2.1"); status != http.StatusOK || !strings.Contains(body, "sid=") {
		t.Fatalf("the first: %d %s", status, body)
	}
	if status, body := begin("/http-bind", "192.0.2.1"); strings.Contains(body, "sid=") {
		t.Errorf("a second session of one address: %d %s", status, body)
	}
	if status, _ := begin("/ws", "192.0.2.1"); status != http.StatusServiceUnavailable {
		t.Errorf("a WebSocket beside it: %d", status)
	}
	if status, _ := begin("/ws", "192.0.2.2"); status != http.StatusSwitchingProtocols {
		t.Errorf("a WebSocket of another: %d", status)
	}
	h.Logged("too many connections that are not logged in")
}
