// Package turn keeps those who always have something to do from being in the
// way of those who seldom have. A goroutine that reads what a client floods it
// with never waits, and the runtime takes it off its processor after 10 ms
// only; with twenty of them, somebody who has one thing to say waits for 200 ms.
//
// Who is busy does a little, and then waits in a [Line]:
//
//	for {
//		n, err := conn.Read(buf)
//		...
//		if busy {
//			line.Wait()
//		}
//	}
//
// The first in the line goes on when a processor has nothing else to do and the
// network has been looked at, which the runtime does not do by itself while
// anybody is ready to run. So there is one in each processor's way at most,
// for as long as the little that it does, and those in the line share what is
// left by the others. One that waits for something else on its turn, be it a
// disk, holds nobody up. Nothing polls while nobody waits.
package turn

import (
	"errors"
	"os"
	"runtime"
	"sync"
	"syscall"
)

// A Line is where those wait who are busy. It may be used by several
// goroutines at a time.
type Line struct {
	mu          sync.Mutex
	first, last *place
	closed      bool
	some        chan struct{} // somebody has come to an empty line; closed by Close

	pipe [2]*os.File
	ends [2]syscall.RawConn
	done chan struct{} // closed when run has ended
}

// A place is where somebody waits in a line.
type place struct {
	turn chan struct{}
	next *place
}

var places = sync.Pool{New: func() any { return &place{turn: make(chan struct{}, 1)} }}

// NewLine makes a line, with one goroutine for all who wait in it.
func NewLine() (*Line, error) {
	l := &Line{some: make(chan struct{}, 1), done: make(chan struct{})}
	var err error
	if l.pipe[0], l.pipe[1], err = os.Pipe(); err != nil {
		return nil, err
	}
	for i, f := range l.pipe {
		if l.ends[i], err = f.SyscallConn(); err != nil {
			l.closePipe()
			return nil, err
		}
	}
	go l.run()
	return l, nil
}

// Wait returns when it is the caller's turn, at once if the line is closed.
func (l *Line) Wait() {
	p := places.Get().(*place)
	if l.enter(p) {
		<-p.turn
	}
	places.Put(p)
}

func (l *Line) enter(p *place) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return false
	}
	if l.first == nil {
		l.first = p
		select {
		case l.some <- struct{}{}:
		default:
		}
	} else {
		l.last.next = p
	}
	l.last = p
	return true
}

// Close lets all go who wait, and ends the line.
func (l *Line) Close() error {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return nil
	}
	l.closed = true
	close(l.some)
	l.mu.Unlock()
	err := l.closePipe()
	<-l.done
	return err
}

func (l *Line) closePipe() error { return errors.Join(l.pipe[0].Close(), l.pipe[1].Close()) }

// run gives turns until the line is closed.
func (l *Line) run() {
	defer close(l.done)
	for range l.some {
		l.lookAround()
		for l.call() {
			l.lookAround()
		}
	}
	for l.call() {
	}
}

// call lets the first in the line go, and reports whether there was one.
func (l *Line) call() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.first
	if p == nil {
		return false
	}
	l.first, p.next = p.next, nil
	p.turn <- struct{}{}
	return true
}

// lookAround returns when the runtime has had nothing else to run, has looked
// at the network and run what was ready there: it waits for a byte that it has
// written itself.
func (l *Line) lookAround() {
	wrote := false
	l.ends[0].Read(func(fd uintptr) bool {
		if wrote {
			return true
		}
		var rest [8]byte
		syscall.Read(int(fd), rest[:])
		wrote = l.write() == nil
		return !wrote
	})
	runtime.Gosched()
}

// write puts a byte into the pipe, which is empty.
func (l *Line) write() (failed error) {
	err := l.ends[1].Write(func(fd uintptr) bool {
		_, failed = syscall.Write(int(fd), []byte{0})
		return true
	})
	return errors.Join(err, failed)
}
