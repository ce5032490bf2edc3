package wire

import (
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/jabberii/server/jabberd/frame"
)

// A Line carries frames between two processes, in order. It is the seam at
// which gRPC can be replaced. Send and Shut are for one goroutine, Receive is
// for another, Cut is for all.
type Line interface {
	// Send takes a frame over and gives its memory back when it is on its way.
	Send(frame *[]byte, back *buffers) error
	// Shut says that no more frames will be sent.
	Shut() error
	// Receive returns the next frame in memory that nobody else writes to, or
	// io.EOF when the other end has shut its side.
	Receive() ([]byte, error)
	// Cut ends both directions at once.
	Cut()
}

const (
	frameSize = 1 << 20  // a frame that has this many bytes is full
	gatherMax = 64 << 20 // bytes that may wait to be sent; a commit may be as large
)

var (
	errStuck  = fmt.Errorf("the other process has left %d MiB unread", gatherMax>>20)
	errClosed = errors.New("the link was closed")
)

// A Link is one connection to another process: what tree calls a peer on one
// side, and a reader that hands over what comes in on the other.
//
// Sending never waits. Records gather while the line is busy, and the next
// frame is all that has gathered: under load frames become large by themselves
// and no timer is needed. If the other process stops reading, the link is cut
// at 64 MiB.
type Link struct {
	line  Line
	free  buffers
	mu    sync.Mutex
	ready sync.Cond
	now   *[]byte   // the frame that gathers
	full  []*[]byte // frames to send before it
	size  int       // bytes in full
	idle  bool      // the writer waits for ready
	err   error     // no more records: errClosed in order, anything else at once
}

var _ frame.Peer = (*Link)(nil)

func newLink(line Line) *Link {
	l := &Link{line: line}
	l.ready.L = &l.mu
	l.now = l.free.Get(0)
	return l
}

// Walk sends a walk.
func (l *Link) Walk(w *frame.Walk) { l.gather(frame.AppendWalk(l.lock(), w)) }

// Commit sends a commit.
func (l *Link) Commit(c *frame.Commit) { l.gather(frame.AppendCommit(l.lock(), c)) }

// Settle sends a settlement.
func (l *Link) Settle(s *frame.Settlement) { l.gather(frame.AppendSettlement(l.lock(), s)) }

// Host sends a change of a host.
func (l *Link) Host(h *frame.HostChange) { l.gather(frame.AppendHost(l.lock(), h)) }

// Explain sends a question about a packet, or its answer.
func (l *Link) Explain(e *frame.Explain) { l.gather(frame.AppendExplain(l.lock(), e)) }

func (l *Link) lock() []byte {
	l.mu.Lock()
	return *l.now
}

// gather keeps the frame that a record was appended to, and unlocks.
func (l *Link) gather(frame []byte) {
	switch {
	case l.err != nil:
		frame = frame[:0]
	case l.size+len(frame) > gatherMax:
		l.err = errStuck
	}
	*l.now = frame
	if len(frame) >= frameSize {
		l.full, l.size = append(l.full, l.now), l.size+len(frame)
		l.now = l.free.Get(0)
	}
	wake, stuck := l.idle, l.err == errStuck
	l.idle = false
	l.mu.Unlock()
	if wake {
		l.ready.Signal()
	}
	if stuck {
		l.line.Cut()
	}
}

// take waits for something to send. After Close it returns what is left, then
// errClosed.
func (l *Link) take() (*[]byte, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for {
		switch {
		case l.err != nil && l.err != errClosed:
			return nil, l.err
		case len(l.full) > 0:
			frame := l.full[0]
			l.full = append(l.full[:0], l.full[1:]...)
			l.size -= len(*frame)
			return frame, nil
		case len(*l.now) > 0:
			frame := l.now
			l.now = l.free.Get(0)
			return frame, nil
		case l.err != nil:
			return nil, l.err
		}
		l.idle = true
		l.ready.Wait()
	}
}

// Close sends what has gathered and then says that no more will come. It does
// not wait for that; Run returns when the other end has done the same.
func (l *Link) Close() { l.end(errClosed) }

// Cut ends the link at once.
func (l *Link) Cut() {
	l.end(io.ErrClosedPipe)
	l.line.Cut()
}

func (l *Link) end(err error) {
	l.mu.Lock()
	if l.err == nil || l.err == errClosed {
		l.err = err
	}
	l.idle = false
	l.mu.Unlock()
	l.ready.Broadcast()
}

// Run carries records until both ends have closed the link (nil) or it breaks,
// and hands over what comes in. It is called once. If it returns an error the
// receiver may have part of what the other end has sent, in order.
func (l *Link) Run(to frame.Receiver) error {
	written := make(chan error, 1)
	go func() { written <- l.write() }()
	err := l.read(to)
	if err != nil {
		l.end(err)
		l.line.Cut()
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.err == errStuck {
			return errStuck
		}
		return err
	}
	l.Close()
	return <-written
}

func (l *Link) write() error {
	for {
		frame, err := l.take()
		if err == errClosed {
			return l.line.Shut()
		}
		if err == nil {
			err = l.line.Send(frame, &l.free)
		}
		if err != nil {
			l.end(err)
			return err
		}
	}
}

func (l *Link) read(to frame.Receiver) error {
	var d frame.Decoder
	for {
		data, err := l.line.Receive()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if err := d.Decode(data, to); err != nil {
			return err
		}
	}
}

// buffers keeps the memory of frames for the next ones. It is a
// [google.golang.org/grpc/mem.BufferPool], which is how gRPC returns it.
type buffers struct {
	mu   sync.Mutex
	free []*[]byte
	size int // their capacity together
}

const (
	buffersKept = 2 * frameSize // capacity of the buffers that are kept
	bufferStart = 4 << 10
)

// Get returns an empty buffer; its size is only where it starts.
func (p *buffers) Get(size int) *[]byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := len(p.free); n > 0 {
		b := p.free[n-1]
		p.free, p.size = p.free[:n-1], p.size-cap(*b)
		return b
	}
	b := make([]byte, 0, max(size, bufferStart))
	return &b
}

// Put takes a buffer back.
func (p *buffers) Put(b *[]byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.size+cap(*b) <= buffersKept {
		*b = (*b)[:0]
		p.free, p.size = append(p.free, b), p.size+cap(*b)
	}
}
