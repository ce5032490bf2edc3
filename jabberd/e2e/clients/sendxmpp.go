package clients

import (
	"context"
	"os/exec"
	"strings"
	"testing"
)

// SendXMPP has go-sendxmpp log in, send one message and log out. It takes any
// certificate. Only address, account, and TLS (StartTLS or Direct) of the login
// are for it.
func SendXMPP(t testing.TB, login Login, to, body string) {
	t.Helper()
	program := need(t, "go-sendxmpp", "go-sendxmpp")
	args := []string{"--no-tls-verify", "--username", login.JID, "--password", login.Password, "--jserver", login.Addr, "--timeout", "60"}
	if login.TLS == Direct {
		args = append(args, "--tls")
	}
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, append(args, to)...)
	cmd.Stdin = strings.NewReader(body)
	cmd.Env = append(cmd.Environ(), "HOME="+t.TempDir())
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go-sendxmpp as %s to %s: %v\n%s", login.JID, to, err, out)
	}
}
