package peer

import (
	"net"
	"sync/atomic"
	"time"
)

const (
	writeTimeout = 30 * time.Second // for one write
	lingerTime   = 2 * time.Second  // for a peer to notice the end of its stream
)

// A Conn is a connection that knows when it last heard something. Every write
// to it has a deadline.
type Conn struct {
	net.Conn
	heard atomic.Int64 // in ns since 1970
	hurry atomic.Bool
}

// NewConn wraps a connection. On TCP it turns keepalive on.
func NewConn(c net.Conn) *Conn {
	if t, ok := c.(*net.TCPConn); ok {
		// One that fails is closed anyway: reading says why.
		_ = t.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: 15 * time.Second, Interval: 15 * time.Second, Count: 4})
		boundUnsent(t)
	}
	conn := &Conn{Conn: c}
	conn.heard.Store(time.Now().UnixNano())
	return conn
}

// Read reads from the connection.
func (c *Conn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 0 {
		c.heard.Store(time.Now().UnixNano())
	}
	return n, err
}

// Write writes to the connection, within 30 seconds.
func (c *Conn) Write(b []byte) (int, error) {
	limit := writeTimeout
	if c.hurry.Load() {
		limit = lingerTime
	}
	if err := c.SetWriteDeadline(time.Now().Add(limit)); err != nil {
		return 0, err
	}
	return c.Conn.Write(b)
}

// hasten has a peer that seems to be dead wait for no longer.
func (c *Conn) hasten() {
	c.hurry.Store(true)
	_ = c.SetWriteDeadline(time.Now().Add(lingerTime))
}

// finish says that nothing more will be written, and gives the peer a moment to
// read what was: closing at once could take it from it.
func (c *Conn) finish() {
	if t, ok := c.Conn.(interface{ CloseWrite() error }); ok && t.CloseWrite() == nil {
		_ = c.SetReadDeadline(time.Now().Add(lingerTime))
		return
	}
	_ = c.Close()
}

// lastHeard is when the connection last heard something.
func (c *Conn) lastHeard() time.Time { return time.Unix(0, c.heard.Load()) }
