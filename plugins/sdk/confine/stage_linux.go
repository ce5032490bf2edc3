package confine

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// failed is the status of a stage that could not become its program, the one
// that shells have for that.
const failed = 126

// Main is the stage. It returns only if it fails, and says why on standard
// error.
func Main(args []string) int {
	// What binds only a thread has to bind the one that executes.
	runtime.LockOSThread()
	s, err := parse(args)
	if err == nil {
		err = s.Rules.bind(s.path)
	}
	if err == nil {
		// Another user, or another thread than the first, has lost it.
		err = unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(s.Death), 0, 0, 0)
	}
	if err == nil {
		err = limit(s.Rules)
	}
	if err == nil { // what is wrong now has nothing to do with rules
		err = syscall.Exec(s.path, s.args, os.Environ())
		fmt.Fprintf(os.Stderr, "[ERROR] execute %s: %v\n", s.path, err)
		return failed
	}
	fmt.Fprintf(os.Stderr, "[ERROR] confine: %v\n", err)
	return failed
}

func deathSignal(cmd *exec.Cmd) int {
	if cmd.SysProcAttr == nil {
		return 0
	}
	return int(cmd.SysProcAttr.Pdeathsig)
}

// bind takes rights away, those last that are needed to take others.
func (r *Rules) bind(program string) error {
	uid, gid, other, err := r.Account()
	if err != nil {
		return err
	}
	rules, err := r.ruleset(program)
	if err != nil {
		return err
	}
	sockets, err := r.sockets()
	if err != nil && !r.Optional {
		return err
	}
	if other {
		if err := become(uid, gid); err != nil {
			return fmt.Errorf("run as user %s: %w", r.User, err)
		}
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("give up privileges: %w", err)
	}
	if err := rules.enforce(); err != nil {
		return err
	}
	return sockets.enforce()
}

func become(uid, gid int) error {
	if err := syscall.Setgroups([]int{gid}); err != nil {
		return err
	}
	if err := syscall.Setgid(gid); err != nil {
		return err
	}
	if err := syscall.Setuid(uid); err != nil {
		return err
	}
	// It was made impossible by the change; the program may be a descriptor.
	return unix.Prctl(unix.PR_SET_DUMPABLE, 1, 0, 0, 0)
}

// limit sets the limits, of which the stage itself would feel some.
func limit(r Rules) error {
	for _, l := range []struct {
		name     string
		resource int
		most     uint64
	}{
		{"files", unix.RLIMIT_NOFILE, uint64(r.Files)},
		{"processes", unix.RLIMIT_NPROC, uint64(r.Processes)},
		{"memory", unix.RLIMIT_DATA, uint64(r.Memory)},
	} {
		if l.most == 0 {
			continue
		}
		if err := syscall.Setrlimit(l.resource, &syscall.Rlimit{Cur: l.most, Max: l.most}); err != nil {
			return fmt.Errorf("limit %s to %d: %w", l.name, l.most, err)
		}
	}
	return nil
}
