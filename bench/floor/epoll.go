package main

import (
	"net"
	"sync"
	"syscall"
)

// writeFD writes to a socket that does not block, and tells how much went. What
// did not goes with the next write: under a closed loop that is enough.
func writeFD(fd int, p []byte) int {
	n, err := syscall.Write(fd, p)
	switch err {
	case nil:
		return n
	case syscall.EAGAIN, syscall.EINTR:
		return 0
	}
	return len(p) // the socket is gone
}

// A loop serves its connections one after another, with one buffer for all.
type loop struct {
	relay *relay
	epoll int
	mu    sync.Mutex
	conns map[int32]*conn
}

// epoll accepts connections and deals them out to loops.
func (r *relay) epoll(l *net.TCPListener, n int) error {
	loops := make([]*loop, n)
	for i := range loops {
		fd, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
		if err != nil {
			return err
		}
		loops[i] = &loop{relay: r, epoll: fd, conns: map[int32]*conn{}}
		go loops[i].run()
	}
	file, err := l.File()
	if err != nil {
		return err
	}
	syscall.SetNonblock(int(file.Fd()), false)
	for i := 0; ; i++ {
		fd, _, err := syscall.Accept4(int(file.Fd()), syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC)
		if err != nil {
			continue
		}
		syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1)
		loops[i%n].add(&conn{relay: r, fd: fd})
	}
}

func (l *loop) add(c *conn) {
	l.mu.Lock()
	l.conns[int32(c.fd)] = c
	l.mu.Unlock()
	syscall.EpollCtl(l.epoll, syscall.EPOLL_CTL_ADD, c.fd, &syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: int32(c.fd)})
}

func (l *loop) run() {
	events := make([]syscall.EpollEvent, 128)
	shared := make([]byte, 64<<10)
	var dirty []*conn
	for {
		n, err := syscall.EpollWait(l.epoll, events, -1)
		if err != nil {
			continue
		}
		dirty = dirty[:0]
		for _, event := range events[:n] {
			l.mu.Lock()
			c := l.conns[event.Fd]
			l.mu.Unlock()
			dirty = c.readOnce(shared, dirty)
			if c.dead {
				c.leave()
				l.mu.Lock()
				delete(l.conns, event.Fd)
				l.mu.Unlock()
				syscall.Close(c.fd)
			}
		}
		flush(dirty)
	}
}

// readOnce reads into the loop's buffer, behind the beginning of a stanza that
// was left from the last time.
func (c *conn) readOnce(shared []byte, dirty []*conn) []*conn {
	left := c.buf
	c.buf = shared
	copy(shared, left)
	n, err := syscall.Read(c.fd, shared[c.w:])
	switch {
	case err == syscall.EAGAIN || err == syscall.EINTR:
		c.buf = left
		return dirty
	case err != nil || n == 0:
		c.dead = true
	default:
		c.w += n
		dirty = c.process(dirty)
	}
	c.buf = nil
	if c.r < c.w {
		c.buf = append(c.buf, shared[c.r:c.w]...)
	}
	c.w, c.pos, c.start, c.r = c.w-c.r, c.pos-c.r, c.start-c.r, 0
	return dirty
}
