package clients

import (
	_ "embed"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

//go:embed node/driver.mjs
var nodeDriver []byte

// A WebLogin is one account as a web page knows it.
type WebLogin struct {
	URL      string // of WebSocket (ws, wss), of BOSH (http, https) or, for programs outside of pages, of TCP (xmpp, xmpps)
	JID      string // bare
	Password string
}

// XMPPJS logs in with xmpp.js, over WebSocket or TCP, and returns when its session is
// established. It has not sent presence. A connection that is lost it makes
// again, and resumes.
func XMPPJS(t testing.TB, login WebLogin) *Client { return onNode(t, "xmpp.js", login) }

// Strophe logs in with strophe.js, over WebSocket or BOSH.
func Strophe(t testing.TB, login WebLogin) *Client { return onNode(t, "strophe.js", login) }

func onNode(t testing.TB, library string, login WebLogin) *Client {
	t.Helper()
	node, dir := need(t, "node", "node"), installed(t, "node", library)
	script := filepath.Join(dir, "driver.mjs")
	// Beside what it imports. Other tests may do the same at the same time.
	written, err := os.CreateTemp(dir, "driver")
	if err != nil {
		t.Fatal(err)
	}
	if _, err = written.Write(nodeDriver); err == nil {
		err = written.Close()
	}
	if err == nil {
		err = os.Rename(written.Name(), script)
	}
	if err != nil {
		t.Fatal(err)
	}
	c := drive(t, library+" "+login.JID, exec.Command(node, script))
	err = c.login("connect", map[string]any{"library": library, "url": login.URL, "jid": login.JID, "password": login.Password})
	if err != nil {
		t.Fatalf("log in as %s at %s with %s: %v", login.JID, login.URL, library, err)
	}
	return c
}

// installed returns the folder below bin that scripts/deps has installed a part
// into, and skips the test if it has not.
func installed(t testing.TB, folder, part string) string {
	t.Helper()
	dir, err := os.Getwd()
	for err == nil {
		if _, missing := os.Stat(filepath.Join(dir, "go.mod")); missing == nil {
			break
		}
		if dir == filepath.Dir(dir) {
			t.Fatal("this is not below the root of the repository")
		}
		dir = filepath.Dir(dir)
	}
	dir = filepath.Join(dir, "bin", folder)
	if _, err := os.Stat(filepath.Join(dir, "installed")); err != nil {
		t.Skipf("SKIP: %s is not installed (make deps)", part)
	}
	return dir
}
