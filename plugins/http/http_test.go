package http_test

import (
	"bufio"
	"crypto/tls"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/jabberii/server/basemods/load"
	"github.com/jabberii/server/jabberd/config/configtest"
	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/c2s"
	listen "github.com/jabberii/server/plugins/http"
	"github.com/jabberii/server/plugins/sdk/sdktest"
	"github.com/jabberii/server/plugins/sdk/web"
)

func TestReadme(t *testing.T) {
	routes := new(web.Routes)
	configtest.Readme(t, listen.With(routes), load.With(listen.With(routes), c2s.With(routes)))
}

// start serves routes for example.org and returns the harness and the
// addresses, first those without TLS.
func start(t *testing.T, routes *web.Routes, args string) (h *sdktest.Harness, addresses []string) {
	t.Helper()
	h = sdktest.New(t, sdktest.Plan{
		Modules: []module.Module{listen.With(routes)},
		Sections: []module.Section{
			sdktest.Section("web", packet.Session, sdktest.Block("http", args)),
			sdktest.Section("users", packet.Session, sdktest.Host("example.org"), sdktest.Host("bücher.example"), sdktest.Sink()),
		},
	}, false)
	for range strings.Count(args, "127.0.0.1:0") {
		attrs := h.Logged("listening for HTTP").Attrs
		addresses = append(addresses, regexp.MustCompile(`address='([^']+)'`).FindStringSubmatch(attrs)[1])
	}
	return h, addresses
}

// clients of a server with a certificate of its own.
var client = &http.Client{Transport: &http.Transport{
	TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: true, DisableKeepAlives: true,
}}

// ask sends a request with headers, "Host" among them.
func ask(t *testing.T, method, url string, header map[string]string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequest(method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range header {
		r.Header.Set(name, value)
	}
	r.Host = header["Host"]
	answer, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer, string(body)
}

const bothPorts = `"listen":["127.0.0.1:0"],"tls":{"listen":["127.0.0.1:0"]}`

// whoAsks is a route that answers with who has asked.
func whoAsks(t *testing.T) *web.Routes {
	t.Helper()
	routes := new(web.Routes)
	_, err := routes.Hang("test", web.Route{Path: "/who/", Methods: "GET, POST", Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := web.ClientOf(r)
		fmt.Fprint(w, c.Addr.Addr(), " secure=", c.Secure, " tls=", c.TLS != nil, " ", r.Proto, " ", r.URL.Path)
	})})
	if err != nil {
		t.Fatal(err)
	}
	return routes
}

func TestWhoAsks(t *testing.T) {
	_, at := start(t, whoAsks(t), `{`+bothPorts+`,"trusted_proxies":["127.0.0.1","10.0.0.0/8"]}`)
	_, strict := start(t, whoAsks(t), `{`+bothPorts+`,"trusted_proxies":["192.0.2.1"]}`)
	for _, c := range []struct {
		name, url string
		header    map[string]string
		want      string
	}{
		{"on this machine", "http://" + at[0], nil, "127.0.0.1 secure=true tls=false"},
		{"in TLS", "https://" + at[1], nil, "127.0.0.1 secure=true tls=true"},
		{"a proxy without TLS", "http://" + at[0], map[string]string{"X-Forwarded-For": "192.0.2.9"}, "192.0.2.9 secure=false tls=false"},
		{"a proxy with TLS", "http://" + at[0], map[string]string{"X-Forwarded-For": "192.0.2.9", "X-Forwarded-Proto": "https"}, "192.0.2.9 secure=true tls=false"},
		{"a proxy that we reach in TLS", "https://" + at[1], map[string]string{"X-Forwarded-For": "192.0.2.9", "X-Forwarded-Proto": "http"}, "192.0.2.9 secure=false tls=false"},
		{"proxies in a row", "http://" + at[0], map[string]string{"X-Forwarded-For": "203.0.113.5, 192.0.2.9, 10.1.2.3"}, "192.0.2.9 secure=false tls=false"},
		{"IPv6", "http://" + at[0], map[string]string{"X-Forwarded-For": "2001:db8::1"}, "2001:db8::1 secure=false tls=false"},
		{"nonsense", "http://" + at[0], map[string]string{"X-Forwarded-For": "unknown"}, "127.0.0.1 secure=false tls=false"},
		{"who is not trusted", "http://" + strict[0], map[string]string{"X-Forwarded-For": "192.0.2.9", "X-Forwarded-Proto": "https"}, "127.0.0.1 secure=false tls=false"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, got := ask(t, "GET", c.url+"/who/is", c.header); !strings.HasPrefix(got, c.want+" ") || !strings.HasSuffix(got, " /who/is") {
				t.Errorf("%s, want %s", got, c.want)
			}
		})
	}
	if _, got := ask(t, "GET", "https://"+at[1]+"/who/", nil); !strings.Contains(got, "HTTP/2.0") {
		t.Errorf("HTTP/2 is not spoken: %s", got)
	}
	if answer, _ := ask(t, "GET", "http://"+at[0]+"/who", nil); answer.StatusCode != http.StatusNotFound {
		t.Errorf("what nobody serves is %s", answer.Status)
	}
}

func TestCORS(t *testing.T) {
	_, any := start(t, whoAsks(t), `{"listen":["127.0.0.1:0"]}`)
	_, some := start(t, whoAsks(t), `{"listen":["127.0.0.1:0"],"cors_origins":["https://a.example"]}`)
	for _, c := range []struct {
		name, method, address, origin string
		allowed, methods              string
		status                        int
	}{
		{"no page, whose answer may be kept for one", "GET", any[0], "", "*", "", 200},
		{"no page, where some may", "GET", some[0], "", "", "", 200},
		{"any page", "GET", any[0], "https://a.example", "*", "", 200},
		{"any page asks first", "OPTIONS", any[0], "https://a.example", "*", "GET, POST", 204},
		{"one of ours", "GET", some[0], "https://a.example", "https://a.example", "", 200},
		{"one of ours asks first", "OPTIONS", some[0], "https://a.example", "https://a.example", "GET, POST", 204},
		{"another", "GET", some[0], "https://b.example", "", "", 200},
		{"another asks first", "OPTIONS", some[0], "https://b.example", "", "", 204},
	} {
		t.Run(c.name, func(t *testing.T) {
			header := map[string]string{"Access-Control-Request-Method": "POST"}
			if c.origin != "" {
				header["Origin"] = c.origin
			}
			answer, _ := ask(t, c.method, "http://"+c.address+"/who/", header)
			allowed, methods := answer.Header.Get("Access-Control-Allow-Origin"), answer.Header.Get("Access-Control-Allow-Methods")
			if answer.StatusCode != c.status || allowed != c.allowed || methods != c.methods {
				t.Errorf("%s, origin %q, methods %q", answer.Status, allowed, methods)
			}
			if varies := answer.Header.Get("Vary") == "Origin"; varies != (c.address == some[0]) {
				t.Errorf("the answer varies with the origin: %v", varies)
			}
		})
	}
}

// linked is a route that host-meta links to.
func linked(t *testing.T) *web.Routes {
	t.Helper()
	routes := new(web.Routes)
	for _, r := range []web.Route{
		{Path: "/ws", Rel: "urn:xmpp:alt-connections:websocket", WebSocket: true}, {Path: "/bosh", Rel: "urn:xmpp:alt-connections:xbosh"},
	} {
		r.Handler = http.NotFoundHandler()
		if _, err := routes.Hang("test", r); err != nil {
			t.Fatal(err)
		}
	}
	return routes
}

func TestHostMeta(t *testing.T) {
	_, both := start(t, linked(t), `{`+bothPorts+`}`)
	_, clear := start(t, linked(t), `{"listen":["127.0.0.1:0"]}`)
	_, named := start(t, linked(t), `{`+bothPorts+`,"external":"https://web.{host}:444/xmpp/","links":{"urn:x":"https://x.example/"}}`)
	_, port, _ := net.SplitHostPort(both[1])
	const rel = "urn:xmpp:alt-connections:"
	for _, c := range []struct {
		name, url, host string
		header          map[string]string
		want            string // rel href, sorted
	}{
		{"where TLS is", "http://" + both[0], "example.org:5280", nil, rel + "websocket wss://example.org:" + port + "/ws " + rel + "xbosh https://example.org:" + port + "/bosh"},
		{"what was asked in TLS", "https://" + both[1], "example.org:7443", nil, rel + "websocket wss://example.org:7443/ws " + rel + "xbosh https://example.org:7443/bosh"},
		{"what a proxy was asked", "http://" + both[0], "example.org", map[string]string{"X-Forwarded-Proto": "https"}, rel + "websocket wss://example.org/ws " + rel + "xbosh https://example.org/bosh"},
		{"no TLS at all", "http://" + clear[0], "example.org:5280", nil, "no links"},
		{"a proxy that was asked without TLS", "http://" + clear[0], "example.org", map[string]string{"X-Forwarded-Proto": "http"}, "no links"},
		{"external", "http://" + named[0], "example.org", nil, "urn:x https://x.example/ " + rel + "websocket wss://web.example.org:444/xmpp/ws " + rel + "xbosh https://web.example.org:444/xmpp/bosh"},
		{"a name in Unicode", "http://" + named[0], "xn--bcher-kva.example", nil, "urn:x https://x.example/ " + rel + "websocket wss://web.xn--bcher-kva.example:444/xmpp/ws " + rel + "xbosh https://web.xn--bcher-kva.example:444/xmpp/bosh"},
		{"another host", "http://" + both[0], "example.net", nil, ""},
		{"an address", "http://" + both[0], "127.0.0.1", nil, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			header := map[string]string{"Host": c.host, "Origin": "https://a.example"}
			for name, value := range c.header {
				header[name] = value
			}
			for path, read := range map[string]func(*testing.T, string) string{"host-meta": xrd, "host-meta.json": jrd} {
				answer, body := ask(t, "GET", c.url+"/.well-known/"+path, header)
				if c.want == "" {
					if answer.StatusCode != http.StatusNotFound {
						t.Errorf("%s: %s", path, answer.Status)
					}
					continue
				}
				got := read(t, body)
				if got == "" {
					got = "no links"
				}
				if got != c.want || answer.Header.Get("Access-Control-Allow-Origin") != "*" {
					t.Errorf("%s is\n%s\nwant\n%s\nwith %v", path, got, c.want, answer.Header)
				}
			}
		})
	}
}

func xrd(t *testing.T, body string) string {
	var x struct {
		XMLName xml.Name `xml:"http://docs.oasis-open.org/ns/xri/xrd-1.0 XRD"`
		Link    []struct {
			Rel  string `xml:"rel,attr"`
			Href string `xml:"href,attr"`
		}
	}
	if err := xml.Unmarshal([]byte(body), &x); err != nil {
		t.Fatalf("%v: %s", err, body)
	}
	var list []string
	for _, l := range x.Link {
		list = append(list, l.Rel+" "+l.Href)
	}
	return strings.Join(list, " ")
}

func jrd(t *testing.T, body string) string {
	var x struct {
		Links []struct{ Rel, Href string }
	}
	if err := json.Unmarshal([]byte(body), &x); err != nil {
		t.Fatalf("%v: %s", err, body)
	}
	var list []string
	for _, l := range x.Links {
		list = append(list, l.Rel+" "+l.Href)
	}
	return strings.Join(list, " ")
}

func TestForward(t *testing.T) {
	behind := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") != "" {
			conn, _, err := w.(http.Hijacker).Hijack()
			if err != nil {
				return
			}
			defer conn.Close()
			io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
			io.Copy(conn, conn)
			return
		}
		fmt.Fprint(w, r.Host, " ", r.URL, " ", r.Header.Get("X-Forwarded-For"), " ", r.Header.Get("X-Forwarded-Proto"), " ", r.Header.Get("X-Forwarded-Host"), " ", r.Header.Values("Forwarded"))
	})
	overTCP := httptest.NewServer(behind)
	defer overTCP.Close()
	socket := filepath.Join(t.TempDir(), "s")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	overUnix := httptest.NewUnstartedServer(behind)
	overUnix.Listener = listener
	overUnix.Start()
	defer overUnix.Close()
	h, at := start(t, whoAsks(t), fmt.Sprintf(`{"listen":["127.0.0.1:0"],"forward":[{"label":"/a/","to":"%s/sub"},{"label":"/b","to":"unix:%s"},{"label":"/c","to":"http://127.0.0.1:1"},{"label":"/who/us","to":"%s"}]}`,
		overTCP.URL, socket, overTCP.URL))
	forwarded := map[string]string{"Host": "chat.example.org", "X-Forwarded-For": "203.0.113.1, 192.0.2.9", "X-Forwarded-Proto": "https", "X-Forwarded-Host": "evil.example", "Forwarded": "for=198.51.100.1"}
	const said = `[for=192.0.2.9;host="chat.example.org";proto=https]`
	for path, want := range map[string]string{
		"/a/b?c=d": "chat.example.org /sub/a/b?c=d 192.0.2.9 https chat.example.org " + said,
		"/b":       "chat.example.org /b 192.0.2.9 https chat.example.org " + said,
		"/who/us":  "chat.example.org /who/us 192.0.2.9 https chat.example.org " + said,
		"/who/me":  "192.0.2.9 secure=true tls=false HTTP/1.1 /who/me",
	} {
		if _, got := ask(t, "GET", "http://"+at[0]+path, forwarded); got != want {
			t.Errorf("%s: %s\nwant %s", path, got, want)
		}
	}
	if answer, _ := ask(t, "GET", "http://"+at[0]+"/c", nil); answer.StatusCode != http.StatusBadGateway {
		t.Errorf("nobody there: %s", answer.Status)
	}
	h.Logged("forward /c")
	conn, err := net.Dial("tcp", at[0])
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "GET /b HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
	r := bufio.NewReader(conn)
	if answer, err := http.ReadResponse(r, nil); err != nil || answer.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("%+v, %v", answer, err)
	}
	io.WriteString(conn, "hello\n")
	if line, err := r.ReadString('\n'); err != nil || line != "hello\n" {
		t.Errorf("%q, %v", line, err)
	}
}

// With too many connections a further one is closed, and one that ends makes room.
func TestMaxConnections(t *testing.T) {
	_, at := start(t, whoAsks(t), `{"listen":["127.0.0.1:0"],"max_connections":1}`)
	ask := func(conn net.Conn) error {
		fmt.Fprintf(conn, "GET /who/ HTTP/1.1\r\nHost: x\r\n\r\n")
		_, err := http.ReadResponse(bufio.NewReader(conn), nil)
		return err
	}
	dial := func() net.Conn {
		conn, err := net.Dial("tcp", at[0])
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		return conn
	}
	first := dial()
	if err := ask(first); err != nil {
		t.Fatal(err)
	}
	if err := ask(dial()); err == nil {
		t.Error("a second connection was served")
	}
	first.Close()
	for range 1000 { // the server hears of the end soon
		if ask(dial()) == nil {
			return
		}
	}
	t.Error("there is no room after the first has ended")
}

func TestWrongArguments(t *testing.T) {
	for args, want := range map[string]string{
		`{}`:                                  "is needed",
		`{"listen":["5280"]}`:                 "no address to listen on",
		`{"listen":[":1"],"external":"chat"}`: "is no URL",
		`{"listen":[":1"],"external":"http://chat.example.org"}`:                                      "is no URL of https",
		`{"listen":[":1"],"trusted_proxies":["x"]}`:                                                   "neither an address nor a network",
		`{"listen":[":1"],"forward":[{"label":"/a","to":"ftp://x"}]}`:                                 "neither a URL nor a socket",
		`{"listen":[":1"],"forward":[{"label":"a","to":"http://x"}]}`:                                 "does not begin with a slash",
		`{"listen":[":1"],"forward":[{"label":"/a","to":"http://x"},{"label":"/a","to":"http://y"}]}`: "already",
		`{"listen":[":1"],"tls":{"cert":"a"}}`:                                                        "go together",
	} {
		_, err := sdktest.Try(t, sdktest.Plan{
			Modules:  []module.Module{listen.With(new(web.Routes))},
			Sections: []module.Section{sdktest.Section("web", packet.Session, sdktest.Block("http", args))},
		}, false)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", args, err, want)
		}
	}
}
