package peer

import (
	"net"
	"syscall"
)

// unsentMax is how many bytes that were written may wait in the kernel to be
// sent. What does not fit waits here, from where the next stream can take it.
const unsentMax = 16 << 10

const tcpNotSentLowat = 25 // TCP_NOTSENT_LOWAT, which package syscall lacks

// boundUnsent has the kernel keep little of what is not sent yet.
func boundUnsent(c *net.TCPConn) {
	raw, err := c.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) {
		// Without it more may be lost with a connection, and that is all.
		_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpNotSentLowat, unsentMax)
	})
}
