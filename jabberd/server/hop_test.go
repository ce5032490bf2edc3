package server_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/jabberd/server"
	"github.com/jabberii/server/jabberd/wire"
)

// A drive is what connections are in a real server: sources of session packets,
// and the sink of what comes back. It does as it is told over a socket.
type drive struct {
	env      module.Env
	listener net.Listener
	socket   string
	body     []byte
	drivers  []driver
}

// A driver is one connection of a drive.
type driver struct {
	source module.Source
	token  packet.Token
	free   chan struct{} // one for each packet that may be under way
	seen   atomic.Uint64 // number of the last packet that came back
}

type driveArgs struct {
	Socket string `json:"socket"`
}

func newDrive(env module.Env, a driveArgs) (packet.Handler, error) {
	return &drive{env: env, socket: a.Socket, body: []byte("<body>" + strings.Repeat("x", 87) + "</body>")}, nil
}

// Start listens.
func (d *drive) Start(context.Context) (err error) {
	d.listener, err = net.Listen("unix", d.socket)
	return err
}

// Handle takes what came back.
func (d *drive) Handle(_ context.Context, p *packet.Packet) (packet.Verdict, error) {
	c := &d.drivers[p.Far.Slot]
	if p.Seq != c.seen.Add(1) {
		panic(fmt.Sprintf("packet %d came back as number %d", p.Seq, c.seen.Load()))
	}
	c.free <- struct{}{}
	return packet.Claim, nil
}

// Run does as it is told: CONNECTIONS WINDOW COUNT HOST BACK.
func (d *drive) Run(ctx context.Context) error {
	defer context.AfterFunc(ctx, func() { _ = d.listener.Close() })()
	for {
		conn, err := d.listener.Accept()
		if err != nil {
			return nil
		}
		for orders := bufio.NewScanner(conn); orders.Scan(); {
			var connections, window, count int
			var host string
			var back bool
			if _, err := fmt.Sscan(orders.Text(), &connections, &window, &count, &host, &back); err != nil {
				return err
			}
			d.traffic(ctx, connections, window, count, host, back)
			fmt.Fprintln(conn, "done")
		}
	}
}

func (d *drive) traffic(ctx context.Context, connections, window, count int, host string, back bool) {
	d.drivers = make([]driver, connections)
	var running sync.WaitGroup
	for i := range d.drivers {
		c := &d.drivers[i]
		c.free = make(chan struct{}, window)
		for range window {
			c.free <- struct{}{}
		}
		c.token = packet.Token{Host: d.env.Section(), Section: d.env.Section(), Slot: uint32(i), Incarnation: 1}
		settled := func(o []packet.Outcome) {
			for range o {
				c.free <- struct{}{}
			}
		}
		if back {
			settled = nil
		}
		c.source = d.env.Source(module.SourceConfig{Window: 2 * window, Own: true, Batch: true, Settled: settled})
		running.Go(func() {
			p := packet.Packet{
				Kind: packet.Session, Host: host, From: fmt.Sprintf("user%d@example.org/phone", i), To: fmt.Sprintf("user%d@example.org/laptop", i+1),
				Name: "message", Type: "chat", ID: "purple1234", Near: c.token, Far: packet.Token{Host: host, Section: host, Slot: uint32(i), Incarnation: 1}, Body: d.body,
			}
			for n := range count / connections {
				if len(c.free) == 0 {
					c.source.Flush()
				}
				<-c.free
				p.Seq = uint64(n + 1)
				if err := c.source.Deliver(ctx, &p, p.Seq); err != nil {
					return
				}
			}
			c.source.Flush()
			for range window {
				<-c.free
			}
			c.source.Close()
		})
	}
	running.Wait()
}

// A turn is what the session manager is: what comes up becomes a stanza to
// another address, and that goes down. Stanzas to "nobody" are claimed at once.
type turn struct{ env module.Env }

func newTurn(env module.Env, _ struct{}) (packet.Handler, error) { return turn{env}, nil }

func (t turn) Handle(ctx context.Context, p *packet.Packet) (packet.Verdict, error) {
	q := *p
	switch {
	case p.Host == "nobody":
		return packet.Claim, nil
	case p.Kind == packet.Session:
		q.Kind, q.Host = packet.Normal, "example.org"
	default:
		q.Kind, q.Flags, q.Host, q.Section, q.Near, q.Far = packet.Session, packet.Down, p.Near.Host, p.Near.Section, p.Far, p.Near
	}
	return packet.Claim, t.env.Deliver(ctx, &q)
}

// A lab is a server with a drive and a turn, and the order of traffic.
type lab struct {
	tb      testing.TB
	conn    net.Conn
	replies *bufio.Reader
	core    int
	pids    []int
}

// newLab has the two in processes with these names; the same name is the same
// process.
func newLab(tb testing.TB, drive, turn string, env ...string) *lab {
	tb.Helper()
	dir, err := os.MkdirTemp("", "jd")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = os.RemoveAll(dir) })
	programs, errs := server.Describe(context.Background(), []wire.Program{program(env...)})
	if len(errs) > 0 {
		tb.Fatal(errs)
	}
	socket := filepath.Join(dir, "drive")
	hosts := func(names ...string) (links []module.Link) {
		for _, n := range names {
			l := attach(n)
			l.Process = turn
			links = append(links, l)
		}
		return links
	}
	service := module.On(packet.Normal, packet.Session)
	s, err := server.Start(context.Background(), server.Plan{Programs: programs, Data: filepath.Join(dir, "d"), Sections: []module.Section{
		{ID: "c2s", Kinds: module.On(packet.Session), Chain: []module.Link{link("drive", drive, driveArgs{socket})}},
		{ID: "users", Kinds: service, Chain: append(hosts("example.org", "nobody"), link("turn", turn, struct{}{}))},
	}})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = s.Stop(context.Background()) })
	l := &lab{tb: tb, core: os.Getpid(), pids: []int{os.Getpid()}}
	for _, p := range s.Status().Processes {
		l.pids = append(l.pids, p.PID)
	}
	if l.conn, err = net.Dial("unix", socket); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = l.conn.Close() })
	l.replies = bufio.NewReader(l.conn)
	return l
}

// traffic has packets make their way, and returns when they have.
func (l *lab) traffic(connections, window, count int, host string, back bool) {
	fmt.Fprintln(l.conn, connections, window, count, host, back)
	if _, err := l.replies.ReadString('\n'); err != nil {
		l.tb.Fatal(err)
	}
}

// switches returns how often the threads of processes have waited.
func switches(pids []int) (n int) {
	for _, pid := range pids {
		tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
		for _, t := range tasks {
			b, _ := os.ReadFile(t)
			if _, rest, ok := bytes.Cut(b, []byte("\nvoluntary_ctxt_switches:")); ok {
				var m int
				_, _ = fmt.Sscan(string(rest), &m)
				n += m
			}
		}
	}
	return n
}

// BenchmarkPath is the way of a message through a server's processes, with all
// that the engine does on it and nothing else. "hop": from a source to a
// handler in another process, and its outcome back. "chat": from a connection
// (process a) to the session manager (b), where it is a stanza to another
// address, and down to a connection.
//
// cpu-us is what all processes use for one message, core-us what the core does
// of it, waits how often a thread of any of them has waited.
func BenchmarkPath(b *testing.B) {
	for _, place := range []struct{ name, drive, turn string }{{"two processes", "a", "b"}, {"one process", "a", "a"}} {
		for _, way := range []struct {
			name, host string
			back       bool
		}{{"hop", "nobody", false}, {"chat", "example.org", true}} {
			for _, load := range []struct {
				name                string
				connections, window int
			}{{"256 in flight", 16, 16}, {"10 in flight", 10, 1}, {"1 in flight", 1, 1}} {
				b.Run(place.name+"/"+way.name+"/"+load.name, func(b *testing.B) {
					l := newLab(b, place.drive, place.turn, settings()...)
					l.traffic(load.connections, load.window, 1000, way.host, way.back)
					b.ResetTimer()
					all, core, waits := processorTime(b, l.pids), processorTime(b, l.pids[:1]), switches(l.pids)
					l.traffic(load.connections, load.window, max(b.N, load.connections), way.host, way.back)
					per := func(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1000 / float64(b.N) }
					b.ReportMetric(per(processorTime(b, l.pids)-all), "cpu-us/op")
					b.ReportMetric(per(processorTime(b, l.pids[:1])-core), "core-us/op")
					b.ReportMetric(float64(switches(l.pids)-waits)/float64(b.N), "waits/op")
					b.StopTimer()
				})
			}
		}
	}
}

// settings are variables for the processes, such as "GOGC=400 GOMAXPROCS=1".
func settings() []string { return strings.Fields(os.Getenv("PATH_SETTINGS")) }
