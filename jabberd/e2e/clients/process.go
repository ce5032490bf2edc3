package clients

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// need skips the test unless one of the programs is installed, and returns its path.
func need(t testing.TB, part string, programs ...string) string {
	t.Helper()
	for _, program := range programs {
		if path, err := exec.LookPath(program); err == nil {
			return path
		}
	}
	t.Skipf("SKIP: %s is not installed (make deps)", part)
	return ""
}

// A process is a program that runs for the length of a test.
type process struct {
	name   string
	cmd    *exec.Cmd
	output *transcript   // what it printed, standard output and error
	ended  chan struct{} // closed when it has ended and was waited for
	err    error         // how it ended, valid once ended is closed
}

// launch starts a command in a process group of its own, which ends with the
// test. What it prints is shown if the test fails.
func launch(t testing.TB, name string, cmd *exec.Cmd) *process {
	t.Helper()
	p := &process{name: name, cmd: cmd, output: &transcript{}, ended: make(chan struct{})}
	if cmd.Stdout == nil {
		cmd.Stdout = p.output
	}
	cmd.Stderr = p.output
	cmd.SysProcAttr = leash()
	cmd.WaitDelay = 5 * time.Second // a grandchild may hold the pipe
	started := make(chan error)
	go func() {
		runtime.LockOSThread() // the leash is tied to the thread that starts the process
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			p.err = cmd.Wait()
			close(p.ended)
		}
	}()
	if err := <-started; err != nil {
		t.Fatalf("start %s: %v", name, err)
	}
	t.Cleanup(func() {
		p.stop()
		if t.Failed() {
			t.Logf("%s printed:\n%s", name, p.output)
		}
	})
	return p
}

// stop asks the process to end, makes it end if it does not, and waits for it.
func (p *process) stop() {
	p.signal(syscall.SIGTERM)
	select {
	case <-p.ended:
	case <-time.After(10 * time.Second):
	}
	p.kill()
}

// kill ends the process and its children at once.
func (p *process) kill() {
	p.signal(syscall.SIGKILL)
	<-p.ended
}

func (p *process) signal(s syscall.Signal) {
	select {
	case <-p.ended: // its number may be another's by now
	default:
		syscall.Kill(-p.cmd.Process.Pid, s)
	}
}

// awaitListener waits until something accepts connections at addr.
func (p *process) awaitListener(t testing.TB, addr string) {
	t.Helper()
	p.await(t, "it to listen on "+addr, func() bool {
		conn, err := net.DialTimeout("tcp", addr, time.Second)
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
}

// await looks until done says so. Only for programs that tell no other way.
func (p *process) await(t testing.TB, what string, done func() bool) {
	t.Helper()
	tick := time.NewTicker(30 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(Patience)
	for !done() {
		select {
		case <-tick.C:
		case <-p.ended:
			t.Fatalf("%s ended (%v), while the test waited for %s", p.name, p.err, what)
		case <-deadline:
			t.Fatalf("%s: waited %v for %s", p.name, Patience, what)
		}
	}
}

// A transcript keeps the last of what a program printed. It may be written and
// read by several goroutines.
type transcript struct {
	mu   sync.Mutex
	text bytes.Buffer
}

const transcriptLimit = 1 << 20 // bytes

func (t *transcript) Write(text []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if over := t.text.Len() + len(text) - transcriptLimit; over > 0 {
		t.text.Next(min(over+transcriptLimit/2, t.text.Len()))
	}
	t.text.Write(text)
	return len(text), nil
}

func (t *transcript) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.text.String()
}

var _ io.Writer = (*transcript)(nil)

// freeAddr returns a loopback address whose port nobody listens on. The ports
// are below those that the kernel gives to outgoing connections, so that it
// stays free until the program that is started next takes it.
func freeAddr(t testing.TB) string {
	t.Helper()
	return freeAddrOn(t, "127.0.0.1", 0)
}

func freeAddrOn(t testing.TB, host string, port int) string {
	t.Helper()
	for range 100 {
		candidate := port
		if port == 0 {
			candidate = 10000 + rand.IntN(20000)
		}
		addr := net.JoinHostPort(host, fmt.Sprint(candidate))
		if listener, err := net.Listen("tcp", addr); err == nil {
			listener.Close()
			return addr
		}
	}
	t.Fatalf("no free port on %s", host)
	return ""
}

// writeFile writes a configuration, of lines.
func writeFile(t testing.TB, path string, lines ...string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
}
