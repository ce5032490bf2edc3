package clients

import (
	"net"
	"sync"
	"sync/atomic"
	"testing"
)

// A Line is a network between clients and a server, and can fail as one.
type Line struct {
	Addr string // where clients connect to

	listener net.Listener
	server   string
	mu       sync.Mutex
	ends     []*lineEnds
	open     sync.WaitGroup
}

// lineEnds is one connection through a line.
type lineEnds struct {
	client, server net.Conn
	dead           atomic.Bool
}

// NewLine makes a line to a server's address.
func NewLine(t testing.TB, server string) *Line {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &Line{Addr: listener.Addr().String(), listener: listener, server: server}
	l.open.Go(l.accept)
	t.Cleanup(func() {
		listener.Close()
		l.Cut()
		l.open.Wait()
	})
	return l
}

// Silence lets all that is sent from now on over the connections of now vanish,
// either way, while both ends believe in them: a network that is gone.
// Connections made later work.
func (l *Line) Silence() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, ends := range l.ends {
		ends.dead.Store(true)
	}
}

// Cut closes the connections of now, at both ends.
func (l *Line) Cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, ends := range l.ends {
		ends.close()
	}
	l.ends = nil
}

func (l *Line) accept() {
	for {
		client, err := l.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", l.server)
		if err != nil {
			client.Close()
			continue
		}
		ends := &lineEnds{client: client, server: server}
		l.mu.Lock()
		l.ends = append(l.ends, ends)
		l.mu.Unlock()
		l.open.Go(func() { ends.carry(client, server) })
		l.open.Go(func() { ends.carry(server, client) })
	}
}

// carry brings what one end says to the other until one closes.
func (e *lineEnds) carry(from, to net.Conn) {
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		if n > 0 && !e.dead.Load() {
			if _, err := to.Write(buffer[:n]); err != nil {
				break
			}
		}
		if err != nil {
			break
		}
	}
	if !e.dead.Load() { // a dead line does not tell that an end is gone
		e.close()
	}
}

func (e *lineEnds) close() {
	e.client.Close()
	e.server.Close()
}
