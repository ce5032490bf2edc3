package e2e_test

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/jabberii/server/jabberd/e2e/clients"
	"github.com/jabberii/server/jabberd/server"
	"github.com/jabberii/server/jabberd/tree"
)

// An explanation is what jabberd explain --json prints.
type explanation struct {
	Live, Static string
	tree.Report
}

// way is what static and live answers have in common: branch, sections and the
// handlers asked. What these say may differ, since they know who is there.
func (x explanation) way() string {
	lines := []string{x.Kind, x.Host, x.Matched, x.Why, fmt.Sprint(x.Missed)}
	for _, s := range x.Sections {
		lines = append(lines, fmt.Sprintf("%s %s %v %s", s.ID, s.Place, s.Observer, s.Gets))
		for _, h := range s.Steps {
			lines = append(lines, fmt.Sprintf("  %s %q %s in %s, asked %v", h.Module, h.Label, h.Place, h.Process, h.Asked))
		}
	}
	return strings.Join(lines, "\n")
}

// TestExplainAgrees compares the static answer of a configuration with that of
// the server that runs with it.
func TestExplainAgrees(t *testing.T) {
	everyIsolation(t, func(t *testing.T, vars map[string]string) {
		r := start(t, "conf/jabberd.hcl", vars)
		clients.Slixmpp(t, r.user("ann@localhost")).Presence(clients.Presence{})
		for _, c := range []struct{ name, args string }{
			{"message", "--to ann@localhost --from bob@localhost --type chat"},
			{"message to nobody", "--to eve@localhost --from bob@localhost"},
			{"subscription", "--name presence --type subscribe --to ann@localhost --from bob@elsewhere"},
			{"another host", "--to bob@nowhere.example --from ann@localhost"},
			{"session", "--kind session --host localhost --to ann@localhost"},
			{"connection", "--kind session --host c2s --down"},
			{"get", "--kind xdb --ns roster --to ann@localhost"},
			{"put", "--kind xdb --name put --ns roster --to ann@localhost"},
			{"the server itself", "--kind xdb --ns config --to jabberd.alt"},
			{"warning", "--kind log --type warn --host localhost --from c2s"},
			{"debug entry", "--kind log --type debug --host localhost --from c2s"},
		} {
			t.Run(c.name, func(t *testing.T) {
				args := append([]string{"explain", "--json"}, strings.Fields(c.args)...)
				live := explained(t, r.must(args...))
				static := explained(t, r.offline(slices.Insert(args, 1, r.args[1:]...)...))
				if live.Live != filepath.Join(r.data, server.SocketName) || static.Static != "conf/jabberd.hcl" {
					t.Errorf("from %q and %q", live.Live, static.Static)
				}
				if live.way() != static.way() {
					t.Errorf("live\n%s\nstatic\n%s", live.way(), static.way())
				}
			})
		}
	})
}

func explained(t *testing.T, text string) (x explanation) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &x); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return x
}

// offline runs a command that asks no server, where the server was started.
func (r *running) offline(args ...string) string {
	r.t.Helper()
	cmd := exec.Command(filepath.Join(r.bin, "jabberd"), args...)
	cmd.Dir = "../.."
	out, err := cmd.Output()
	if err != nil {
		r.t.Fatalf("jabberd %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}
