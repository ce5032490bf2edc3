package clients

import (
	"maps"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// A ServerConfig is what a server of another make is to serve.
type ServerConfig struct {
	Users      map[string]string // passwords by bare JID; their domains are hosts of the server
	Hosts      []string          // further hosts
	Components map[string]string // secrets of external components by host, XEP-0114
}

// hosts lists the hosts of users and the further ones, sorted.
func (c ServerConfig) hosts(t testing.TB) []string {
	t.Helper()
	hosts := slices.Clone(c.Hosts)
	for jid := range c.Users {
		_, host, _ := strings.Cut(jid, "@")
		hosts = append(hosts, host)
	}
	slices.Sort(hosts)
	hosts = slices.Compact(hosts)
	if len(hosts) == 0 {
		t.Fatal("a server needs a host or a user")
	}
	return hosts
}

// components lists the hosts of components, sorted.
func (c ServerConfig) components() []string {
	return slices.Sorted(maps.Keys(c.Components))
}

// A Server is a running server of another make: clients log in to it, and
// components attach to it.
type Server struct {
	Name      string // "prosody" or "ejabberd"
	C2S       string // address for clients, with STARTTLS
	DirectTLS string // address for clients, with TLS from the first byte
	Component string // address for external components
	CA        string // PEM file with its certificate

	t       testing.TB
	command func() *exec.Cmd
	process *process
}

// Start starts the server again after Stop or Kill, with the same addresses and
// accounts, and returns when it listens.
func (s *Server) Start() {
	s.t.Helper()
	s.process = launch(s.t, s.Name, s.command())
	for _, addr := range []string{s.C2S, s.DirectTLS, s.Component} {
		s.process.awaitListener(s.t, addr)
	}
}

// Stop shuts the server down.
func (s *Server) Stop() { s.process.stop() }

// Kill ends the server as a crash does.
func (s *Server) Kill() { s.process.kill() }

// Log returns what the server has logged since it was last started.
func (s *Server) Log() string { return s.process.output.String() }

// Login returns how a user logs in to this server.
func (s *Server) Login(jid, password string) Login {
	return Login{Addr: s.C2S, JID: jid, Password: password}
}
