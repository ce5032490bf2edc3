package e2e_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jabberii/server/jabberd/e2e/clients"
)

// TestLogPipeline sends warnings to a person and writes errors to a file.
func TestLogPipeline(t *testing.T) {
	everyIsolation(t, func(t *testing.T, vars map[string]string) {
		vars["admin"] = "ann@localhost"
		r := start(t, "conf/logs.hcl", vars)
		// The first TLS connection has the server make its certificate, of which it warns.
		a := clients.Slixmpp(t, r.user("ann@localhost"))
		a.Presence(clients.Presence{})
		a.Await("a warning", func(e clients.Event) bool {
			return e.Event == "message" && strings.Contains(e.Body, "warn") && strings.Contains(e.Body, "self-signed certificate")
		})
		path := filepath.Join(r.data, "log/errors.log")
		if err := os.Rename(path, path+".aside"); err != nil {
			t.Fatal(err)
		}
		if err := r.cmd.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		r.await("a new "+path, func() bool {
			_, err := os.Stat(path)
			return err == nil
		})
		if vars["isolation"] != "process" {
			return
		}
		for _, p := range r.status().Processes {
			if p.Name == "basemods" {
				syscall.Kill(p.PID, syscall.SIGKILL)
			}
		}
		r.await("an error in "+path, func() bool {
			text, err := os.ReadFile(path)
			return err == nil && strings.Contains(string(text), `"level":"error"`) && strings.Contains(string(text), "basemods")
		})
	})
}

// TestBot chats with a program that exec runs.
func TestBot(t *testing.T) {
	everyIsolation(t, func(t *testing.T, vars map[string]string) {
		r := start(t, "conf/bot.hcl", vars)
		a := clients.Slixmpp(t, r.user("ann@localhost"))
		a.Presence(clients.Presence{})
		a.Message("echo@bot.localhost", "are you there?")
		a.Await("an answer of the bot", func(e clients.Event) bool {
			return e.Event == "message" && strings.HasPrefix(e.From, "echo@bot.localhost") && strings.Contains(e.Body, "are you there?")
		})
	})
}

// TestComponentHub has two components talk to each other.
func TestComponentHub(t *testing.T) {
	everyIsolation(t, func(t *testing.T, vars map[string]string) {
		t.Setenv("ECHO_SECRET", "one")
		t.Setenv("IRC_SECRET", "two")
		r := start(t, "conf/components.hcl", vars)
		echo := clients.Component(t, clients.ComponentLogin{Addr: "127.0.0.1:" + r.vars["echo_port"], Host: "echo.localhost", Secret: "one"})
		irc := clients.Component(t, clients.ComponentLogin{Addr: "127.0.0.1:" + r.vars["irc_port"], Host: "irc.localhost", Secret: "two"})
		echo.MessageFrom("a@echo.localhost", "b@irc.localhost", "ping")
		irc.AwaitMessage("a@echo.localhost", "ping")
		irc.MessageFrom("b@irc.localhost", "a@echo.localhost", "pong")
		echo.AwaitMessage("b@irc.localhost", "pong")
		if _, err := clients.TryComponent(t, clients.ComponentLogin{Addr: "127.0.0.1:" + r.vars["irc_port"], Host: "irc.localhost", Secret: "wrong"}); err == nil {
			t.Error("a wrong secret was taken")
		}
	})
}

// await waits until something outside of the server's reach is so, such as what
// is in a file.
func (r *running) await(what string, so func() bool) {
	r.t.Helper()
	for end := time.Now().Add(30 * time.Second); !so(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			r.t.Fatalf("waited in vain for %s", what)
		}
	}
}
