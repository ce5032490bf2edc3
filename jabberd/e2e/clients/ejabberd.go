package clients

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Ejabberd starts an ejabberd and returns when it listens. It requires TLS,
// knows stream management, and does not federate.
func Ejabberd(t testing.TB, config ServerConfig) *Server {
	t.Helper()
	need(t, "ejabberd", "ejabberdctl", "/usr/sbin/ejabberdctl")
	erl := need(t, "erlang", "erl")
	dir := t.TempDir()
	hosts := config.hosts(t)
	cert, key := selfSigned(t, dir, hosts)
	s := &Server{
		Name: "ejabberd", t: t, CA: cert,
		C2S: freeAddr(t), DirectTLS: freeAddr(t), Component: freeAddr(t),
	}
	api := freeAddr(t)
	file := filepath.Join(dir, "ejabberd.yml")
	writeFile(t, file, ejabberdConfig(s, config, hosts, api, cert, key)...)
	// Not ejabberdctl: that starts an Erlang node with a name, known to a daemon
	// on a fixed port, and as a user who may not exist.
	s.command = func() *exec.Cmd {
		cmd := exec.Command(erl, "-noinput", "+sbwt", "none", "+sbwtdcpu", "none", "+sbwtdio", "none",
			"-mnesia", "dir", `"`+filepath.Join(dir, "mnesia")+`"`, "-s", "ejabberd")
		cmd.Env = append(os.Environ(),
			"HOME="+dir,
			"EJABBERD_CONFIG_PATH="+file,
			"EJABBERD_LOG_PATH="+filepath.Join(dir, "ejabberd.log"),
			"EJABBERD_PID_PATH="+filepath.Join(dir, "ejabberd.pid"),
			"CONTRIB_MODULES_CONF_DIR="+filepath.Join(dir, "modules.d"),
			"ERL_CRASH_DUMP_BYTES=0",
			"ERL_LIBS="+erlangLibraries(),
		)
		return cmd
	}
	s.Start()
	s.process.awaitListener(t, api)
	for jid, password := range config.Users {
		user, host, _ := strings.Cut(jid, "@")
		register(t, "http://"+api+"/api/register", map[string]string{"user": user, "host": host, "password": password})
	}
	return s
}

func ejabberdConfig(s *Server, config ServerConfig, hosts []string, api, cert, key string) []string {
	listen := func(addr, module string, options ...string) string {
		return fmt.Sprintf(`  - { ip: "127.0.0.1", port: %s, module: %s%s }`, port(addr), module, strings.Join(options, ""))
	}
	lines := []string{
		"loglevel: info",
		"hosts:",
	}
	for _, host := range hosts {
		lines = append(lines, fmt.Sprintf("  - %q", host))
	}
	lines = append(lines,
		"certfiles:",
		fmt.Sprintf("  - %q", cert),
		fmt.Sprintf("  - %q", key),
		fmt.Sprintf("ca_file: %q", cert),
		"listen:",
		listen(s.C2S, "ejabberd_c2s", ", starttls_required: true"),
		listen(s.DirectTLS, "ejabberd_c2s", ", tls: true"),
		listen(api, "ejabberd_http", ", request_handlers: { /api: mod_http_api }"),
	)
	var components []string
	for _, host := range config.components() {
		components = append(components, fmt.Sprintf("%q: { password: %q }", host, config.Components[host]))
	}
	lines = append(lines, listen(s.Component, "ejabberd_service", ", hosts: { "+strings.Join(components, ", ")+" }"))
	return append(lines,
		"auth_method: internal",
		"auth_password_format: scram",
		"default_db: mnesia",
		"api_permissions:",
		`  test: { who: { ip: "127.0.0.1" }, what: [register] }`,
		"modules:",
		"  mod_admin_extra: {}",
		"  mod_disco: {}",
		"  mod_offline: {}",
		"  mod_ping: {}",
		"  mod_roster: {}",
		"  mod_stream_mgmt: {}",
		"  mod_carboncopy: {}",
		"  mod_http_api: {}",
	)
}

// erlangLibraries is where Debian keeps ejabberd's code, by architecture.
func erlangLibraries() string {
	found, _ := filepath.Glob("/usr/lib/*/ejabberd-*") // the pattern is a valid one
	if len(found) == 0 {
		return "/usr/lib"
	}
	return filepath.Dir(found[0])
}

// register makes an account through ejabberd's API.
func register(t testing.TB, url string, account map[string]string) {
	t.Helper()
	body, err := json.Marshal(account)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.Post(url, "application/json", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		var text bytes.Buffer
		text.ReadFrom(response.Body)
		t.Fatalf("register %s@%s: %s: %s", account["user"], account["host"], response.Status, &text)
	}
}
