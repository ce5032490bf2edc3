package clients

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A Terminal is profanity at a terminal of its own, typed into and read as a
// person does.
type Terminal struct {
	t       testing.TB
	tmux    string
	socket  string
	process *process
	jid     string
}

// Profanity starts profanity, logs in and returns when it says that it is
// logged in. It sends presence by itself, and resumes. CA, Mechanism and Resume of the
// login are not for it.
func Profanity(t testing.TB, login Login) *Terminal {
	t.Helper()
	p := startProfanity(t, login)
	host, port, err := net.SplitHostPort(login.Addr)
	if err != nil {
		t.Fatalf("profanity: %v", err)
	}
	tls := map[TLS]string{StartTLS: "trust", Direct: "legacy", None: "disable"}[login.TLS]
	p.Type(fmt.Sprintf("/connect %s server %s port %s tls %s", login.JID, host, port, tls))
	p.Await("Enter password:")
	p.Type(login.Password)
	for asked := false; ; {
		screen := p.awaitScreen("to log in", func(screen string) bool {
			return strings.Contains(screen, "logged in successfully") ||
				strings.Contains(screen, "Login failed") ||
				!asked && strings.Contains(screen, "/tls allow")
		})
		switch {
		case strings.Contains(screen, "logged in successfully"):
			return p
		case strings.Contains(screen, "Login failed"):
			t.Fatalf("profanity: log in as %s at %s:\n%s", login.JID, login.Addr, screen)
		default: // with legacy it asks about the certificate
			asked = true
			p.Type("/tls always") // nor after a connection that was lost
		}
	}
}

func startProfanity(t testing.TB, login Login) *Terminal {
	t.Helper()
	program := need(t, "profanity", "profanity")
	tmux := need(t, "tmux", "tmux")
	home := t.TempDir()
	settings := filepath.Join(home, "config", "profanity")
	if err := os.MkdirAll(settings, 0o700); err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(settings, "profrc"),
		"[ui]", "splash=false", "beep=false", "flash=false", "roster=false", "enc.warn=false", "tls.show=false",
		"[notifications]", "message=false", "room=off", "invite=false", "sub=false",
		"[connection]", "autoping=0", "reconnect=1")
	// A socket's path is short, that of a test's folder may be long.
	sockets, err := os.MkdirTemp("", "tmux")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(sockets) })
	p := &Terminal{t: t, tmux: tmux, socket: filepath.Join(sockets, "s"), jid: login.JID}
	server := exec.Command(tmux, "-D", "-u", "-S", p.socket, "-f", "/dev/null")
	server.Env = append(os.Environ(), "HOME="+home, "LC_ALL=C.UTF-8", "TMUX=",
		"XDG_CONFIG_HOME="+filepath.Join(home, "config"), "XDG_DATA_HOME="+filepath.Join(home, "data"))
	p.process = launch(t, "tmux", server)
	p.process.await(t, "its socket", func() bool {
		_, err := os.Stat(p.socket)
		return err == nil
	})
	p.run("new-session", "-d", "-x", "180", "-y", "60", program)
	t.Cleanup(func() {
		if t.Failed() {
			screen, _ := exec.Command(tmux, "-S", p.socket, "capture-pane", "-p").Output() // it may be gone
			t.Logf("the screen of %s:\n%s", login.JID, strings.TrimRight(string(screen), "\n"))
		}
	})
	p.Await("Profanity.")
	return p
}

// run gives tmux a command and returns what it prints.
func (p *Terminal) run(args ...string) string {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	out, err := exec.CommandContext(ctx, p.tmux, append([]string{"-S", p.socket}, args...)...).CombinedOutput()
	if err != nil {
		p.t.Fatalf("profanity of %s: tmux %s: %v: %s", p.jid, args[0], err, out)
	}
	return string(out)
}

// Type types a line and presses Enter.
func (p *Terminal) Type(line string) {
	p.t.Helper()
	if rest, ok := strings.CutSuffix(line, ";"); ok {
		line = rest + `\;` // to tmux a last semicolon ends the command
	}
	p.run("send-keys", "-l", "--", line)
	p.run("send-keys", "Enter")
}

// Screen returns what is on the terminal.
func (p *Terminal) Screen() string {
	p.t.Helper()
	return p.run("capture-pane", "-p")
}

// Await waits until all texts are on the screen. Where lines break is of no concern.
func (p *Terminal) Await(texts ...string) {
	p.t.Helper()
	p.awaitScreen(fmt.Sprintf("%q", texts), func(screen string) bool {
		for _, text := range texts {
			if !strings.Contains(screen, unbroken(text)) {
				return false
			}
		}
		return true
	})
}

// awaitScreen looks at the terminal until it shows something; it does not tell
// when it changes.
func (p *Terminal) awaitScreen(what string, shown func(screen string) bool) string {
	p.t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(Patience)
	for {
		screen := p.Screen()
		if shown(unbroken(screen)) {
			return screen
		}
		select {
		case <-tick.C:
		case <-deadline:
			p.t.Fatalf("profanity of %s: waited %v for %s; the screen is\n%s", p.jid, Patience, what, screen)
		}
	}
}

// unbroken is text with one space for all that is between words.
func unbroken(text string) string { return strings.Join(strings.Fields(text), " ") }

// Message opens the chat with somebody and says something there.
func (p *Terminal) Message(to, body string) {
	p.t.Helper()
	p.Type("/msg " + to + " " + body)
	p.Await(body)
}

// AwaitMessage opens the chat with somebody and waits until a message stands there.
func (p *Terminal) AwaitMessage(from, body string) {
	p.t.Helper()
	p.Type("/msg " + from)
	p.Await(body)
}

// Console goes back to the first window, where contacts come and go.
func (p *Terminal) Console() {
	p.t.Helper()
	p.Type("/win 1")
}

// AwaitResumed waits until the connection that was lost is there again, which profanity
// makes by itself.
func (p *Terminal) AwaitResumed() {
	p.t.Helper()
	p.Console()
	p.Await("Connection re-established.")
}

// Quit logs out and ends profanity.
func (p *Terminal) Quit() {
	p.t.Helper()
	p.Type("/quit")
	p.awaitEnd()
}

func (p *Terminal) awaitEnd() {
	p.t.Helper()
	p.process.await(p.t, "profanity to quit", func() bool {
		return exec.Command(p.tmux, "-S", p.socket, "has-session").Run() != nil
	})
}
