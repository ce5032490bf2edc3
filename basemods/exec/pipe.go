package exec

import (
	"context"
	"errors"
	"os"
	"slices"
	"sync"
	"time"
)

// errEnded says that the process has ended before it got something.
var errEnded = errors.New("the program has ended")

const (
	mostAtOnce = 64 << 10 // bytes written in one call
	mostAside  = 1 << 20  // bytes of notes that may wait
)

// A pipe is the standard input of a process. All that waits is written at once,
// notes first.
type pipe struct {
	to      *os.File
	some    chan struct{} // has an element while something waits
	end     chan struct{} // closed by close
	once    sync.Once
	stopped chan struct{} // closed when nothing will be written any more

	mu    sync.Mutex
	notes []byte
	lines []*line
	taken []*line // being written
}

// A line is what somebody waits for to be written.
type line struct {
	text    []byte
	since   time.Time
	written chan struct{} // closed when it is
}

func newPipe(to *os.File) *pipe {
	return &pipe{to: to, some: make(chan struct{}, 1), end: make(chan struct{}), stopped: make(chan struct{})}
}

// write writes text and waits until the system has it. The error is that of
// ctx, or errEnded.
func (w *pipe) write(ctx context.Context, text []byte) error {
	l := &line{text: text, since: time.Now(), written: make(chan struct{})}
	w.mu.Lock()
	w.lines = append(w.lines, l)
	w.mu.Unlock()
	w.wake()
	select {
	case <-l.written:
		return nil
	case <-w.stopped:
	case <-ctx.Done():
		w.withdraw(l)
		return ctx.Err()
	}
	select {
	case <-l.written: // as the last one
		return nil
	default:
		return errEnded
	}
}

// note writes text soon. It reports whether there was room.
func (w *pipe) note(text []byte) bool {
	w.mu.Lock()
	room := len(w.notes)+len(text) <= mostAside
	if room {
		w.notes = append(w.notes, text...)
	}
	w.mu.Unlock()
	w.wake()
	return room
}

func (w *pipe) wake() {
	select {
	case w.some <- struct{}{}:
	default:
	}
}

// withdraw takes a line back that is not being written.
func (w *pipe) withdraw(l *line) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if i := slices.Index(w.lines, l); i >= 0 {
		w.lines = slices.Delete(w.lines, i, i+1)
	}
}

// run writes until close.
func (w *pipe) run() {
	defer close(w.stopped)
	defer w.close()
	for {
		select {
		case <-w.some:
		case <-w.end:
			return
		}
		for {
			text := w.take()
			if len(text) == 0 {
				break
			}
			if _, err := w.to.Write(text); err != nil {
				return
			}
			w.wrote()
		}
	}
}

// take returns what is to be written next.
func (w *pipe) take() []byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	text := w.notes
	w.notes = nil
	n := 0
	for n < len(w.lines) && (len(text) == 0 || len(text)+len(w.lines[n].text) <= mostAtOnce) {
		text = append(text, w.lines[n].text...)
		n++
	}
	w.taken = append(w.taken, w.lines[:n]...)
	w.lines = slices.Delete(w.lines, 0, n)
	return text
}

// wrote tells who waits for what was taken.
func (w *pipe) wrote() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, l := range w.taken {
		close(l.written)
	}
	clear(w.taken)
	w.taken = w.taken[:0]
}

// late returns how long the first line has been waiting.
func (w *pipe) late() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, l := range slices.Concat(w.taken, w.lines) {
		return time.Since(l.since)
	}
	return 0
}

// close ends the input of the process; who waits is told that it has ended.
func (w *pipe) close() {
	w.once.Do(func() {
		close(w.end)
		w.to.Close()
	})
}
