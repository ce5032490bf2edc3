package wire

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/jabberii/server/jabberd/frame"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/jabberd/wire/plugin"
)

// TestMain lets the test binary be the other process of a hop.
func TestMain(m *testing.M) {
	if path := os.Getenv("WIRE_TEST_ECHO"); path != "" {
		if err := serveEcho(path); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// letter is a walk with a message of 300 bytes.
func letter() *frame.Walk {
	return &frame.Walk{ID: 123456, Origin: 1 << 60, Num: 123456, Settled: 123400, Section: 3, Timeout: 30 * time.Second, Packet: packet.Packet{
		Kind: packet.Normal, To: "ann@example.org/phone", From: "bob@example.org/desk", Name: "message", Type: "chat", ID: "a1b2c3",
		Body: []byte("<body>" + strings.Repeat("hello ", 30) + "</body><active xmlns='http://jabber.org/protocol/chatstates'/>"),
	}}
}

// counter counts records.
type counter struct{ records int }

func (c *counter) OnWalk(*frame.Walk)         { c.records++ }
func (c *counter) OnCommit(*frame.Commit)     { c.records++ }
func (c *counter) OnSettle(*frame.Settlement) { c.records++ }
func (c *counter) OnHost(*frame.HostChange)   { c.records++ }
func (c *counter) OnExplain(*frame.Explain)   { c.records++ }
func (c *counter) Rest(func()) bool           { return true }

// echo claims each walk.
type echo struct {
	counter
	back   *Link
	commit frame.Commit
}

func (e *echo) OnWalk(w *frame.Walk) {
	e.commit.Stops = append(e.commit.Stops[:0], frame.Stop{Walk: w.ID, Link: w.Link + 1, Verdict: packet.Claim})
	e.back.Commit(&e.commit)
}

func (e *echo) Rest(func()) bool {
	e.back.Flush()
	return true
}

type echoServer struct {
	plugin.UnimplementedPluginServer
}

func (echoServer) Link(s grpc.BidiStreamingServer[plugin.Frame, plugin.Frame]) error {
	line, _ := serveStream(s)
	link := newLink(line)
	return link.Run(&echo{back: link})
}

func serveEcho(path string) error {
	listener, err := net.Listen("unix", path)
	if err != nil {
		return err
	}
	bare, err := net.ListenUnix("unix", &net.UnixAddr{Name: path + bareSuffix, Net: "unix"})
	if err != nil {
		return err
	}
	go func() {
		for {
			conn, err := bare.AcceptUnix()
			if err != nil {
				return
			}
			line, err := acceptSocket(conn)
			if err != nil {
				continue
			}
			link := newLink(line)
			go func() { _ = link.Run(&echo{back: link}) }()
		}
	}()
	server := grpc.NewServer(serverOptions()...)
	plugin.RegisterPluginServer(server, echoServer{})
	go func() { // ends with the process that started it
		_, _ = os.Stdin.Read(make([]byte, 1))
		server.Stop()
	}()
	fmt.Println("listening")
	return server.Serve(listener)
}

// The other process listens for bare links next to its socket.
const bareSuffix = "b"

// eachLine runs a test over both kinds of lines.
func eachLine(t *testing.T, test func(t *testing.T, bare bool)) {
	t.Run("grpc", func(t *testing.T) { test(t, false) })
	t.Run("bare", func(t *testing.T) { test(t, true) })
}

// verdicts counts the stops that come back.
type verdicts struct {
	counter
	arrived chan int
}

func (v *verdicts) OnCommit(c *frame.Commit) { v.arrived <- len(c.Stops) }

// hop starts the other process and links to it.
func hop(tb testing.TB, bare bool, to Receiver, env ...string) (link *Link, pid int, ended <-chan error) {
	path := filepath.Join(tb.TempDir(), "s")
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(append(os.Environ(), "WIRE_TEST_ECHO="+path), env...)
	stdin, _ := cmd.StdinPipe()
	stdout, _ := cmd.StdoutPipe()
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	if _, err := stdout.Read(make([]byte, 16)); err != nil {
		tb.Fatal(err)
	}
	dial := func(ctx context.Context, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", path)
	}
	conn, err := grpc.NewClient("passthrough:///plugin", append(dialOptions(dial), grpc.WithTransportCredentials(insecure.NewCredentials()))...)
	if err != nil {
		tb.Fatal(err)
	}
	var line Line
	if bare {
		line, err = dialSocket(context.Background(), path+bareSuffix, cmd.Process.Pid)
	} else {
		line, err = dialStream(context.Background(), conn, &plugin.Plugin_ServiceDesc.Streams[0], plugin.Plugin_Link_FullMethodName)
	}
	if err != nil {
		tb.Fatal(err)
	}
	link = newLink(line)
	end := make(chan error, 1)
	go func() { end <- link.Run(to) }()
	tb.Cleanup(func() {
		link.Cut()
		_ = conn.Close()
		_ = stdin.Close()
		_ = cmd.Wait()
	})
	return link, cmd.Process.Pid, end
}

func TestALinkCarriesAllAndEndsInOrder(t *testing.T) {
	eachLine(t, func(t *testing.T, bare bool) {
		const walks = 20000
		v := &verdicts{arrived: make(chan int, walks)}
		link, _, ended := hop(t, bare, v)
		w := letter()
		for i := range walks {
			w.ID = uint64(i + 1)
			link.Walk(w)
			switch i % 100 {
			case 17:
				link.Flush()
			case 71:
				link.FlushSoon()
			}
		}
		link.Close()
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
		got := 0
		for len(v.arrived) > 0 {
			got += <-v.arrived
		}
		if got != walks {
			t.Errorf("%d verdicts for %d walks", got, walks)
		}
	})
}

func TestALinkCarriesWhatIsLarge(t *testing.T) {
	eachLine(t, func(t *testing.T, bare bool) {
		v := &verdicts{arrived: make(chan int, 100)}
		link, _, _ := hop(t, bare, v)
		w := letter()
		for i, size := range []int{0, 1, 4 << 10, socketSize, 3 << 20, 17, socketSize - 1, 1} {
			w.ID, w.Packet.Body = uint64(i+1), make([]byte, size)
			link.Walk(w)
			link.Flush()
			if n := <-v.arrived; n != 1 {
				t.Fatalf("%d verdicts at once", n)
			}
		}
	})
}

func TestAProcessThatDiesEndsTheLink(t *testing.T) {
	eachLine(t, func(t *testing.T, bare bool) {
		link, pid, ended := hop(t, bare, &counter{})
		link.Walk(letter())
		link.Flush()
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		if err := <-ended; err == nil {
			t.Error("ended without an error")
		}
		link.Walk(letter()) // goes nowhere
		link.Flush()
	})
}

func TestAProcessThatDoesNotReadIsCutOff(t *testing.T) {
	eachLine(t, func(t *testing.T, bare bool) {
		link, pid, ended := hop(t, bare, &counter{})
		if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		defer func() { _ = syscall.Kill(pid, syscall.SIGKILL) }()
		w := letter()
		w.Packet.Body = make([]byte, 1<<20)
		for sent := 0; sent < 4*gatherMax; sent += len(w.Packet.Body) {
			link.Walk(w)
			link.Flush()
		}
		if err := <-ended; err != errStuck {
			t.Errorf("ended with %v", err)
		}
	})
}

// TestABareLineRefusesWhatIsDamaged has one end write what is no record.
func TestABareLineRefusesWhatIsDamaged(t *testing.T) {
	for name, bytes := range map[string]string{
		"another field":      "\x12\x01x",
		"too long":           "\x0a\xff\xff\xff\xff\x7f",
		"an endless length":  "\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
		"the end in between": "\x0a\x05abc",
		"no last record":     "\x0a\x02\x08\x01",
		"an empty line":      "",
	} {
		t.Run(name, func(t *testing.T) {
			fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
			if err != nil {
				t.Fatal(err)
			}
			other := os.NewFile(uintptr(fds[0]), "")
			conn, err := net.FileConn(os.NewFile(uintptr(fds[1]), ""))
			if err != nil {
				t.Fatal(err)
			}
			out, err := unix.Dup(0)
			if err != nil {
				t.Fatal(err)
			}
			line, err := newSocket(conn.(*net.UnixConn), out)
			if err != nil {
				t.Fatal(err)
			}
			_, _ = other.WriteString(bytes)
			_ = other.Close()
			if err := newLink(line).Run(&counter{}); err == nil {
				t.Error("ended without an error")
			}
		})
	}
}

// processorTime returns what a process has used.
func processorTime(b *testing.B, pid int) time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|2), &t); err != nil {
		b.Fatal(err)
	}
	return time.Duration(t.Nano())
}

// BenchmarkHop is a packet's way to another process and its verdict's way back.
// cpu-us is what both processes together use for one. With one packet in flight
// most of it is waking idle processors, which depends on what else the machine
// does, and there is less of it if each process uses one only (the argument
// gomaxprocs of a process block).
func BenchmarkHop(b *testing.B) {
	for line, bare := range map[string]bool{"grpc": false, "bare": true} {
		b.Run(line, func(b *testing.B) {
			for _, window := range []int{1, 16, 256, 1024} {
				b.Run(fmt.Sprintf("window=%d", window), func(b *testing.B) { benchmarkHop(b, bare, window) })
			}
			b.Run("window=1/gomaxprocs=1", func(b *testing.B) {
				defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
				benchmarkHop(b, bare, 1, "GOMAXPROCS=1")
			})
		})
	}
}

func benchmarkHop(b *testing.B, bare bool, window int, env ...string) {
	v := &verdicts{arrived: make(chan int, window)}
	link, pid, _ := hop(b, bare, v, env...)
	w := letter()
	out := 0
	start := processorTime(b, pid) + processorTime(b, os.Getpid())
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		for out >= window || len(v.arrived) > 0 {
			if len(v.arrived) == 0 {
				link.Flush()
			}
			out -= <-v.arrived
		}
		w.ID = uint64(i + 1)
		link.Walk(w)
		out++
	}
	link.Flush()
	for out > 0 {
		out -= <-v.arrived
	}
	used := processorTime(b, pid) + processorTime(b, os.Getpid()) - start
	b.ReportMetric(float64(used.Microseconds())/float64(b.N), "cpu-us/op")
}
