package c2s

import (
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// limitUnconfirmed bounds how long what was sent may be without a confirmation
// (RFC 5482): while there is any, nobody is asked for a sign of life.
func limitUnconfirmed(c syscall.Conn, d time.Duration) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Control(func(fd uintptr) {
		failed = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(d.Milliseconds()))
	})
	if err == nil {
		err = failed
	}
	return err
}
