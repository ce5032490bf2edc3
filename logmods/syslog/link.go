package syslog

import (
	"context"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"
)

const (
	dialTime  = 2 * time.Second
	writeTime = 2 * time.Second
	redial    = 5 * time.Second // after an attempt that failed
)

// A link is the connection to a daemon. It is made when it is needed. It is for
// one goroutine at a time.
type link struct {
	network, address string

	conn   net.Conn
	failed error // why there is none
	retry  time.Time
}

// send writes a message, on a new connection if the old one is gone.
func (l *link) send(ctx context.Context, message []byte) error {
	if l.network == "tcp" {
		message = append(strconv.AppendInt(nil, int64(len(message)), 10), append([]byte{' '}, message...)...)
	}
	if l.conn != nil {
		if err := l.write(ctx, message); err == nil {
			return nil
		}
	}
	if now := time.Now(); now.Before(l.retry) {
		return l.failed
	}
	if err := l.dial(ctx); err != nil {
		l.failed, l.retry = err, time.Now().Add(redial)
		return err
	}
	return l.write(ctx, message)
}

func (l *link) dial(ctx context.Context) error {
	network := l.network
	if network == "unix" {
		network = "unixgram"
	}
	dialer := net.Dialer{Timeout: dialTime}
	conn, err := dialer.DialContext(ctx, network, l.address)
	if err != nil {
		return err
	}
	l.conn = conn
	if network == "tcp" {
		go closeWithPeer(conn)
	}
	return nil
}

// closeWithPeer closes a connection when its other end does. A daemon never
// says anything; without this the first message to one that is gone would
// seem to be written.
func closeWithPeer(conn net.Conn) {
	io.Copy(io.Discard, conn)
	conn.Close()
}

// write closes the connection if it fails, since a message may be half written.
func (l *link) write(ctx context.Context, message []byte) error {
	until := time.Now().Add(writeTime)
	if deadline, ok := ctx.Deadline(); ok && deadline.Before(until) {
		until = deadline
	}
	err := l.conn.SetWriteDeadline(until)
	if err == nil {
		_, err = l.conn.Write(message)
	}
	if err != nil {
		l.close()
		return fmt.Errorf("write to %s: %w", l.address, err)
	}
	return nil
}

func (l *link) close() error {
	if l.conn == nil {
		return nil
	}
	err := l.conn.Close()
	l.conn = nil
	return err
}

// hasPort reports whether an address is host:port.
func hasPort(address string) bool {
	_, port, err := net.SplitHostPort(address)
	return err == nil && port != ""
}
