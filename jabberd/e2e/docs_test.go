package e2e_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/jabberii/server/jabberd/e2e/clients"
	"github.com/jabberii/server/jabberd/server"
)

// transcripts returns the examples in a text that begin with a command line, by
// that without "$ jabberd " and remarks.
func transcripts(t *testing.T, file string) map[string]string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../..", file))
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for i, fence := range strings.Split(string(text), "```\n") {
		line, out, _ := strings.Cut(fence, "\n")
		if command, ok := strings.CutPrefix(line, "$ jabberd "); ok && i%2 == 1 {
			command, _, _ = strings.Cut(command, "#")
			found[strings.TrimSpace(command)] = out
		}
	}
	return found
}

// TestAskingExamples runs what docs/asking.md shows.
func TestAskingExamples(t *testing.T) {
	t.Setenv("ECHO_SECRET", "echo-secret")
	t.Setenv("IRC_SECRET", "irc-secret")
	examples := transcripts(t, "docs/asking.md")
	for command, x := range map[string]struct {
		file  string
		ready func(*running)
	}{
		"explain --from ann@localhost --to bob@localhost --type chat": {"conf/jabberd.hcl", func(r *running) {
			bob := r.user("bob@localhost")
			bob.JID += "/phone"
			c := clients.Slixmpp(t, bob)
			c.Presence(clients.Presence{Priority: 5})
			c.Ping("localhost") // behind the presence
		}},
		"config irc": {"conf/components.hcl", func(*running) {}},
	} {
		want, ok := examples[command]
		delete(examples, command)
		if !ok {
			t.Errorf("docs/asking.md has no %s", command)
			continue
		}
		t.Run(command, func(t *testing.T) {
			r := start(t, x.file, nil)
			x.ready(r)
			out := r.must(strings.Fields(command)...)
			// The server of the text has the defaults.
			out = strings.ReplaceAll(out, filepath.Join(r.data, server.SocketName), filepath.Join("data", server.SocketName))
			if port := r.vars["irc_port"]; port != "" {
				out = strings.ReplaceAll(out, ":"+port+`"`, `:5348"`)
			}
			// Where in the shipped files something stands changes with each comment there.
			line := regexp.MustCompile(`(\.hcl):[0-9]+`)
			if line.ReplaceAllString(out, "$1") != line.ReplaceAllString(want, "$1") {
				t.Errorf("got\n%s\nthe text has\n%s", out, want)
			}
		})
	}
	for command := range examples {
		t.Errorf("no test runs jabberd %s", command)
	}
}

// TestStartAndStopAreLogged reads the log of a server that was started and
// stopped.
func TestStartAndStopAreLogged(t *testing.T) {
	everyIsolation(t, func(t *testing.T, vars map[string]string) {
		r := start(t, "conf/jabberd.hcl", vars)
		r.stop()
		log, err := os.ReadFile(filepath.Join(r.data, "log", "jabberd.log"))
		up, stopping := strings.Index(string(log), "jabberd is up"), strings.Index(string(log), "jabberd is stopping")
		if err != nil || up < 0 || stopping < up {
			t.Errorf("%v, the log is\n%s", err, log)
		}
	})
}
