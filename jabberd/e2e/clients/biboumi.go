package clients

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A Gateway is a running biboumi.
type Gateway struct {
	t       testing.TB
	process *process
}

// Biboumi attaches biboumi, the gateway to IRC, to a server as a component and
// returns when it was accepted. irc is the host of the IRC server behind it, see
// [IRC]: the channel #lobby is the room #lobby@HOST.
func Biboumi(t testing.TB, login ComponentLogin, irc string) *Gateway {
	t.Helper()
	program := need(t, "biboumi", "biboumi")
	host, port, err := net.SplitHostPort(login.Addr)
	if err != nil {
		t.Fatalf("biboumi: %v", err)
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "biboumi.cfg")
	writeFile(t, file,
		"hostname="+login.Host,
		"password="+login.Secret,
		"xmpp_server_ip="+host,
		"port="+port,
		"db_name="+filepath.Join(dir, "biboumi.sqlite"),
		"fixed_irc_server="+irc,
		"identd_port=0",
		"log_level=0")
	g := &Gateway{t: t, process: launch(t, "biboumi", exec.Command(program, file))}
	g.process.await(t, "the server to accept it", func() bool {
		return strings.Contains(g.Log(), "Authenticated with the XMPP server")
	})
	return g
}

// Log returns what biboumi has logged, every stanza included.
func (g *Gateway) Log() string { return g.process.output.String() }

// Stop ends the gateway; it says goodbye on its side of the stream.
func (g *Gateway) Stop() { g.process.stop() }

// IRC starts an IRC server on a loopback address of its own and returns that
// address; the port is the usual one, 6667, as gateways expect.
func IRC(t testing.TB) (host string) {
	t.Helper()
	program := need(t, "ngircd", "ngircd", "/usr/sbin/ngircd")
	host = fmt.Sprintf("127.%d.%d.%d", 1+rand.IntN(254), rand.IntN(256), 1+rand.IntN(254))
	addr := freeAddrOn(t, host, 6667)
	file := filepath.Join(t.TempDir(), "ngircd.conf")
	writeFile(t, file,
		"[Global]", "Name = irc.test", "Info = a test", "Listen = "+host, "Ports = 6667",
		"[Limits]", "MaxConnectionsIP = 0", "MaxNickLength = 30",
		"[Options]", "DNS = no", "Ident = no", "PAM = no")
	launch(t, "ngircd", exec.Command(program, "-n", "-f", file)).awaitListener(t, addr)
	return host
}
