package landing_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"
	"rsc.io/qr"

	"github.com/jabberii/server/basemods/load"
	"github.com/jabberii/server/jabberd/config/configtest"
	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/c2s"
	weblisten "github.com/jabberii/server/plugins/http"
	"github.com/jabberii/server/plugins/landing"
	"github.com/jabberii/server/plugins/register"
	"github.com/jabberii/server/plugins/sdk/account"
	"github.com/jabberii/server/plugins/sdk/invite"
	"github.com/jabberii/server/plugins/sdk/sdktest"
	"github.com/jabberii/server/plugins/sdk/web"
	"github.com/jabberii/server/plugins/sdk/xdb"
	"github.com/jabberii/server/plugins/sm"
	"github.com/jabberii/server/xdb/badger"
	"github.com/jabberii/server/xdb/memory"
)

func TestReadme(t *testing.T) {
	routes := new(web.Routes)
	configtest.Readme(t, landing.With(routes), load.With(landing.With(routes), weblisten.With(routes), c2s.With(routes), register.Module, sm.Module), badger.Module)
}

var addressIn = regexp.MustCompile(`address='([^']+)'`)

// A site serves the pages of two hosts.
type site struct {
	t     *testing.T
	h     *sdktest.Harness
	at    string
	store *xdb.Store
}

func start(t *testing.T, args string) *site {
	t.Helper()
	routes := new(web.Routes)
	h := sdktest.New(t, sdktest.Plan{
		Modules: []module.Module{weblisten.With(routes), landing.With(routes), memory.Module},
		Sections: []module.Section{
			sdktest.Section("web", packet.Session, sdktest.Block("http", `{"listen":["127.0.0.1:0"]}`), sdktest.Block("landing", args)),
			sdktest.Section("users", packet.Session, sdktest.Host("example.org"), sdktest.Host("bücher.example"), sdktest.Sink()),
			sdktest.Section("store", packet.XDB, sdktest.Host("*"), sdktest.Block("memory", "{}")),
		},
	}, false)
	s := &site{t: t, h: h, at: addressIn.FindStringSubmatch(h.Logged("listening for HTTP").Attrs)[1], store: xdb.New(asker{h}, "test")}
	if err := account.Add(t.Context(), s.store, "ann@example.org", "secret"); err != nil {
		t.Fatal(err)
	}
	return s
}

type asker struct{ h *sdktest.Harness }

func (a asker) Ask(_ context.Context, q *packet.Packet) (*packet.Packet, error) { return a.h.Ask(q) }

func (s *site) invitation(i invite.Invitation) string {
	s.t.Helper()
	if i.Uses == 0 {
		i.Uses = 1
	}
	if err := invite.Create(s.t.Context(), s.store, &i); err != nil {
		s.t.Fatal(err)
	}
	return i.Token
}

func (s *site) get(method, host, path string) (*http.Response, string) {
	s.t.Helper()
	r, err := http.NewRequest(method, "http://"+s.at+path, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	r.Host = host
	r.Header.Set("X-Forwarded-For", "192.0.2.1") // behind a proxy
	r.Header.Set("X-Forwarded-Proto", "https")
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return answer, string(body)
}

// The page has the invitation as a QR code: what is drawn are the modules of one, dark on
// light, with its margin.
func TestCode(t *testing.T) {
	s := start(t, `{}`)
	token := s.invitation(invite.Invitation{Host: "example.org", By: "ann@example.org", Register: true, Contact: true})
	_, body := s.get("GET", "example.org", "/invite/"+token)
	_, picture, _ := strings.Cut(body, "<svg")
	picture, _, found := strings.Cut(picture, "</svg>")
	var size int
	if _, err := fmt.Sscanf(picture, ` class="code" viewBox="0 0 %d`, &size); !found || err != nil {
		t.Fatalf("no picture in %s", body)
	}
	want, err := qr.Encode("xmpp:ann@example.org?roster;preauth="+token+";ibr=y", qr.M)
	if err != nil {
		t.Fatal(err)
	}
	if size != want.Size+8 {
		t.Fatalf("it has %d modules, want %d and a margin of 4", size, want.Size)
	}
	dark := map[[2]int]bool{}
	for _, m := range regexp.MustCompile(`M(\d+) (\d+)h(\d+)v1h-(\d+)z`).FindAllStringSubmatch(picture, -1) {
		x, _ := strconv.Atoi(m[1])
		y, _ := strconv.Atoi(m[2])
		n, _ := strconv.Atoi(m[3])
		for i := range n {
			dark[[2]int{x + i, y}] = true
		}
	}
	for y := range size {
		for x := range size {
			if dark[[2]int{x, y}] != want.Black(x-4, y-4) {
				t.Fatalf("module %d, %d is dark: %v", x, y, dark[[2]int{x, y}])
			}
		}
	}
}

// Each kind of invitation has its page, for the host that is asked or named, and what
// cannot be used has none.
func TestPages(t *testing.T) {
	s := start(t, `{"text":"<b>of the chess club</b>"}`)
	soon := time.Now().Add(time.Hour)
	anns := s.invitation(invite.Invitation{Host: "example.org", By: "ann@example.org", Register: true, Contact: true, Expires: soon})
	bobs := s.invitation(invite.Invitation{Host: "example.org", Username: "bob", Register: true, New: true})
	books := s.invitation(invite.Invitation{Host: "bücher.example", Register: true, New: true})
	old := s.invitation(invite.Invitation{Host: "example.org", Register: true, Expires: time.Now().Add(-time.Minute)})
	used := s.invitation(invite.Invitation{Host: "example.org", Register: true})
	if err := invite.Take(t.Context(), s.store, "example.org", used, "carl@example.org"); err != nil {
		t.Fatal(err)
	}
	nobody := strings.Repeat("A", 26)
	for _, c := range []struct {
		name, host, path string
		status           int
		want             []string
	}{
		{"of a user", "example.org", "/invite/" + anns, 200, []string{`href="xmpp:ann@example.org?roster;preauth=` + anns + `;ibr=y"`, "ann@example.org invites you",
			"&lt;b&gt;of the chess club&lt;/b&gt;", "can be used until <time", "https://conversations.im/"}},
		{"behind a port", "example.org:5281", "/invite/" + anns, 200, []string{anns}},
		{"for a name", "example.org", "/invite/" + bobs, 200, []string{`href="xmpp:bob@example.org?register;preauth=` + bobs + `"`, "<strong>bob@example.org</strong>", "invited to example.org"}},
		{"a host that is named", "chat.example.net", "/invite/example.org/" + bobs, 200, []string{bobs}},
		{"a host in ASCII", "xn--bcher-kva.example", "/invite/" + books, 200, []string{"invited to bücher.example", "preauth=" + books}},
		{"of another host", "example.org", "/invite/" + books, 410, []string{"cannot be used any more"}},
		{"too old", "example.org", "/invite/" + old, 410, []string{"cannot be used any more"}},
		{"used up", "example.org", "/invite/" + used, 410, []string{"cannot be used any more"}},
		{"unknown", "example.org", "/invite/" + nobody, 410, []string{"cannot be used any more"}},
		{"no token", "example.org", "/invite/", 410, nil},
		{"nonsense", "example.org", "/invite/example.org/%3Cscript%3E", 410, nil},
		{"another's host", "example.net", "/invite/" + anns, 404, nil},
		{"another's host that is named", "example.org", "/invite/example.net/" + anns, 404, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			answer, body := s.get("GET", c.host, c.path)
			if answer.StatusCode != c.status {
				t.Fatalf("%s\n%s", answer.Status, body)
			}
			for _, want := range c.want {
				if !strings.Contains(body, want) {
					t.Errorf("there is no %s in\n%s", want, body)
				}
			}
			if c.status == 404 {
				return
			}
			if strings.Contains(body, "<script") || c.status != 200 && strings.Contains(body, "xmpp:") {
				t.Errorf("the page has what it should not\n%s", body)
			}
			for name, want := range map[string]string{"Content-Type": "text/html; charset=utf-8", "Cache-Control": "no-store", "Referrer-Policy": "no-referrer"} {
				if got := answer.Header.Get(name); got != want {
					t.Errorf("%s is %q", name, got)
				}
			}
			if p := answer.Header.Get("Content-Security-Policy"); !strings.Contains(p, "default-src 'none'") {
				t.Errorf("the policy is %q", p)
			}
		})
	}
	if answer, body := s.get("HEAD", "example.org", "/invite/"+anns); answer.StatusCode != 200 || body != "" {
		t.Errorf("HEAD: %s %s", answer.Status, body)
	}
	if answer, _ := s.get("POST", "example.org", "/invite/"+anns); answer.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("POST: %s", answer.Status)
	}
	if i, err := invite.Get(t.Context(), s.store, "example.org", anns); err != nil || !i.Good(time.Now()) {
		t.Errorf("looked at, it is %+v, %v", i, err)
	}
}

// A page can be read without seeing it: a language, a title, one heading and main part,
// links that say where they lead, nothing that is not closed.
func TestAccessible(t *testing.T) {
	s := start(t, `{"client":[{"label":"Good & free","url":"https://client.example/","systems":"BeOS"}]}`)
	_, body := s.get("GET", "example.org", "/invite/"+s.invitation(invite.Invitation{Host: "example.org", Register: true}))
	count := map[string]int{}
	z := html.NewTokenizer(strings.NewReader(body))
	var open []string
	for {
		kind := z.Next()
		if kind == html.ErrorToken {
			break
		}
		tok := z.Token()
		switch {
		case kind == html.StartTagToken && tok.Data != "meta":
			open = append(open, tok.Data)
			count[tok.Data]++
			if tok.Data == "html" && (len(tok.Attr) != 1 || tok.Attr[0].Key != "lang") {
				t.Error("no language is said")
			}
		case kind == html.EndTagToken:
			if len(open) == 0 || open[len(open)-1] != tok.Data {
				t.Fatalf("%s closes %v", tok.Data, open)
			}
			open = open[:len(open)-1]
		case kind == html.TextToken && len(open) > 0 && open[len(open)-1] == "a" && strings.TrimSpace(tok.Data) == "":
			t.Error("a link says nothing")
		}
	}
	if len(open) > 0 || count["title"] != 1 || count["h1"] != 1 || count["main"] != 1 || count["a"] != 2 || count["script"] != 0 {
		t.Errorf("the page has %v, open are %v", count, open)
	}
	if !strings.Contains(body, `<a href="https://client.example/" rel="noreferrer">Good &amp; free</a> (BeOS)`) || strings.Contains(body, "conversations") {
		t.Errorf("the clients are not those of the file:\n%s", body)
	}
}

func TestArguments(t *testing.T) {
	for args, want := range map[string]string{
		`{"path":"invite/"}`: "path",
		`{"path":"/invite"}`: "path",
		`{"client":[{"label":"x","url":"javascript:alert(1)"}]}`: "client.0.url",
	} {
		routes := new(web.Routes)
		_, err := sdktest.Try(t, sdktest.Plan{
			Modules:  []module.Module{landing.With(routes), memory.Module},
			Sections: []module.Section{sdktest.Section("web", packet.Session, sdktest.Block("landing", args)), sdktest.Section("store", packet.XDB, sdktest.Host("*"), sdktest.Block("memory", "{}"))},
		}, false)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", args, err)
		}
	}
}
