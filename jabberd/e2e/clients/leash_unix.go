//go:build unix && !linux

package clients

import "syscall"

// leash lets a process lead a group of its own.
func leash() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}
