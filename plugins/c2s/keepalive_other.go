//go:build !linux

package c2s

import (
	"syscall"
	"time"
)

// limitUnconfirmed leaves it to the system how often it repeats what was sent.
func limitUnconfirmed(syscall.Conn, time.Duration) error { return nil }
