//go:build !linux

package idle

import (
	"errors"
	"syscall"
)

// A Lot watches parked connections. There are none on this system.
type Lot struct{}

// NewLot returns [errors.ErrUnsupported].
func NewLot() (*Lot, error) { return nil, errors.ErrUnsupported }

// Close does nothing.
func (l *Lot) Close() error { return nil }

// Park returns [errors.ErrUnsupported].
func (l *Lot) Park(syscall.Conn, Sleeper) error { return errors.ErrUnsupported }

// Leave does nothing.
func (l *Lot) Leave(syscall.Conn, Sleeper) {}
