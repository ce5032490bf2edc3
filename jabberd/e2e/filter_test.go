package e2e_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jabberii/server/plugins/xmpp/session"
	"github.com/jabberii/server/plugins/xmpp/stanza"
)

// withFilter writes the default file with the filter of the README of exec, and
// returns its path.
func withFilter(t *testing.T) string {
	t.Helper()
	readme, err := os.ReadFile("../../basemods/exec/README.md")
	if err != nil {
		t.Fatal(err)
	}
	conf, err := os.ReadFile("../../conf/jabberd.hcl")
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(readme), "\n## A filter\n")
	_, program, _ := strings.Cut(text, "```python\n")
	program, _, ok := strings.Cut(program, "```\n")
	if !ok || !strings.Contains(string(conf), "\n  load \"sm\" {") {
		t.Fatal("there is no filter in the README, or no sm in the file")
	}
	dir := t.TempDir()
	script := filepath.Join(dir, "spam.py")
	block := "\n  exec {\n    command = [\"python3\", \"" + script + "\"]\n    form = \"json\"\n  }\n  load \"sm\" {"
	file := filepath.Join(dir, "jabberd.hcl")
	for path, text := range map[string]string{script: program, file: strings.Replace(string(conf), "\n  load \"sm\" {", block, 1)} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	relative, err := filepath.Rel(root, file)
	if err != nil {
		t.Fatal(err)
	}
	return relative
}

// TestFilter runs the filter of the README of exec between clients with stream
// management, whose counts have to be right whatever it does.
func TestFilter(t *testing.T) {
	file := withFilter(t)
	everyIsolation(t, func(t *testing.T, vars map[string]string) {
		r := start(t, file, vars)
		ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
		defer cancel()
		x := r.pairs(1)
		ann, bob := x.links[0].from, x.links[0].to
		say := func(id, body string) {
			t.Helper()
			m := stanza.Stanza{Name: stanza.Message, Type: "chat", ID: id, To: bob.Local(), Body: []byte("<body>" + body + "</body>")}
			if err := ann.Send(ctx, m); err != nil {
				t.Fatal(err)
			}
		}
		say("1", "hello")
		say("2", "buy now!")
		say("3", "the lottery is yours")
		say("4", "darn it")
		if m := message(t, ctx, bob); m.ID != "1" {
			t.Errorf("bob gets %+v", m)
		}
		if m := message(t, ctx, bob); m.ID != "4" || !strings.Contains(string(m.Body), "<body>**** it</body>") {
			t.Errorf("bob gets %s %s", m.ID, m.Body)
		}
		m := message(t, ctx, ann)
		if m.ID != "2" || m.Type != "error" || !strings.Contains(string(m.Body), "policy-violation") || !strings.Contains(string(m.Body), "no advertising here") {
			t.Errorf("ann is told %s %s %s", m.ID, m.Type, m.Body)
		}
		if err := ann.Sync(ctx); err != nil || len(ann.Unacknowledged()) != 0 {
			t.Errorf("not counted: %+v, %v", ann.Unacknowledged(), err)
		}
		// What has no valid address is refused by c2s, and counts like any other;
		// so does the error, which the client acknowledges.
		if err := ann.Send(ctx, stanza.Stanza{Name: stanza.Message, ID: "5", Rest: []byte(" to='a@@b'")}); err != nil {
			t.Fatal(err)
		}
		if m := message(t, ctx, ann); m.ID != "5" || m.Type != "error" || !strings.Contains(string(m.Body), "jid-malformed") {
			t.Errorf("ann is told %+v", m)
		}
		ann.Acknowledge()
		if err := ann.Sync(ctx); err != nil || len(ann.Unacknowledged()) != 0 {
			t.Errorf("not counted: %+v, %v", ann.Unacknowledged(), err)
		}
		say("6", "hello again")
		if m := message(t, ctx, bob); m.ID != "6" {
			t.Errorf("bob gets %+v", m)
		}
		if out := r.must("explain", "--from", "ann@localhost", "--to", "bob@localhost", "--type", "chat"); !strings.Contains(out, "unknown  asks python3") || !strings.Contains(out, `load "sm"`) {
			t.Errorf("explain: %s", out)
		}
	})
}

// message waits for a message.
func message(t *testing.T, ctx context.Context, s *session.Session) stanza.Stanza {
	t.Helper()
	for {
		m, err := s.Receive(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if m.Name == stanza.Message {
			return m
		}
	}
}
