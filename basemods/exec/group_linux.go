package exec

import "syscall"

// ownGroup makes a process the leader of a group, and has it asked to end when
// the server's process dies.
func ownGroup() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
}
