package clients

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
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
