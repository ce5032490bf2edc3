package xml

import (
	"bytes"
	"io"
	"sync"
)

// Reader yields the tokens of a stream that is read from a connection, for those
// who have a goroutine for it. It is not for concurrent use.
type Reader struct {
	desk       *desk        // nil while it rests
	at         surroundings // of the scanner, while it rests
	src        io.Reader
	buf        []byte
	start, end int // what has been read and is not consumed
	err        error
}

const (
	roomStart = 4 << 10  // of a reader's buffer
	roomKept  = 64 << 10 // a buffer that had to grow beyond is given back
)

// A desk is what a reader needs while elements come.
type desk struct {
	scanner Scanner
	room    [roomStart]byte
}

// desks are those that readers at rest have given back.
var desks = sync.Pool{New: func() any { return new(desk) }}

// NewReader returns a reader that waits for the start of a stream.
func NewReader(src io.Reader, limits Limits) *Reader {
	return &Reader{src: src, at: surroundings{limits: limits.withDefaults()}}
}

// SetLimits changes the limits from the next element on; see
// [Scanner.SetLimits].
func (r *Reader) SetLimits(limits Limits) { r.awake().SetLimits(limits) }

// Next returns the next token, which is valid until the next call. At the end of
// the bytes it returns [io.EOF], within an element [io.ErrUnexpectedEOF]; other
// errors are those of the source and of [Scanner.Next].
func (r *Reader) Next() (*Token, error) {
	s := r.awake()
	for {
		t, n, err := s.Next(r.buf[r.start:r.end])
		r.start += n
		if t != nil || err != nil {
			return t, err
		}
		if err := r.fill(); err != nil {
			return nil, err
		}
	}
}

// Reset waits for the start of a new stream on src. Bytes that were read ahead
// belong to the new stream if src stays, as after SASL, and are dropped if it is
// another one, as after STARTTLS; see [Reader.Buffered].
func (r *Reader) Reset(src io.Reader) {
	if src != r.src {
		r.src, r.start, r.end = src, 0, 0
	}
	r.err = nil
	r.awake().Reset()
}

// Rest makes a reader small whose source had nothing for a while: what it has
// for elements is given back unless it is within one, and made again by the next
// call of Next. A time-out of the source is forgotten. The last token is no
// longer valid.
func (r *Reader) Rest() {
	r.err = nil
	d := r.desk
	if d == nil || d.scanner.err != nil || r.start != r.end {
		return
	}
	r.desk, r.at, r.buf, r.start, r.end = nil, d.scanner.surroundings, nil, 0, 0
	d.scanner.forget()
	desks.Put(d)
}

// awake returns the scanner, which goes on where it was before a rest.
func (r *Reader) awake() *Scanner {
	if r.desk == nil {
		r.desk = desks.Get().(*desk)
		r.desk.scanner.surroundings, r.buf = r.at, r.desk.room[:]
	}
	return &r.desk.scanner
}

// Buffered is the number of bytes that were read and don't belong to a token
// yet, white space before them apart. If it isn't 0 when TLS starts, somebody has
// sent in the clear what would be taken for protected. (Some clients end their
// request for TLS with a line break.)
func (r *Reader) Buffered() int { return len(bytes.TrimLeft(r.buf[r.start:r.end], " \t\r\n")) }

// fill reads once.
func (r *Reader) fill() error {
	if r.err != nil {
		return r.ended()
	}
	r.makeRoom()
	const mostEmpty = 100
	for range mostEmpty {
		n, err := r.src.Read(r.buf[r.end:])
		r.end += n
		r.err = err
		if n > 0 {
			return nil
		}
		if err != nil {
			return r.ended()
		}
	}
	return io.ErrNoProgress
}

func (r *Reader) ended() error {
	if r.err == io.EOF && r.end > r.start {
		return io.ErrUnexpectedEOF
	}
	return r.err
}

// makeRoom sees to it that there is room behind what is not consumed.
func (r *Reader) makeRoom() {
	unread := r.end - r.start
	if unread == 0 && len(r.buf) > roomKept {
		r.buf = nil
	}
	switch {
	case r.buf == nil:
		r.buf = r.desk.room[:]
	case unread == len(r.buf):
		larger := make([]byte, 2*len(r.buf))
		copy(larger, r.buf[r.start:r.end])
		r.buf = larger
	case len(r.buf)-r.end < len(r.buf)/4:
		copy(r.buf, r.buf[r.start:r.end])
	default:
		return
	}
	r.start, r.end = 0, unread
}
