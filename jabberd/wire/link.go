package wire

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"

	"github.com/jabberii/server/jabberd/frame"
	"github.com/jabberii/server/jabberd/tree"
)

// A Line carries frames between two processes, in order. It is the seam below
// which there is gRPC, or nothing but a socket. Send and Shut are for one
// goroutine at a time, Receive is for another, Cut is for all.
type Line interface {
	// Send takes a frame over and gives its memory back when it is on its way.
	Send(frame *[]byte, back *buffers) error
	// Shut says that no more frames will be sent.
	Shut() error
	// Receive returns whole records in memory that nobody else writes to, or
	// io.EOF when the other end has shut its side. more says that others are
	// here already.
	Receive() (records []byte, more bool, err error)
	// Cut ends both directions at once.
	Cut()
}

// An eager line can be tried: it sends as much of a frame as it can without
// waiting. It excludes Send.
type eager interface {
	Try(frame []byte) (n int, err error)
}

const (
	frameSize = 1 << 20  // a frame that has this many bytes is full
	earlySize = 64 << 10 // what gathers goes out above it, though nobody has asked for it
	gatherMax = 64 << 20 // bytes that may wait to be sent; a commit may be as large
)

var (
	errStuck  = fmt.Errorf("the other process has left %d MiB unread", gatherMax>>20)
	errClosed = errors.New("the link was closed")
)

// A Receiver takes what comes in; [tree.Remote] is one.
type Receiver interface {
	frame.Receiver

	// Rest says that all that has come is handed over. It may do what there is
	// to do, and does not wait. pass, which may be called once and from any
	// goroutine, has another goroutine go on reading; Rest then returns false
	// when it is done, and true otherwise.
	Rest(pass func()) bool
}

// A Link is one connection to another process: what tree calls a peer on one
// side, and a reader that hands over what comes in on the other.
//
// Sending never waits. Records gather until somebody asks for them to be sent,
// and while the line is busy; the next frame is all that has gathered. Under
// load frames become large by themselves and no timer is needed. If the other
// process stops reading, the link is cut at 64 MiB.
//
// Whoever flushes sends by itself as long as that need not wait; for the rest,
// and for those who have better to do, there is a goroutine.
type Link struct {
	line  Line
	eager eager // line, if it is; nil
	free  buffers
	due   atomic.Bool // something has gathered that nobody has flushed
	later atomic.Bool // something that can wait for the next flush

	mu     sync.Mutex
	ready  sync.Cond
	now    *[]byte   // the frame that gathers
	full   []*[]byte // frames to send before it
	size   int       // bytes in full
	idle   bool      // the writer waits for ready
	called bool      // the writer is to send what gathers
	busy   bool      // somebody sends
	err    error     // no more records: errClosed in order, anything else at once
}

var _ tree.Peer = (*Link)(nil)

func newLink(line Line) *Link {
	l := &Link{line: line}
	l.eager, _ = line.(eager)
	l.ready.L = &l.mu
	l.now = l.free.Get(0)
	return l
}

// Walk sends a walk.
func (l *Link) Walk(w *frame.Walk) { l.gather(frame.AppendWalk(l.lock(), w), true) }

// Commit sends a commit.
func (l *Link) Commit(c *frame.Commit) { l.gather(frame.AppendCommit(l.lock(), c), true) }

// Settle sends a settlement.
func (l *Link) Settle(s *frame.Settlement) { l.gather(frame.AppendSettlement(l.lock(), s), true) }

// WalkLater, CommitLater and SettleLater send when something else is sent, or
// FlushSoon is called.
func (l *Link) WalkLater(w *frame.Walk) { l.gather(frame.AppendWalk(l.lock(), w), false) }

func (l *Link) CommitLater(c *frame.Commit) { l.gather(frame.AppendCommit(l.lock(), c), false) }

func (l *Link) SettleLater(s *frame.Settlement) { l.gather(frame.AppendSettlement(l.lock(), s), false) }

// Host sends a change of a host.
func (l *Link) Host(h *frame.HostChange) { l.gather(frame.AppendHost(l.lock(), h), true) }

// Explain sends a question about a packet, or its answer.
func (l *Link) Explain(e *frame.Explain) { l.gather(frame.AppendExplain(l.lock(), e), true) }

func (l *Link) lock() []byte {
	l.mu.Lock()
	return *l.now
}

// gather keeps the frame that a record was appended to, and unlocks.
func (l *Link) gather(frame []byte, due bool) {
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
	if due && !l.due.Load() {
		l.due.Store(true)
	}
	if !due && !l.later.Load() {
		l.later.Store(true)
	}
	stuck := l.err == errStuck
	if stuck || len(frame) >= earlySize {
		l.call()
	}
	l.mu.Unlock()
	if stuck {
		l.line.Cut()
	}
}

// call has the writer send what has gathered; the lock is held.
func (l *Link) call() {
	l.called = true
	if l.idle && !l.busy {
		l.idle = false
		l.ready.Signal()
	}
}

// FlushSoon has what has gathered sent by somebody else.
func (l *Link) FlushSoon() {
	if !l.due.Load() && !l.later.Load() {
		return
	}
	l.mu.Lock()
	l.due.Store(false)
	l.later.Store(false)
	l.call()
	l.mu.Unlock()
}

// Flush sends what has gathered, as far as that need not wait.
func (l *Link) Flush() {
	if !l.due.Load() {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.due.Store(false)
	l.later.Store(false)
	if l.busy || l.called || l.eager == nil {
		l.call()
		return
	}
	for again := tries; again > 0 && l.err == nil && len(l.full) == 0 && len(*l.now) > 0; again-- {
		l.called = false
		if l.try(); !l.called {
			break
		}
	}
	if l.called || l.err != nil || len(l.full) > 0 {
		l.call()
	}
}

// tries is how many frames one call of Flush sends, if others flush meanwhile.
const tries = 4

// try sends one frame without waiting; the lock is held, but not meanwhile.
func (l *Link) try() {
	frame := l.now
	l.now, l.busy = l.free.Get(0), true
	l.mu.Unlock()
	n, err := l.eager.Try(*frame)
	l.mu.Lock()
	l.busy = false
	switch {
	case err != nil:
		l.fail(err)
	case n < len(*frame):
		*frame = append((*frame)[:0], (*frame)[n:]...)
		l.full, l.size = append(l.full, frame), l.size+len(*frame)
		return
	}
	l.free.Put(frame)
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
		case l.busy:
		case len(l.full) > 0:
			frame := l.full[0]
			l.full = append(l.full[:0], l.full[1:]...)
			l.size -= len(*frame)
			l.busy = true
			return frame, nil
		case len(*l.now) > 0 && (l.called || l.err != nil):
			frame := l.now
			l.now, l.called, l.busy = l.free.Get(0), false, true
			return frame, nil
		case l.err != nil:
			return nil, l.err
		default:
			l.called = false
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
	defer l.mu.Unlock()
	l.fail(err)
}

// fail ends the link; the lock is held.
func (l *Link) fail(err error) {
	if l.err == nil || l.err == errClosed {
		l.err = err
	}
	l.idle = false
	l.ready.Broadcast()
}

// Run carries records until both ends have closed the link (nil) or it breaks,
// and hands over what comes in. It is called once. If it returns an error the
// receiver may have part of what the other end has sent, in order.
func (l *Link) Run(to Receiver) error {
	written := make(chan error, 1)
	go func() { written <- l.write() }()
	read := make(chan error, 1)
	r := &reader{link: l, to: to, ended: read}
	r.read()
	err := <-read
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
			l.sent()
		}
		if err != nil {
			l.end(err)
			return err
		}
	}
}

func (l *Link) sent() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.busy = false
}

// A reader hands over what comes in. Handlers run on its goroutine, which saves
// a wake-up; if one of them has to wait, another goroutine reads on.
type reader struct {
	link  *Link
	to    Receiver
	d     frame.Decoder
	ended chan<- error
}

func (r *reader) read() {
	pass := func() { go r.read() }
	for {
		records, more, err := r.link.line.Receive()
		if err == nil {
			err = r.d.Decode(records, r.to)
		}
		if err != nil {
			if err == io.EOF {
				err = nil
			}
			r.ended <- err
			return
		}
		if !more && !r.to.Rest(pass) {
			return
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
