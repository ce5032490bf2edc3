package idle

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"
)

// A Lot watches parked connections. It may be used by several goroutines at a
// time.
type Lot struct {
	epoll *os.File
	raw   syscall.RawConn

	mu    sync.Mutex
	spots []Sleeper // by descriptor
}

// NewLot makes a lot, with one goroutine for all its connections. The error is
// [errors.ErrUnsupported] where the system cannot do it.
func NewLot() (*Lot, error) {
	fd, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("epoll: %w", err)
	}
	// The runtime polls this descriptor like that of a socket, so that waiting
	// for it takes no thread.
	if err := syscall.SetNonblock(fd, true); err != nil {
		syscall.Close(fd)
		return nil, fmt.Errorf("epoll: %w", err)
	}
	l := &Lot{epoll: os.NewFile(uintptr(fd), "epoll")}
	if l.raw, err = l.epoll.SyscallConn(); err != nil {
		l.epoll.Close()
		return nil, fmt.Errorf("epoll: %w", err)
	}
	go l.run()
	return l, nil
}

// Close ends the watch; who is parked sleeps on.
func (l *Lot) Close() error { return l.epoll.Close() }

// Park has x woken, once, when there is something to read from c or its peer
// has closed it; at once if that is so already, even before Park returns. On an
// error x is not woken. Who closes c calls Leave before and wakes x.
func (l *Lot) Park(c syscall.Conn, x Sleeper) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var armed error
	err = raw.Control(func(fd uintptr) {
		l.enter(int(fd), x)
		if armed = l.arm(int(fd)); armed != nil {
			l.leave(int(fd), x)
		}
	})
	return errors.Join(err, armed)
}

// Leave forgets x, if it is parked with c.
func (l *Lot) Leave(c syscall.Conn, x Sleeper) {
	if raw, err := c.SyscallConn(); err == nil {
		raw.Control(func(fd uintptr) { l.leave(int(fd), x) })
	}
}

func (l *Lot) leave(fd int, x Sleeper) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if fd < len(l.spots) && l.spots[fd] == x {
		l.spots[fd] = nil
	}
}

func (l *Lot) enter(fd int, x Sleeper) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for fd >= len(l.spots) {
		l.spots = append(l.spots, nil)
	}
	l.spots[fd] = x
}

func (l *Lot) take(fd int) Sleeper {
	l.mu.Lock()
	defer l.mu.Unlock()
	x := l.spots[fd]
	l.spots[fd] = nil
	return x
}

// arm asks for one event of a descriptor.
func (l *Lot) arm(fd int) error {
	var failed error
	err := l.raw.Control(func(epoll uintptr) {
		e := syscall.EpollEvent{Events: syscall.EPOLLIN | syscall.EPOLLRDHUP | syscall.EPOLLONESHOT, Fd: int32(fd)}
		failed = syscall.EpollCtl(int(epoll), syscall.EPOLL_CTL_ADD, fd, &e)
		if failed == syscall.EEXIST {
			failed = syscall.EpollCtl(int(epoll), syscall.EPOLL_CTL_MOD, fd, &e)
		}
	})
	return errors.Join(err, failed)
}

// run wakes sleepers until the lot is closed. An event may be older than the
// connection that has its descriptor now, which is then woken for nothing.
func (l *Lot) run() {
	var events [128]syscall.EpollEvent
	for {
		var n int
		err := l.raw.Read(func(epoll uintptr) bool {
			n, _ = syscall.EpollWait(int(epoll), events[:], 0)
			return n > 0
		})
		if err != nil {
			return
		}
		for _, e := range events[:n] {
			if x := l.take(int(e.Fd)); x != nil {
				x.Wake()
			}
		}
	}
}
