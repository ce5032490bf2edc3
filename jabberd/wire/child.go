package wire

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A child is a process that this core has started, in the form that go-plugin
// asks for: it reads the handshake from standard output and calls Wait. What
// comes on standard error is ours, since go-plugin would not tell a crash from
// chatter.
type child struct {
	exe    *executable
	cmd    *exec.Cmd
	dir    string            // of the socket
	line   func(text string) // takes lines of standard error
	stdout *os.File
	stderr *os.File
	shook  tail          // what was read of standard output
	exited chan struct{} // closed when the process has ended and was read to the end

	mu    sync.Mutex
	born  bool // the process was started
	crash tail // standard error from where a Go program begins to die
	last  tail // the end of standard error
	err   error
}

// lingering is how long output of a dead process is waited for: something that
// it started may hold it open.
const lingering = 500 * time.Millisecond

func (c *child) Start(context.Context) error {
	defer c.exe.close()
	var out, errs *os.File
	var err error
	if c.stdout, out, err = os.Pipe(); err != nil {
		return err
	}
	if c.stderr, errs, err = os.Pipe(); err != nil {
		return err
	}
	defer func() {
		_ = out.Close()
		_ = errs.Close()
	}()
	c.cmd.Stdin, c.cmd.Stdout, c.cmd.Stderr = nil, out, errs
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.cmd.Start(); err != nil {
		close(c.exited)
		return err
	}
	c.born = true
	go c.attend()
	return nil
}

// attend reads what the process has to say and waits for its end.
func (c *child) attend() {
	read := make(chan struct{})
	go func() {
		c.read()
		close(read)
	}()
	err := c.cmd.Wait()
	soon := time.Now().Add(lingering)
	_ = c.stderr.SetReadDeadline(soon)
	_ = c.stdout.SetReadDeadline(soon)
	<-read
	_ = c.stderr.Close()
	c.mu.Lock()
	c.err = err
	c.mu.Unlock()
	close(c.exited)
}

func (c *child) read() {
	lines := bufio.NewReaderSize(c.stderr, tailSize)
	dying := false
	for {
		line, _, err := lines.ReadLine()
		if err != nil {
			return
		}
		c.mu.Lock()
		_, _ = c.last.Write(append(line, '\n'))
		dying = dying || bytes.HasPrefix(line, []byte("panic: ")) || bytes.HasPrefix(line, []byte("fatal error: "))
		if dying && len(c.crash.kept)+len(line) < tailSize { // its beginning says most
			_, _ = c.crash.Write(append(line, '\n'))
		}
		c.mu.Unlock()
		if !dying && len(line) > 0 && c.line != nil {
			c.line(string(line))
		}
	}
}

// obituary says how the process ended, and its last words.
func (c *child) obituary() (how, words string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	how = "exit status 0"
	if c.err != nil {
		how = c.err.Error()
	}
	if b := readCrash(c.dir); len(b) > 0 {
		return how, string(bytes.TrimSpace(b))
	}
	if len(c.crash.kept) > 0 {
		return how, string(bytes.TrimSpace(c.crash.kept))
	}
	return how, string(bytes.TrimSpace(c.last.kept))
}

// readCrash returns the beginning of what a process has left. It does not follow
// where a link leads, nor wait for what is no file: the process may not be
// trusted.
func readCrash(dir string) []byte {
	f, err := os.OpenFile(filepath.Join(dir, crashFile), os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil
	}
	defer func() { _ = f.Close() }()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil
	}
	b, _ := io.ReadAll(io.LimitReader(f, tailSize))
	return b
}

func (c *child) Wait(context.Context) error {
	c.mu.Lock()
	born := c.born
	c.mu.Unlock()
	if !born {
		return nil
	}
	<-c.exited
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

func (c *child) Kill(context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.born {
		return nil
	}
	if err := c.cmd.Process.Kill(); !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	return nil
}

func (c *child) signal(s syscall.Signal) error { return c.cmd.Process.Signal(s) }

func (c *child) pid() int { return c.cmd.Process.Pid }

// Stdout implements runner.Runner: what go-plugin reads the handshake from.
func (c *child) Stdout() io.ReadCloser {
	return struct {
		io.Reader
		io.Closer
	}{io.TeeReader(c.stdout, &c.shook), c.stdout}
}

// Stderr implements runner.Runner.
func (c *child) Stderr() io.ReadCloser { return io.NopCloser(strings.NewReader("")) }

func (c *child) Name() string { return c.exe.path }

func (c *child) ID() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.born {
		return ""
	}
	return strconv.Itoa(c.pid())
}

func (c *child) Diagnose(context.Context) string { return "" }

func (c *child) PluginToHost(network, address string) (string, string, error) {
	return network, address, nil
}

func (c *child) HostToPlugin(network, address string) (string, string, error) {
	return network, address, nil
}

// offered returns the protocol version of the handshake, if there was one.
func (c *child) offered() (version uint32, ok bool) {
	line, _, _ := strings.Cut(string(c.shook.kept), "\n")
	parts := strings.Split(line, "|")
	if len(parts) < 4 {
		return 0, false
	}
	v, err := strconv.ParseUint(parts[1], 10, 32)
	return uint32(v), err == nil
}

// A foundling is a process that an earlier core has started.
type foundling struct {
	process int
	exited  chan struct{}

	mu sync.Mutex
	fd int // its pidfd; -1 once it was let go of
}

// find takes hold of the process of a record if it is the one that was meant.
func find(rec record) (*foundling, error) {
	fd, err := unix.PidfdOpen(rec.PID, 0)
	if err != nil {
		return nil, fmt.Errorf("process %d: %w", rec.PID, err)
	}
	// With the descriptor at hand, the pid cannot become another's.
	start, err := startOf(rec.PID)
	if err == nil && start != rec.Start {
		err = fmt.Errorf("process %d is another one", rec.PID)
	}
	if err != nil {
		_ = unix.Close(fd)
		return nil, err
	}
	f := &foundling{process: rec.PID, fd: fd, exited: make(chan struct{})}
	go f.attend()
	return f, nil
}

// attend waits for the end of the process.
func (f *foundling) attend() {
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(f.fd), Events: unix.POLLIN}}, -1)
		if n > 0 || err != nil && !errors.Is(err, unix.EINTR) {
			break
		}
	}
	close(f.exited)
}

func (f *foundling) Wait(context.Context) error {
	<-f.exited
	return nil
}

func (f *foundling) Kill(context.Context) error {
	select {
	case <-f.exited:
		return nil
	default:
	}
	if err := unix.PidfdSendSignal(f.fd, unix.SIGKILL, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
		return err
	}
	return nil
}

func (f *foundling) signal(s syscall.Signal) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fd < 0 {
		return os.ErrProcessDone
	}
	return unix.PidfdSendSignal(f.fd, s, nil, 0)
}

func (f *foundling) pid() int   { return f.process }
func (f *foundling) ID() string { return strconv.Itoa(f.process) }

func (f *foundling) obituary() (how, words string) { return "ended", "" }

func (f *foundling) PluginToHost(network, address string) (string, string, error) {
	return network, address, nil
}

func (f *foundling) HostToPlugin(network, address string) (string, string, error) {
	return network, address, nil
}

// close lets go of the process, which has ended.
func (f *foundling) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	_ = unix.Close(f.fd)
	f.fd = -1
}
