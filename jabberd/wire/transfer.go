package wire

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// send sends what it can without waiting.
func send(fd uintptr, b []byte) (int, syscall.Errno) { return transfer(unix.SYS_SENDTO, fd, b) }

// transfer makes a call that does not block. The scheduler is not told of it:
// it would look every 20 µs whether the call hangs.
func transfer(call, fd uintptr, b []byte) (int, syscall.Errno) {
	n, _, errno := syscall.RawSyscall6(call, fd, uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)),
		unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, 0, 0)
	return int(n), errno
}
