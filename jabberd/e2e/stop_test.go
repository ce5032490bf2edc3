package e2e_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/jabberii/server/jabberd/e2e/clients"
	"github.com/jabberii/server/plugins/sdk/sdktest"
	"github.com/jabberii/server/plugins/xmpp/jid"
	"github.com/jabberii/server/plugins/xmpp/session"
	"github.com/jabberii/server/plugins/xmpp/stanza"
)

// TestCleanStop stops the server of each shipped file while clients and components are
// connected: it ends in order, and nothing warns of it.
func TestCleanStop(t *testing.T) {
	for name, value := range map[string]string{"ECHO_SECRET": "one", "IRC_SECRET": "two", "LINK_SECRET": linkSecret} {
		t.Setenv(name, value)
	}
	files, err := filepath.Glob("../../conf/*.hcl")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	a := sdktest.NewAuthority(t)
	cert, key := a.Issue("localhost")
	list := filepath.Join(t.TempDir(), "accounts")
	if err := os.WriteFile(list, []byte("bob:pw-bob@localhost\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	more := map[string]map[string]string{
		"auth.hcl": {"accounts": list}, "link-services.hcl": {"link_certificate": cert, "link_key": key},
		"events.hcl": {"admin": "bob@localhost"}, "logs.hcl": {"admin": "bob@localhost"},
	}
	far := start(t, "conf/link-services.hcl", more["link-services.hcl"])
	more["link-users.hcl"] = map[string]string{"link_ca": a.File, "link_to": "localhost:" + far.vars["link_port"]}
	for _, file := range files {
		name := filepath.Base(file)
		for _, isolation := range []string{"process", "none"} {
			vars := map[string]string{"isolation": isolation}
			for name, value := range more[name] {
				vars[name] = value
			}
			if name == "edge.hcl" {
				if delete(vars, "isolation"); isolation == "none" {
					continue
				}
			}
			t.Run(name+" "+isolation, func(t *testing.T) { cleanStop(t, "conf/"+name, vars) })
		}
	}
}

func cleanStop(t *testing.T, file string, vars map[string]string) {
	r := start(t, file, vars)
	if port := r.vars["echo_port"]; port != "" {
		clients.Component(t, clients.ComponentLogin{Addr: "127.0.0.1:" + port, Host: "echo.localhost", Secret: "one"})
	}
	if r.vars["link_to"] != "" {
		r.await("the link", func() bool {
			out, _ := r.jabberd("explain", "--from", "bob@localhost", "--to", "x@echo.localhost")
			return strings.Contains(out, "whose verdict counts")
		})
	}
	if r.vars["c2s_tls_port"] != "" {
		if r.vars["accounts"] == "" {
			r.user("bob@localhost")
		}
		for _, window := range []int{-1, -1, 0} {
			a := bobs("", "pw-bob@localhost")
			a.Agent, a.Window = session.Agent{}, window
			s, err := session.Client(soon(t), dialDirect(t, r), a)
			if err == nil {
				err = s.Send(soon(t), stanza.Stanza{Name: stanza.Presence})
			}
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(s.Drop)
		}
		r.await("three available clients", func() bool {
			list := r.sessions("bob@localhost")
			return len(list) == 3 && list[0].Available && list[1].Available && list[2].Available
		})
	}
	r.stopsCleanly()
}

// TestStopWhenManyLeave stops a server that has yet to write when its clients were there
// last.
func TestStopWhenManyLeave(t *testing.T) {
	const many = 100
	everyIsolation(t, func(t *testing.T, vars map[string]string) {
		r := start(t, "conf/jabberd.hcl", vars)
		r.populate(many)
		var all []*session.Session
		for i := range many {
			a := session.Account{Address: jid.MustParse(fmt.Sprintf("u%d@localhost", i)), Password: "pw", Window: -1}
			s, err := session.Client(soon(t), dialDirect(t, r), a)
			if err == nil {
				err = s.Send(soon(t), stanza.Stanza{Name: stanza.Presence})
			}
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, s)
		}
		r.await("all clients to be available", func() bool {
			n := 0
			for _, s := range r.sessions("localhost") {
				n += btoi(s.Available)
			}
			return n == many
		})
		for _, s := range all {
			s.Drop()
		}
		r.stopsCleanly()
	})
}

// stopsCleanly stops the server, and sees to it that nothing complains.
func (r *running) stopsCleanly() {
	t := r.t
	t.Helper()
	logs := r.logs(t)
	r.stop()
	if code := r.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("it ends with exit code %d", code)
	}
	for name, text := range r.logs(t) {
		for line := range strings.Lines(strings.TrimPrefix(text, logs[name])) {
			if wrong.MatchString(line) && !strings.Contains(line, "self-signed certificate") { // which comes with the first login
				t.Errorf("%s: %s", name, line)
			}
		}
	}
}

var wrong = regexp.MustCompile(`^([0-9TZ:.-]+ )?(warn|error|panic)\b|"level":"(warn|error)"|level='(warn|error)'| (WRN|ERR) `)

// logs are what the server has written of itself, by file.
func (r *running) logs(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{"stderr": r.output.String()}
	files, err := filepath.Glob(filepath.Join(r.data, "log", "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		all[f] = string(text)
	}
	return all
}
