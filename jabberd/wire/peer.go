package wire

import (
	"context"
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// peer returns who is at the other end of a unix socket. For the end that has
// connected it is the process that listens.
func peer(conn net.Conn) (*unix.Ucred, error) {
	u, ok := conn.(*net.UnixConn)
	if !ok {
		return nil, fmt.Errorf("%s is no unix socket", conn.RemoteAddr().Network())
	}
	raw, err := u.SyscallConn()
	if err != nil {
		return nil, err
	}
	var cred *unix.Ucred
	var sockErr error
	if err := raw.Control(func(fd uintptr) { cred, sockErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) }); err != nil {
		return nil, err
	}
	return cred, sockErr
}

// A PeerError says that somebody else is at the other end of a socket.
type PeerError struct {
	Path string
	UID  uint32 // whose process it is
	PID  int32
}

// Error says who it is.
func (e *PeerError) Error() string {
	return fmt.Sprintf("%s belongs to process %d of user %d, which is not the one that was started", e.Path, e.PID, e.UID)
}

// dialPeer connects to the process pid, or to any process if pid is 0. It has to
// be this user's, or, if this user is root and has started it as another, that one's.
func dialPeer(ctx context.Context, path string, pid int) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "unix", path)
	if err != nil {
		return nil, err
	}
	cred, err := peer(conn)
	ours := err == nil && (cred.Uid == uint32(os.Getuid()) || os.Getuid() == 0 && pid != 0)
	if err == nil && (!ours || pid != 0 && cred.Pid != int32(pid)) {
		err = &PeerError{Path: path, UID: cred.Uid, PID: cred.Pid}
	}
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	return conn, nil
}

// A private listener accepts connections of processes of this user only, and
// of root: a process that was confined to this user belongs to a core of root.
type private struct{ *net.UnixListener }

// Listen listens on a unix socket that only processes of this user and of root
// can connect to; another's connection is closed without a word. The folder of
// path should be closed to others too.
func Listen(path string) (net.Listener, error) {
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o600); err != nil {
		_ = l.Close()
		return nil, err
	}
	return private{l}, nil
}

// Accept implements net.Listener.
func (p private) Accept() (net.Conn, error) {
	for {
		conn, err := p.UnixListener.Accept()
		if err != nil {
			return nil, err
		}
		if cred, err := peer(conn); err == nil && (cred.Uid == uint32(os.Getuid()) || cred.Uid == 0) {
			return conn, nil
		}
		_ = conn.Close()
	}
}
