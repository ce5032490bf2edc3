// Package e2e_test runs whole servers: the real binaries with a real HCL file,
// and real clients and peers.
package e2e_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jabberii/server/bench/port"
	"github.com/jabberii/server/jabberd/e2e/clients"
	"github.com/jabberii/server/jabberd/server"
)

// A running is a server with the binaries of make build.
type running struct {
	t      *testing.T
	bin    string
	args   []string
	data   string
	vars   map[string]string
	output transcript
	cmd    *exec.Cmd
	ended  chan struct{}
}

// start runs a configuration with free ports for its port variables, and
// returns when the server is up.
func start(t *testing.T, file string, vars map[string]string) *running {
	t.Helper()
	r := &running{t: t, bin: binaries(t), data: t.TempDir(), vars: map[string]string{}}
	r.vars["data_dir"] = r.data
	text, err := os.ReadFile(filepath.Join("../..", file))
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(string(text), "\n") {
		var name string
		if n, _ := fmt.Sscanf(line, "variable %q {", &name); n == 1 && strings.HasSuffix(name, "_port") {
			r.vars[name] = freePort(t)
		}
	}
	if strings.Contains(string(text), `include "jabberd.hcl"`) {
		for _, name := range []string{"c2s_port", "c2s_tls_port", "http_port", "https_port"} {
			r.vars[name] = freePort(t)
		}
	}
	for name, value := range vars {
		r.vars[name] = value
	}
	r.args = []string{"run", file}
	for name, value := range r.vars {
		r.args = append(r.args, "--var", name+"="+value)
	}
	r.launch()
	t.Cleanup(func() {
		r.stop()
		if t.Failed() {
			t.Logf("server:\n%s", r.output.String())
		}
	})
	return r
}

// binaries returns the folder that make build fills.
func binaries(t *testing.T) string {
	dir, err := filepath.Abs("../../bin")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "jabberd")); err != nil {
		t.Fatalf("no binaries, run make build first: %v", err)
	}
	return dir
}

func freePort(t *testing.T) string {
	t.Helper()
	ports, err := port.Free(1)
	if err != nil {
		t.Fatal(err)
	}
	return strconv.Itoa(ports[0])
}

// reach returns a connection to a port as soon as somebody listens there, nil if
// ctx is done before.
func reach(ctx context.Context, port string) net.Conn {
	for {
		if conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", "127.0.0.1:"+port); err == nil {
			return conn
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
			return nil
		}
	}
}

// launch starts the core and waits until it says that it is up.
func (r *running) launch() {
	r.t.Helper()
	cmd := exec.Command(filepath.Join(r.bin, "jabberd"), r.args...)
	cmd.Dir = "../.."
	pipe, w, err := os.Pipe()
	if err != nil {
		r.t.Fatal(err)
	}
	cmd.Stderr, cmd.Stdout = w, w
	if err := cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	w.Close()
	r.cmd, r.ended = cmd, make(chan struct{})
	up := make(chan struct{})
	go func() {
		var once sync.Once
		lines := bufio.NewScanner(io.TeeReader(pipe, &r.output))
		for lines.Scan() {
			if strings.HasPrefix(lines.Text(), "jabberd is up") {
				once.Do(func() { close(up) })
			}
		}
	}()
	go func() {
		cmd.Wait()
		close(r.ended)
	}()
	select {
	case <-up:
	case <-r.ended:
		r.t.Fatalf("jabberd ended:\n%s", r.output.String())
	case <-time.After(60 * time.Second):
		cmd.Process.Kill()
		r.t.Fatalf("jabberd does not come up:\n%s", r.output.String())
	}
}

// stop ends the server as an admin does.
func (r *running) stop() {
	r.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-r.ended:
	case <-time.After(40 * time.Second):
		r.t.Errorf("jabberd does not stop:\n%s", r.output.String())
		r.cmd.Process.Kill()
		<-r.ended
	}
}

// jabberd runs a command for the server and returns what it prints.
func (r *running) jabberd(args ...string) (string, error) {
	return r.command(append(args, "--socket", filepath.Join(r.data, server.SocketName))...)
}

// command runs a command that needs no server.
func (r *running) command(args ...string) (string, error) {
	out, err := exec.Command(filepath.Join(r.bin, "jabberd"), args...).CombinedOutput()
	return string(out), err
}

func (r *running) must(args ...string) string {
	r.t.Helper()
	out, err := r.jabberd(args...)
	if err != nil {
		r.t.Fatalf("jabberd %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// user adds an account and returns how to log in to it.
func (r *running) user(jid string) clients.Login {
	r.t.Helper()
	r.must("user", "add", jid, "--password", "pw-"+jid)
	return clients.Login{Addr: "127.0.0.1:" + r.vars["c2s_port"], JID: jid, Password: "pw-" + jid}
}

func (r *running) status() server.Status {
	r.t.Helper()
	var s server.Status
	if err := json.Unmarshal([]byte(r.must("status", "--json")), &s); err != nil {
		r.t.Fatal(err)
	}
	return s
}

// A transcript is what a program has printed.
type transcript struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (x *transcript) Write(b []byte) (int, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.b.Write(b)
}

func (x *transcript) String() string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.b.String()
}

// everyIsolation runs a test with modules in processes and all in one.
func everyIsolation(t *testing.T, f func(t *testing.T, vars map[string]string)) {
	for _, isolation := range []string{"process", "none"} {
		t.Run(isolation, func(t *testing.T) { f(t, map[string]string{"isolation": isolation}) })
	}
}
