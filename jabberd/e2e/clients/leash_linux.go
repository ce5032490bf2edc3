package clients

import "syscall"

// leash lets a process lead a group of its own, and end when the test's process
// ends, also when that had no time to clean up.
func leash() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
