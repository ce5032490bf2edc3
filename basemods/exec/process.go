package exec

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	osexec "os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	// lingering is how long the output of a process that has ended is still
	// read: something that it started may hold it open.
	lingering = 500 * time.Millisecond

	// path is where programs are looked for if the server has no PATH.
	path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
)

// A process is one run of the program.
type process struct {
	program *program
	cmd     *osexec.Cmd
	stdin   *pipe
	stdout  *os.File
	stderr  *os.File
	life    context.Context    // of the program
	alive   context.Context    // of this process
	died    context.CancelFunc // of alive
	ended   chan struct{}      // closed when it has ended and all it said is read

	mu     sync.Mutex
	gone   bool  // its group is not to be signalled any more
	reason error // why it was killed
}

// startProcess starts a process of the program, whose life is ctx.
func startProcess(ctx context.Context, g *program) (*process, error) {
	cmd, err := g.command()
	if err != nil {
		return nil, err
	}
	var theirs, ours [3]*os.File
	closeAll := func(files [3]*os.File) {
		for _, f := range files {
			f.Close() // of nil it is an error that nobody needs
		}
	}
	defer func() { closeAll(theirs) }()
	for i := range theirs {
		r, w, err := os.Pipe()
		if err != nil {
			closeAll(ours)
			return nil, err
		}
		if theirs[i], ours[i] = w, r; i == 0 {
			theirs[i], ours[i] = r, w
		}
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = theirs[0], theirs[1], theirs[2]
	if err := cmd.Start(); err != nil {
		closeAll(ours)
		return nil, fmt.Errorf("start %s: %w", g.name, err)
	}
	c := &process{
		program: g, cmd: cmd, stdin: newPipe(ours[0]), stdout: ours[1], stderr: ours[2],
		life: ctx, ended: make(chan struct{}),
	}
	c.alive, c.died = context.WithCancel(ctx)
	return c, nil
}

// command returns the command that starts the program.
func (g *program) command() (*osexec.Cmd, error) {
	search := os.Getenv("PATH")
	if search == "" {
		search = path
	}
	if own, ok := g.args.Env["PATH"]; ok {
		search = own
	}
	file, err := lookUp(g.args.Command[0], search)
	if err != nil {
		return nil, err
	}
	cmd := &osexec.Cmd{Path: file, Args: g.args.Command, Dir: g.dir, Env: []string{"PATH=" + search}, SysProcAttr: ownGroup()}
	for name, value := range g.args.Env {
		if name != "PATH" {
			cmd.Env = append(cmd.Env, name+"="+value)
		}
	}
	if g.args.Confine != nil {
		return cmd, g.args.Confine.Apply(cmd)
	}
	return cmd, nil
}

// lookUp returns the file of a program.
func lookUp(name, search string) (string, error) {
	if strings.Contains(name, "/") {
		return filepath.Abs(name)
	}
	for _, dir := range filepath.SplitList(search) {
		file := filepath.Join(dir, name)
		if info, err := os.Stat(file); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 && filepath.IsAbs(file) {
			return file, nil
		}
	}
	return "", fmt.Errorf("%s is in no folder of %s", name, search)
}

func (c *process) pid() int { return c.cmd.Process.Pid }

// attend waits for the end of the process, which it is asked for when its life
// is over, and returns how it was.
func (c *process) attend() error {
	var readers sync.WaitGroup
	readers.Go(func() {
		if err := c.program.listen(c); err != nil && !isEnd(err) {
			c.kill(err)
		}
		io.Copy(io.Discard, output{c, c.stdout}) // it must not wait for a reader
	})
	readers.Go(c.logStderr)
	go c.stdin.run()
	stop := context.AfterFunc(c.life, c.terminate)
	err := c.cmd.Wait()
	stop()
	reason := c.bury()
	c.died()
	c.program.set(nil)
	soon := time.Now().Add(lingering)
	c.stdout.SetReadDeadline(soon)
	c.stderr.SetReadDeadline(soon)
	readers.Wait()
	c.stdin.close()
	c.stdout.Close()
	c.stderr.Close()
	close(c.ended)
	if reason != nil {
		return reason
	}
	return err
}

// An output is what a process says. What it has said before it ended is read to
// the end, however long that takes, but nobody who holds its place open is
// waited for.
type output struct {
	c    *process
	file *os.File
}

func (o output) Read(b []byte) (int, error) {
	if o.c.alive.Err() != nil {
		o.file.SetReadDeadline(time.Now().Add(lingering))
	}
	return o.file.Read(b)
}

// isEnd reports whether err is the end of the output, also within an element.
func isEnd(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, os.ErrDeadlineExceeded)
}

// terminate asks the process to end, and kills it if it does not.
func (c *process) terminate() {
	c.stdin.close()
	c.signal(syscall.SIGTERM)
	select {
	case <-time.After(c.program.args.Stop.Std()):
		c.kill(errors.New("it did not end when it was asked to"))
	case <-c.ended:
	}
}

// kill ends the process and all of its group for a reason.
func (c *process) kill(reason error) {
	c.mu.Lock()
	if c.reason == nil {
		c.reason = reason
	}
	c.mu.Unlock()
	c.signal(syscall.SIGKILL)
}

// signal signals the group of the process.
func (c *process) signal(s syscall.Signal) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.gone {
		syscall.Kill(-c.pid(), s)
	}
}

// bury kills what is left of the group of a process that has ended, and returns
// why that was killed.
func (c *process) bury() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	syscall.Kill(-c.pid(), syscall.SIGKILL)
	c.gone = true
	return c.reason
}
