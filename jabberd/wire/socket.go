package wire

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"syscall"
)

// A socket is a Line that is nothing but a unix socket. Frames are messages of
// records, so that one after another they are one long message: a record needs
// no more than its own length in front of it. An empty record is the last.
type socket struct {
	conn *net.UnixConn
	raw  syscall.RawConn

	in         []byte // what was read and not handed over is in[start:end]
	start, end int
	shut       bool // the last record has come

	trying []byte // what Try was given, and what came of it
	tried  int
	failed error
	try    func(fd uintptr) bool
}

const (
	recordKey  = 1<<3 | 2 // before the length of a record: field 1 of a Frame
	socketSize = 64 << 10 // of a read
	pieceSize  = 4 << 10  // records that share memory: who keeps a string of one keeps all
)

var errRecord = errors.New("damaged record")

func newSocket(conn *net.UnixConn) (*socket, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, err
	}
	s := &socket{conn: conn, raw: raw, in: make([]byte, socketSize)}
	s.try = s.write
	return s, nil
}

// dialSocket opens a line to the process pid of this user, or any if pid is 0.
// It is cut when ctx is done.
func dialSocket(ctx context.Context, path string, pid int) (*socket, error) {
	conn, err := dialPeer(ctx, path, pid)
	if err != nil {
		return nil, err
	}
	s, err := newSocket(conn.(*net.UnixConn))
	if err != nil {
		return nil, err
	}
	context.AfterFunc(ctx, s.Cut)
	return s, nil
}

func (s *socket) Send(frame *[]byte, back *buffers) error {
	_, err := s.conn.Write(*frame)
	back.Put(frame)
	return err
}

func (s *socket) Try(frame []byte) (n int, err error) {
	s.trying, s.tried, s.failed = frame, 0, nil
	err = s.raw.Write(s.try)
	s.trying = nil
	if err == nil {
		err = s.failed
	}
	return s.tried, err
}

// write is given the descriptor. It is always done: what cannot be written now
// is for Send.
func (s *socket) write(fd uintptr) bool {
	for s.tried < len(s.trying) {
		n, err := syscall.Write(int(fd), s.trying[s.tried:])
		switch err {
		case nil:
			s.tried += n
		case syscall.EINTR:
		case syscall.EAGAIN:
			return true
		default:
			s.failed = err
			return true
		}
	}
	return true
}

func (s *socket) Shut() error {
	if _, err := s.conn.Write([]byte{recordKey, 0}); err != nil {
		return err
	}
	return s.conn.CloseWrite()
}

func (s *socket) Cut() { _ = s.conn.Close() }

func (s *socket) Receive() (records []byte, more bool, err error) {
	for {
		n, err := s.whole()
		if err != nil {
			return nil, false, err
		}
		if n > 0 {
			records = append([]byte(nil), s.in[s.start:s.start+n]...)
			s.start += n
			next, _, err := extent(s.in[s.start:s.end])
			return records, err == nil && next > 0 && next <= s.end-s.start, nil
		}
		if err := s.read(); err != nil {
			return nil, false, err
		}
	}
}

// whole returns how many bytes of records that are complete can be handed over.
func (s *socket) whole() (n int, err error) {
	for rest := s.in[s.start:s.end]; n < pieceSize; {
		size, empty, err := extent(rest)
		if err != nil {
			return 0, err
		}
		if size == 0 || size > len(rest) {
			break
		}
		s.shut = s.shut || empty
		n, rest = n+size, rest[size:]
	}
	return n, nil
}

// extent returns how many bytes the first record has with what is before it, 0
// if that cannot be seen yet.
func extent(b []byte) (size int, empty bool, err error) {
	if len(b) < 2 {
		return 0, false, nil
	}
	n, used := binary.Uvarint(b[1:])
	switch {
	case b[0] != recordKey || used < 0 || n > messageSize:
		return 0, false, errRecord
	case used == 0:
		return 0, false, nil
	}
	return 1 + used + int(n), n == 0, nil
}

// read reads once, with room for the record that has begun.
func (s *socket) read() error {
	size, _, err := extent(s.in[s.start:s.end])
	if err != nil {
		return err
	}
	kept := s.in[s.start:s.end]
	if want := max(size, socketSize); want > len(s.in) || len(kept) == 0 && len(s.in) > socketSize {
		s.in = make([]byte, want)
	}
	s.start, s.end = 0, copy(s.in, kept)
	n, err := s.conn.Read(s.in[s.end:])
	s.end += n
	if n > 0 {
		return nil
	}
	if err == io.EOF && (!s.shut || s.end > 0) {
		return io.ErrUnexpectedEOF
	}
	return err
}
