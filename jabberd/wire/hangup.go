package wire

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// Hangup tells the process to open its log files anew, by SIGHUP. One that
// does not catch the signal would die of it and is spared; so is one that was
// attached to, whose person has it at hand.
func (p *Process) Hangup() error {
	pid := p.PID()
	if pid == 0 {
		return nil
	}
	caught, err := catches(pid, syscall.SIGHUP)
	if err == nil && caught {
		err = p.body.signal(syscall.SIGHUP)
	}
	if errors.Is(err, os.ErrProcessDone) || errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
		return nil
	}
	return err
}

// catches reports whether a process has a handler for a signal; see proc(5).
func catches(pid int, s syscall.Signal) (bool, error) {
	file := "/proc/" + strconv.Itoa(pid) + "/status"
	b, err := os.ReadFile(file)
	if err != nil {
		return false, err
	}
	_, rest, _ := strings.Cut(string(b), "\nSigCgt:")
	line, _, _ := strings.Cut(rest, "\n")
	mask, err := strconv.ParseUint(strings.TrimSpace(line), 16, 64)
	if err != nil {
		return false, fmt.Errorf("%s: signals that are caught: %w", file, err)
	}
	return mask&(1<<(s-1)) != 0, nil
}
