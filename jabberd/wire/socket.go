package wire

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A socket is a Line of unix sockets without gRPC. Frames are messages of
// records, so that one after another they are one long message: a record needs
// no more than its own length in front of it. An empty record is the last.
//
// Each direction has a socket of its own. Who reads from one wakes the other end
// if that looks whether it can write, which Go does for every socket that it
// looks at: so what is written to is not looked at.
type socket struct {
	in    *net.UnixConn
	out   *os.File // blocks
	reads syscall.RawConn
	tries syscall.RawConn

	buf        []byte // what was read and not handed over is buf[start:end]
	start, end int
	shut       bool // the last record has come

	sending, reading moving
}

// A moving is a read or write of the descriptor that is under way.
type moving struct {
	rest   []byte
	moved  int
	failed error
	step   func(fd uintptr) bool // once, without waiting
}

const (
	recordKey  = 1<<3 | 2 // before the length of a record: field 1 of a Frame
	socketSize = 64 << 10 // of a read
	pieceSize  = 4 << 10  // records that share memory: who keeps a string of one keeps all
)

var (
	errRecord    = errors.New("damaged record")
	errNoWayBack = errors.New("no way back was handed over")
)

// newSocket returns a line that reads from one socket and writes to the other,
// of which it takes the descriptor over.
func newSocket(in *net.UnixConn, out int) (*socket, error) {
	if err := unix.SetNonblock(out, false); err != nil { // else Go looks at it
		_ = unix.Close(out)
		return nil, os.NewSyscallError("fcntl", err)
	}
	s := &socket{in: in, out: os.NewFile(uintptr(out), "link"), buf: make([]byte, socketSize)}
	var err error
	if s.reads, err = in.SyscallConn(); err == nil {
		s.tries, err = s.out.SyscallConn()
	}
	if err != nil {
		_ = s.out.Close()
		return nil, err
	}
	s.sending.step, s.reading.step = s.sending.send, s.reading.receive
	return s, nil
}

// dialSocket opens a line to the process pid of this user, or any if pid is 0.
// It is cut when ctx is done. The connection is the way there; the way back is
// handed over on it.
func dialSocket(ctx context.Context, path string, pid int) (*socket, error) {
	conn, err := dialPeer(ctx, path, pid)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("socketpair", err)
	}
	here, there := os.NewFile(uintptr(pair[0]), "link"), os.NewFile(uintptr(pair[1]), "link")
	defer func() { _, _ = here.Close(), there.Close() }()
	if _, _, err = conn.(*net.UnixConn).WriteMsgUnix([]byte{0}, unix.UnixRights(pair[1]), nil); err != nil {
		return nil, err
	}
	in, err := net.FileConn(here)
	if err != nil {
		return nil, err
	}
	out, err := duplicate(conn.(*net.UnixConn))
	var s *socket
	if err == nil {
		s, err = newSocket(in.(*net.UnixConn), out)
	}
	if err != nil {
		_ = in.Close()
		return nil, err
	}
	context.AfterFunc(ctx, s.Cut)
	return s, nil
}

// duplicate returns another descriptor of a connection.
func duplicate(conn *net.UnixConn) (fd int, err error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0, err
	}
	var failed error
	err = raw.Control(func(have uintptr) { fd, failed = unix.FcntlInt(have, unix.F_DUPFD_CLOEXEC, 0) })
	if err == nil {
		err = os.NewSyscallError("fcntl", failed)
	}
	return fd, err
}

// handTime is how long whoever has connected may take to hand over the way back.
const handTime = 10 * time.Second

// acceptSocket returns the line of a connection that dialSocket has made.
func acceptSocket(conn *net.UnixConn) (*socket, error) {
	if err := conn.SetReadDeadline(time.Now().Add(handTime)); err != nil {
		return nil, err
	}
	rights := make([]byte, unix.CmsgSpace(4))
	_, n, _, _, err := conn.ReadMsgUnix(make([]byte, 1), rights)
	if err != nil {
		return nil, err
	}
	messages, err := unix.ParseSocketControlMessage(rights[:n])
	if err != nil || len(messages) != 1 {
		return nil, errNoWayBack
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(fds) != 1 {
		return nil, errNoWayBack
	}
	if err := conn.SetReadDeadline(time.Time{}); err != nil {
		_ = unix.Close(fds[0])
		return nil, err
	}
	return newSocket(conn, fds[0])
}

func (s *socket) Send(frame *[]byte, back *buffers) error {
	_, err := s.out.Write(*frame)
	back.Put(frame)
	return err
}

func (s *socket) Try(frame []byte) (n int, err error) {
	m := &s.sending
	m.rest, m.moved, m.failed = frame, 0, nil
	if err = s.tries.Write(m.step); err == nil {
		err = m.failed
	}
	m.rest = nil
	return m.moved, err
}

// send is always done: what cannot be sent now is for Send.
func (m *moving) send(fd uintptr) bool {
	for len(m.rest) > 0 && m.move(fd, send) {
	}
	return true
}

// receive is done when something, or the end, has come.
func (m *moving) receive(fd uintptr) bool { return m.move(fd, receive) || m.failed != nil }

// move moves what it can, and reports whether that was anything.
func (m *moving) move(fd uintptr, call func(fd uintptr, b []byte) (int, syscall.Errno)) bool {
	for {
		n, errno := call(fd, m.rest)
		switch {
		case errno == syscall.EINTR:
			continue
		case errno == syscall.EAGAIN:
			return false
		case errno != 0:
			m.failed = os.NewSyscallError("link", errno)
			return false
		case n == 0:
			m.failed = io.EOF
			return false
		}
		m.moved, m.rest = m.moved+n, m.rest[n:]
		return true
	}
}

func (s *socket) Shut() error {
	if _, err := s.out.Write([]byte{recordKey, 0}); err != nil {
		return err
	}
	return s.shutdown(unix.SHUT_WR)
}

func (s *socket) Cut() {
	_ = s.shutdown(unix.SHUT_RDWR) // for who is writing
	_ = s.out.Close()
	_ = s.in.Close()
}

func (s *socket) shutdown(how int) error {
	var failed error
	err := s.tries.Control(func(fd uintptr) { failed = unix.Shutdown(int(fd), how) })
	if err == nil {
		err = os.NewSyscallError("shutdown", failed)
	}
	return err
}

func (s *socket) Receive() (records []byte, more bool, err error) {
	for {
		n, err := s.whole()
		if err != nil {
			return nil, false, err
		}
		if n > 0 {
			records = append([]byte(nil), s.buf[s.start:s.start+n]...)
			s.start += n
			next, _, err := extent(s.buf[s.start:s.end])
			return records, err == nil && next > 0 && next <= s.end-s.start, nil
		}
		if err := s.read(); err != nil {
			return nil, false, err
		}
	}
}

// whole returns how many bytes of records that are complete can be handed over.
func (s *socket) whole() (n int, err error) {
	for rest := s.buf[s.start:s.end]; n < pieceSize; {
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
	size, _, err := extent(s.buf[s.start:s.end])
	if err != nil {
		return err
	}
	kept := s.buf[s.start:s.end]
	if want := max(size, socketSize); want > len(s.buf) || len(kept) == 0 && len(s.buf) > socketSize {
		s.buf = make([]byte, want)
	}
	s.start, s.end = 0, copy(s.buf, kept)
	m := &s.reading
	m.rest, m.moved, m.failed = s.buf[s.end:], 0, nil
	if err = s.reads.Read(m.step); err == nil {
		err = m.failed
	}
	if s.end += m.moved; m.moved > 0 {
		return nil
	}
	if err == io.EOF && (!s.shut || s.end > 0) {
		return io.ErrUnexpectedEOF
	}
	return err
}
