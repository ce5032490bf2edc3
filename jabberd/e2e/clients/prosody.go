package clients

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Prosody starts a Prosody and returns when it listens. It requires TLS, knows
// stream management, and does not federate.
func Prosody(t testing.TB, config ServerConfig) *Server {
	t.Helper()
	program := need(t, "prosody", "prosody")
	dir := t.TempDir()
	hosts := config.hosts(t)
	cert, key := selfSigned(t, dir, hosts)
	s := &Server{
		Name: "prosody", t: t, CA: cert,
		C2S: freeAddr(t), DirectTLS: freeAddr(t), Component: freeAddr(t),
	}
	lines := []string{
		`run_as_root = true`, // in a container there may be nobody else
		`pidfile = "` + dir + `/prosody.pid"`,
		`data_path = "` + dir + `/data"`,
		`interfaces = { "127.0.0.1" }`,
		`component_interfaces = { "127.0.0.1" }`,
		`c2s_ports = { ` + port(s.C2S) + ` }`,
		`c2s_direct_tls_ports = { ` + port(s.DirectTLS) + ` }`,
		`component_ports = { ` + port(s.Component) + ` }`,
		`modules_enabled = { "roster"; "saslauth"; "tls"; "disco"; "ping"; "smacks"; "carbons" }`,
		`modules_disabled = { "s2s"; "admin_shell"; "posix_daemon" }`,
		`c2s_require_encryption = true`,
		`authentication = "internal_plain"`,
		`storage = "internal"`,
		`log = { info = "*console" }`,
		`ssl = { certificate = "` + cert + `"; key = "` + key + `" }`,
		`c2s_direct_tls_ssl = { certificate = "` + cert + `"; key = "` + key + `" }`,
	}
	for _, host := range hosts {
		lines = append(lines, fmt.Sprintf("VirtualHost %q", host))
	}
	for _, host := range config.components() {
		lines = append(lines, fmt.Sprintf("Component %q", host), fmt.Sprintf("\tcomponent_secret = %q", config.Components[host]))
	}
	file := filepath.Join(dir, "prosody.cfg.lua")
	writeFile(t, file, lines...)
	for jid, password := range config.Users {
		user, host, _ := strings.Cut(jid, "@")
		accounts := filepath.Join(dir, "data", percentEncoded(host), "accounts")
		if err := os.MkdirAll(accounts, 0o700); err != nil {
			t.Fatal(err)
		}
		writeFile(t, filepath.Join(accounts, percentEncoded(user)+".dat"), fmt.Sprintf("return { password = %q }", password))
	}
	s.command = func() *exec.Cmd { return exec.Command(program, "--config", file, "-F") }
	s.Start()
	return s
}

// percentEncoded writes a name as Prosody names its files.
func percentEncoded(name string) string {
	var out strings.Builder
	for _, b := range []byte(name) {
		if b >= '0' && b <= '9' || b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' {
			out.WriteByte(b)
		} else {
			fmt.Fprintf(&out, "%%%02x", b)
		}
	}
	return out.String()
}

// port returns the port of an address.
func port(addr string) string {
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		panic(err) // freeAddr made it
	}
	return port
}
