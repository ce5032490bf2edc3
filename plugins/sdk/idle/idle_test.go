package idle_test

import (
	"errors"
	"net"
	"syscall"
	"testing"

	"github.com/jabberii/server/plugins/sdk/idle"
)

// sleeper counts how often it is woken.
type sleeper chan struct{}

func (s sleeper) Wake() { s <- struct{}{} }

func newLot(t *testing.T) *idle.Lot {
	t.Helper()
	l, err := idle.NewLot()
	if errors.Is(err, errors.ErrUnsupported) {
		t.Skip("this system cannot watch parked connections")
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// pair returns both ends of a TCP connection.
func pair(t *testing.T) (ours *net.TCPConn, theirs net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if theirs, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(); theirs.Close() })
	return c.(*net.TCPConn), theirs
}

func park(t *testing.T, l *idle.Lot, c *net.TCPConn, s sleeper) {
	t.Helper()
	if err := l.Park(c, s); err != nil {
		t.Fatal(err)
	}
}

func TestASleeperIsWokenOnceForWhatComes(t *testing.T) {
	l := newLot(t)
	ours, theirs := pair(t)
	woken := make(sleeper, 10)
	buf := make([]byte, 10)
	for round := range 3 {
		park(t, l, ours, woken)
		theirs.Write([]byte("a"))
		<-woken
		theirs.Write([]byte("b")) // nobody is parked
		for n := 0; n < 2; {
			k, err := ours.Read(buf)
			if err != nil {
				t.Fatal(round, err)
			}
			n += k
		}
	}
	if n := len(woken); n != 0 {
		t.Errorf("woken %d times more", n)
	}
}

func TestWhatCameBeforeParkingWakes(t *testing.T) {
	l := newLot(t)
	ours, theirs := pair(t)
	theirs.Write([]byte("early"))
	if _, err := ours.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	woken := make(sleeper, 1)
	park(t, l, ours, woken)
	<-woken
}

func TestTheEndOfAConnectionWakes(t *testing.T) {
	l := newLot(t)
	ours, theirs := pair(t)
	woken := make(sleeper, 1)
	park(t, l, ours, woken)
	theirs.Close()
	<-woken
}

func TestAClosedConnectionCannotBeParked(t *testing.T) {
	l := newLot(t)
	ours, _ := pair(t)
	ours.Close()
	if err := l.Park(ours, make(sleeper, 1)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Park: %v, want %v", err, net.ErrClosed)
	}
}

// A descriptor is used again when its connection is closed.
func TestAnotherConnectionOnTheSameDescriptor(t *testing.T) {
	l := newLot(t)
	first, _ := pair(t)
	early := make(sleeper, 1)
	park(t, l, first, early)
	fd := descriptor(t, first)
	l.Leave(first, early)
	first.Close()

	var ours *net.TCPConn
	var theirs net.Conn
	for range 100 {
		ours, theirs = pair(t)
		if descriptor(t, ours) == fd {
			break
		}
	}
	woken := make(sleeper, 1)
	park(t, l, ours, woken)
	theirs.Write([]byte("hello"))
	<-woken
	if len(early) != 0 {
		t.Error("the first connection was woken by what came on the second")
	}
}

func descriptor(t *testing.T, c syscall.Conn) (fd int) {
	t.Helper()
	raw, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if err := raw.Control(func(d uintptr) { fd = int(d) }); err != nil {
		t.Fatal(err)
	}
	return fd
}

func TestManySleepers(t *testing.T) {
	l := newLot(t)
	const many = 300 // more than the events of one look
	woken := make(sleeper, many)
	var peers []net.Conn
	for range many {
		ours, theirs := pair(t)
		park(t, l, ours, woken)
		peers = append(peers, theirs)
	}
	for _, p := range peers {
		p.Write([]byte("x"))
	}
	for range many {
		<-woken
	}
}

func BenchmarkParkAndWake(b *testing.B) {
	l, err := idle.NewLot()
	if err != nil {
		b.Skip(err)
	}
	defer l.Close()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer ln.Close()
	theirs, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	defer theirs.Close()
	ours, err := ln.Accept()
	if err != nil {
		b.Fatal(err)
	}
	defer ours.Close()
	woken, buf := make(sleeper, 1), make([]byte, 1)
	for b.Loop() {
		if err := l.Park(ours.(*net.TCPConn), woken); err != nil {
			b.Fatal(err)
		}
		theirs.Write(buf)
		<-woken
		ours.Read(buf)
	}
}
