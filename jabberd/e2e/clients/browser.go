package clients

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
)

// A Page is a page in headless Chromium, driven by the DevTools protocol.
type Page struct {
	t       testing.TB
	process *process
	conn    io.ReadWriter
	number  int
}

// open starts a browser with a page. It believes any certificate.
func open(t testing.TB, url string) *Page {
	t.Helper()
	program := need(t, "chromium", "chromium", "chromium-browser", "google-chrome")
	addr := freeAddr(t)
	_, port, _ := strings.Cut(addr, ":")
	home := t.TempDir()
	cmd := exec.Command(program, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
		"--disable-background-networking", "--log-level=3", "--disable-component-update", "--ignore-certificate-errors", "--window-size=1100,750",
		"--user-data-dir="+home, "--remote-debugging-port="+port, "about:blank")
	cmd.Env = append(os.Environ(), "HOME="+home)
	p := &Page{t: t, process: launch(t, "chromium", cmd)}
	p.process.awaitListener(t, addr)
	ctx, cancel := context.WithTimeout(t.Context(), Patience)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPut, "http://"+addr+"/json/new?"+url, nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatalf("chromium: %v", err)
	}
	defer answer.Body.Close()
	var target struct {
		URL string `json:"webSocketDebuggerUrl"`
	}
	if err := json.NewDecoder(answer.Body).Decode(&target); err != nil {
		t.Fatalf("chromium: %v", err)
	}
	conn, _, _, err := ws.Dial(ctx, target.URL)
	if err != nil {
		t.Fatalf("chromium: %v", err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(5 * Patience))
	p.conn = conn
	return p
}

// call gives the page a command of the DevTools protocol.
func (p *Page) call(method string, params, result any) {
	p.t.Helper()
	p.number++
	text, err := json.Marshal(map[string]any{"id": p.number, "method": method, "params": params})
	if err == nil {
		err = wsutil.WriteClientText(p.conn, text)
	}
	for err == nil {
		var answer struct {
			ID     int
			Result json.RawMessage
			Error  *struct{ Message string }
		}
		if text, err = wsutil.ReadServerText(p.conn); err != nil {
			break
		}
		if err = json.Unmarshal(text, &answer); err != nil || answer.ID != p.number {
			continue // an event
		}
		if answer.Error != nil {
			p.t.Fatalf("chromium: %s: %s", method, answer.Error.Message)
		}
		if result != nil {
			err = json.Unmarshal(answer.Result, result)
		}
		break
	}
	if err != nil {
		p.t.Fatalf("chromium: %s: %v", method, err)
	}
}

// run evaluates JavaScript in the page, and returns its value as text.
func (p *Page) run(script string) string {
	p.t.Helper()
	var answer struct {
		Result           struct{ Value any }
		ExceptionDetails *struct{ Exception struct{ Description string } }
	}
	p.call("Runtime.evaluate", map[string]any{"expression": script, "awaitPromise": true, "returnByValue": true, "userGesture": true}, &answer)
	if e := answer.ExceptionDetails; e != nil {
		p.t.Fatalf("the page: %s\nby %s", e.Exception.Description, script)
	}
	return fmt.Sprint(answer.Result.Value)
}

// await looks at the page until a condition in JavaScript holds.
func (p *Page) await(what, condition string) {
	p.t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(Patience); p.run("Boolean("+condition+")") != "true"; <-tick.C {
		if time.Now().After(end) {
			p.t.Fatalf("waited %v for %s; the page says\n%s", Patience, what,
				p.run("document.body.innerText + '\\n' + (window.problems || []).slice(-20).join('\\n')"))
		}
	}
}

// Screenshot writes what the page shows to a file, PNG.
func (p *Page) Screenshot(file string) {
	p.t.Helper()
	var picture struct{ Data string }
	p.call("Page.captureScreenshot", map[string]any{"format": "png"}, &picture)
	png, err := base64.StdEncoding.DecodeString(picture.Data)
	if err == nil {
		err = os.MkdirAll(filepath.Dir(file), 0o755)
	}
	if err == nil {
		err = os.WriteFile(file, png, 0o644)
	}
	if err != nil {
		p.t.Fatal(err)
	}
}

// page is what Converse.js stands on; the settings come from the address.
const page = `<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Converse.js</title>
<script>
window.problems = [];
addEventListener('error', (e) => problems.push(String(e.message)));
addEventListener('unhandledrejection', (e) => problems.push(String(e.reason && e.reason.stack || e.reason)));
for (const level of ['error', 'warn']) {
	const say = console[level];
	console[level] = (...what) => { problems.push(what.map(String).join(' ')); say.apply(console, what); };
}
</script>
<link rel="stylesheet" href="/dist/converse.min.css">
</head>
<body class="converse-fullscreen"><div id="conversejs-bg"></div>
<script type="module">
import converse from '/dist/converse.min.js';
converse.plugins.add('listen', { initialize() { window.api = this._converse.api; } });
converse.initialize(Object.assign(JSON.parse(decodeURIComponent(location.hash.slice(1))), {
	view_mode: 'fullscreen', discover_connection_methods: false, show_controlbox_by_default: true, auto_reconnect: false,
	whitelisted_plugins: ['listen'], loglevel: 'debug', assets_path: '/dist/', i18n: 'en', allow_non_roster_messaging: true,
}));
</script></body></html>
`

// Converse is Converse.js in a browser.
type Converse struct{ *Page }

// OpenConverse opens the page and logs in by its form.
func OpenConverse(t testing.TB, login WebLogin) Converse {
	t.Helper()
	dir := installed(t, "converse", "Converse.js")
	mux := http.NewServeMux()
	mux.Handle("/dist/", http.FileServer(http.Dir(dir)))
	mux.HandleFunc("/{$}", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, page) })
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	setting := "websocket_url"
	if strings.HasPrefix(login.URL, "http") {
		setting = "bosh_service_url"
	}
	settings, err := json.Marshal(map[string]string{setting: login.URL})
	if err != nil {
		t.Fatal(err)
	}
	c := Converse{open(t, "about:blank")}
	c.call("Page.navigate", map[string]any{"url": server.URL + "/#" + strings.ReplaceAll(string(settings), `"`, "%22")}, nil)
	c.await("the form", "document.querySelector('input[name=jid]') && document.querySelector('input[name=password]')")
	c.fill("input[name=jid]", login.JID)
	c.fill("input[name=password]", login.Password)
	c.run("document.querySelector('input[name=password]').closest('form').querySelector('[type=submit]').click()")
	c.await("the session", "window.api && window.api.connection.connected() && window.api.user.jid()")
	return c
}

// fill puts a text into a field as a person does.
func (c Converse) fill(field, text string) {
	c.t.Helper()
	c.run(fmt.Sprintf(`(() => { const f = document.querySelector(%q); f.focus(); f.value = %q; f.dispatchEvent(new Event('input', {bubbles: true})); })()`, field, text))
}

// Message opens the chat with somebody, types a message and sends it.
func (c Converse) Message(to, body string) {
	c.t.Helper()
	c.run(fmt.Sprintf("window.api.chats.open(%q, {}, true).then(() => true)", to))
	field := fmt.Sprintf("converse-chat[jid=%q] textarea.chat-textarea", to)
	c.await("the chat", fmt.Sprintf("document.querySelector(%q)", field))
	c.fill(field, body)
	c.run(fmt.Sprintf("document.querySelector(%q).dispatchEvent(new KeyboardEvent('keydown', {key: 'Enter', code: 'Enter', keyCode: 13, bubbles: true}))", field))
	c.AwaitMessage(to, body)
}

// AwaitMessage waits until a message stands in the chat with somebody.
func (c Converse) AwaitMessage(with, body string) {
	c.t.Helper()
	c.await(fmt.Sprintf("%q in the chat with %s", body, with), fmt.Sprintf(
		"Array.from(document.querySelectorAll('converse-chat .chat-msg__text, converse-chats .chat-msg__text')).some((e) => e.textContent.includes(%q))", body))
}
