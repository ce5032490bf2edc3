package e2e_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/jabberd/server"
	"github.com/jabberii/server/plugins/sdk/setting"
	"github.com/jabberii/server/plugins/sdk/xdb"
)

// withSecrets is a configuration whose secrets come from everywhere. %s is the
// program that is told two of them.
const withSecrets = `
variable "port" { default = 1 }
variable "secret" { default = env("TEST_SECRET") }
normal "irc" {
  host "irc.localhost" {}
  accept {
    listen = "127.0.0.1:${var.port}"
    secret = var.secret
  }
}
normal "mail" {
  host "mail.localhost" {}
  accept {
    listen = "127.0.0.1:0"
    secret = file("secret.txt")
  }
}
normal "bot" {
  host "bot.localhost" {}
  exec {
    command = ["%s"]
    env     = { TOKEN = "hunter2-token" }
  }
}
process "basemods" {
  env = { KEY = "hunter2-key" }
}
`

// withEngine is what withSecrets needs where it is not beside a probe.
const withEngine = `
variable "isolation" { default = "process" }
variable "data_dir" { default = "data" }
engine {
  isolation = var.isolation
  data_dir  = var.data_dir
}
`

// prepare writes what withSecrets reads, and returns it.
func prepare(t *testing.T, dir string) string {
	t.Helper()
	t.Setenv("TEST_SECRET", "hunter2-env")
	for name, text := range map[string]string{"secret.txt": "hunter2-file\n", "bot": "#!/bin/sh\nexec cat > /dev/null\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return fmt.Sprintf(withSecrets, filepath.Join(dir, "bot"))
}

// checkSettings reports what is wrong with the settings of withSecrets, but for
// sections that are beside it.
func checkSettings(t *testing.T, list []module.Setting) {
	t.Helper()
	raw, err := json.Marshal(list)
	if err != nil || strings.Contains(string(raw), "hunter2") {
		t.Fatalf("%v, a secret in %s", err, raw)
	}
	given := func(s module.Setting) string {
		var b bytes.Buffer
		if err := json.Compact(&b, s.Args); err != nil {
			t.Error(err)
		}
		return b.String()
	}
	at := func(key string) module.Setting {
		i := slices.IndexFunc(list, func(s module.Setting) bool { return s.Key == key })
		if i < 0 {
			t.Fatalf("no %s in %s", key, raw)
		}
		return list[i]
	}
	for key, want := range map[string]string{"section/irc": `"secret":"***"`, "section/mail": `"secret":"***"`, "section/bot": `"env":{"TOKEN":"***"}`} {
		s := at(key)
		if host := strings.TrimPrefix(key, "section/") + ".localhost"; !slices.Equal(s.Hosts, []string{host}) {
			t.Errorf("%s is on %q", key, s.Hosts)
		}
		if len(s.Chain) != 2 || !strings.Contains(given(s.Chain[1]), want) || !strings.Contains(s.Chain[1].Place, "main.hcl:") {
			t.Errorf("%s is %+v", key, s)
		}
	}
	if got := given(at("process/basemods")); got != `{"env":{"KEY":"***"},"gomaxprocs":0,"memory_limit":"0","orphan_grace":"0s"}` {
		t.Errorf("process: %s", got)
	}
}

// TestAPluginReadsTheConfiguration has a plugin read what the server runs with,
// which has no storage of its own, and an admin.
func TestAPluginReadsTheConfiguration(t *testing.T) {
	dir, err := os.MkdirTemp("", "plugin") // t.TempDir is too long for sockets
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	p := &probe{}
	text := prepare(t, dir)
	r := start(t, configure(t, dir, text+p.serve(t, dir)), map[string]string{"port": freePort(t)})
	store := xdb.New(await(t, p.env, "probe"), "example.org")
	list, err := setting.Read(t.Context(), store)
	if err != nil {
		t.Fatal(err)
	}
	checkSettings(t, list)
	if s, found, err := setting.Get(t.Context(), store, "section/people"); err != nil || !found || s.Chain[1].Type != "probe" {
		t.Errorf("its own section: %+v, %v", s, err)
	}
	var reject *packet.Reject
	if _, err := store.Put(t.Context(), packet.ServerHost, setting.NS, "section/people", []byte("x")); !errors.As(err, &reject) || reject.Condition != "not-allowed" {
		t.Errorf("changed: %v", err)
	}
	var told []module.Setting
	if err := json.Unmarshal([]byte(r.must("config", "--json")), &told); err != nil || len(told) != len(list) {
		t.Fatalf("%v, %d settings of %d", err, len(told), len(list))
	}
	checkSettings(t, told)
}

// TestNoCommandTellsSecrets looks for secrets in all that an admin is shown.
func TestNoCommandTellsSecrets(t *testing.T) {
	everyIsolation(t, func(t *testing.T, vars map[string]string) {
		dir := t.TempDir()
		vars["port"] = freePort(t)
		file := configure(t, dir, prepare(t, dir)+withEngine)
		r := start(t, file, vars)
		var list []module.Setting
		if err := json.Unmarshal([]byte(r.must("config", "--json")), &list); err != nil {
			t.Fatal(err)
		}
		checkSettings(t, list)
		with := []string{file}
		for name, value := range r.vars {
			with = append(with, "--var", name+"="+value)
		}
		for _, out := range []string{
			r.must("config"), r.must("config", "irc"), r.must("status"), r.must("explain", "--to", "irc.localhost"),
			r.offline(append([]string{"tree", "--args"}, with...)...),
			r.offline(append([]string{"explain", "--to", "irc.localhost"}, with...)...),
			r.offline(append([]string{"check"}, with...)...), r.output.String(),
		} {
			if out == "" || strings.Contains(out, "hunter2") {
				t.Errorf("a secret, or nothing, in\n%s", out)
			}
		}
		if out := r.must("config", "irc"); !strings.Contains(out, `secret = "***"`) || !strings.Contains(out, `listen = ["127.0.0.1:`+vars["port"]) {
			t.Errorf("config irc:\n%s", out)
		}
		keys := r.offline("__complete", "config", "section/mail", "--socket", filepath.Join(r.data, server.SocketName), "")
		if !strings.Contains(keys, "section/irc\t") || strings.Contains(keys, "section/mail") {
			t.Errorf("completed with %q", keys)
		}
		if out, err := r.jabberd("config", "nothing"); err == nil {
			t.Errorf("of nothing:\n%s", out)
		}
	})
}
