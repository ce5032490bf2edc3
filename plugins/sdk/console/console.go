// Package console is the way to what the server itself prints to: its standard
// output and standard error.
//
// A module's own are not these when it runs in a process of its own: what such a
// process prints becomes log entries, so that a log module that printed would
// hear itself. Instead the core hands its two streams down as descriptors and
// says in the environment which they are. Since a process may outlive the core,
// they stay those of the core that has started it.
package console

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"
)

// The environment variables that have the numbers of the descriptors in a
// process of the server, and the one that tells that it is one.
const (
	StdoutVar  = "JABBERD_STDOUT"
	StderrVar  = "JABBERD_STDERR"
	processVar = "JABBERD_PROCESS"
)

// ErrNone says that the process has no way to the server's console.
var ErrNone = errors.New("the server has not handed down its console to this process")

// A Stream is one of the server's two. Its methods may be called from many
// goroutines. It is opened with the first Write, again after Close.
type Stream struct {
	variable string
	own      func() *os.File

	mu   sync.Mutex
	file *os.File
}

// Stdout returns the server's standard output.
func Stdout() *Stream { return &Stream{variable: StdoutVar, own: func() *os.File { return os.Stdout }} }

// Stderr returns the server's standard error.
func Stderr() *Stream { return &Stream{variable: StderrVar, own: func() *os.File { return os.Stderr }} }

// Write writes b in one call to the system, if that takes it.
func (s *Stream) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.file == nil {
		fd, err := s.descriptor()
		if err != nil {
			return 0, err
		}
		// Its own, so that closing it closes nobody else's.
		if fd, err = unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3); err != nil {
			return 0, fmt.Errorf("open the server's console: %w", err)
		}
		s.file = os.NewFile(uintptr(fd), "console")
	}
	return s.file.Write(b)
}

func (s *Stream) descriptor() (int, error) {
	if number := os.Getenv(s.variable); number != "" {
		return strconv.Atoi(number)
	}
	if os.Getenv(processVar) != "" {
		return 0, ErrNone
	}
	return int(s.own().Fd()), nil
}

// Close gives the stream up; it stays open for everybody else.
func (s *Stream) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.file == nil {
		return nil
	}
	err := s.file.Close()
	s.file = nil
	return err
}
