package e2e_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jabberii/server/jabberd/server"
	"github.com/jabberii/server/plugins/sdk/account"
	"github.com/jabberii/server/plugins/sdk/xdb"
	"github.com/jabberii/server/plugins/xmpp/jid"
	"github.com/jabberii/server/plugins/xmpp/session"
	"github.com/jabberii/server/plugins/xmpp/stanza"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

const (
	pairs    = 50
	messages = 200 // from each sender to its receiver
	ahead    = 8   // that it may be ahead of the receiver
)

// TestDeathOfEachProcess has pairs of clients with stream management exchange
// numbered messages while each process is killed in turn (kill -9). In the
// default file c2s and sm are one process, plugins, and the core takes all with
// it.
func TestDeathOfEachProcess(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIP: it takes a minute")
	}
	for _, c := range []struct {
		file, victim string
		connects     bool // the connections go on
	}{
		{"edge", "sm", true}, {"edge", "xdb", true}, {"edge", "logmods", true}, {"edge", "core", true}, {"edge", "edge", false},
		{"jabberd", "plugins", false}, {"jabberd", "xdb", true}, {"jabberd", "logmods", true}, {"jabberd", "basemods", true}, {"jabberd", "core", false},
	} {
		t.Run(c.file+"/"+c.victim, func(t *testing.T) {
			r := start(t, "conf/"+c.file+".hcl", nil)
			p := r.pairs(pairs)
			half := make(chan struct{})
			var once sync.Once
			p.progress = func(received int64) {
				if received > pairs*messages/3 {
					once.Do(func() { close(half) })
				}
			}
			go func() {
				<-half
				r.kill(c.victim)
			}()
			p.run()
			t.Logf("figure: conf/%s.hcl, kill -9 of %s, %d pairs, %d messages: %d lost, %d repeated, %d out of order, %d connections resumed, the last after %v",
				c.file, c.victim, pairs, pairs*messages, p.lost(), p.repeated.Load(), p.disordered.Load(), p.resumed.Load(), time.Duration(p.longest.Load()).Round(time.Millisecond))
			if p.longest.Load() > int64(20*time.Second) {
				t.Logf("what clients were told meanwhile:\n%s\nwhat the server says:\n%s", p.complaints(), r.said())
			}
			if p.lost() != 0 || p.repeated.Load() != 0 || p.disordered.Load() != 0 {
				t.Errorf("messages were lost, repeated or out of order:\n%s", p.complaints())
			}
			if c.connects && p.resumed.Load() != 0 {
				t.Errorf("%d connections were cut", p.resumed.Load())
			}
			if !c.connects && p.resumed.Load() == 0 {
				t.Error("no connection was cut")
			}
		})
	}
}

// kill ends a process as kill -9 does. The core is started again, as whatever
// looks after it would; the core does that for the others.
func (r *running) kill(name string) {
	if name == "core" {
		r.cmd.Process.Kill()
		<-r.ended
		r.launch()
		return
	}
	r.await("a process "+name+" to kill", func() bool {
		for _, p := range r.status().Processes {
			if p.Name == name && p.PID > 0 {
				return syscall.Kill(p.PID, syscall.SIGKILL) == nil // it may just have died of the kill before
			}
		}
		return false
	})
}

// A traffic is pairs of clients that exchange numbered messages.
type traffic struct {
	t        *testing.T
	r        *running
	links    []*link
	progress func(received int64)
	all      chan struct{} // closed when everything has come

	received, repeated, disordered, resumed atomic.Int64
	longest                                 atomic.Int64 // ns that a client was without its session
	mu                                      sync.Mutex
	wrong                                   []string
}

// A link is one sender and its receiver.
type link struct {
	n        int
	from, to *session.Session
	last     atomic.Int64  // received last
	more     chan struct{} // something was received
	again    chan struct{} // the sender's session was taken up again
}

func (r *running) pairs(n int) *traffic {
	x := &traffic{t: r.t, r: r, progress: func(int64) {}, all: make(chan struct{})}
	store := xdb.New(server.Dial(filepath.Join(r.data, server.SocketName)), "test")
	var wg sync.WaitGroup
	x.links = make([]*link, n)
	for i := range n {
		from, to := fmt.Sprintf("s%d@localhost", i), fmt.Sprintf("r%d@localhost", i)
		for _, address := range []string{from, to} {
			if err := account.Add(context.Background(), store, address, "pw-"+address); err != nil {
				r.t.Fatal(err)
			}
		}
		wg.Go(func() {
			x.links[i] = &link{n: i, from: x.login(from), to: x.login(to), more: make(chan struct{}, 1), again: make(chan struct{}, 1)}
		})
	}
	wg.Wait()
	return x
}

func (x *traffic) login(address string) *session.Session {
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	conn := reach(ctx, x.r.vars["c2s_port"])
	if conn == nil {
		x.t.Fatal(ctx.Err())
	}
	s, err := session.Client(ctx, conn, session.Account{Address: jid.MustParse(address), Password: "pw-" + address, TLS: &tls.Config{InsecureSkipVerify: true}})
	if err != nil {
		x.t.Fatalf("login %s: %v", address, err)
	}
	if !s.Resumable() {
		x.t.Fatal("the server does not keep sessions")
	}
	if err := s.Presence(ctx, ""); err != nil {
		x.t.Fatal(err)
	}
	return s
}

// run sends and receives everything.
func (x *traffic) run() { x.runWith(x.receive) }

// runWith is run with receivers of another kind.
func (x *traffic) runWith(receive func(context.Context, *link)) {
	ctx, cancel := context.WithTimeout(context.Background(), 90*time.Second)
	defer cancel()
	var wg sync.WaitGroup
	for _, l := range x.links {
		wg.Go(func() { x.send(ctx, l) })
		wg.Go(func() { receive(ctx, l) })
		wg.Go(func() { x.drain(ctx, l) })
	}
	select {
	case <-x.all:
	case <-ctx.Done():
	}
	cancel()
	wg.Wait()
}

func (x *traffic) send(ctx context.Context, l *link) {
	to := l.to.Local()
	for i := int64(1); i <= messages; i++ {
		for i-l.last.Load() > ahead {
			select {
			case <-l.more:
			case <-ctx.Done():
				return
			}
		}
		m := stanza.Stanza{Name: stanza.Message, Type: "chat", ID: strconv.FormatInt(i, 10), To: to, Body: []byte("<body>" + strconv.FormatInt(i, 10) + "</body>")}
		for l.from.Send(ctx, m) != nil && ctx.Err() == nil {
			select {
			case <-l.again: // drain has taken the session up again
			case <-ctx.Done():
			}
		}
	}
}

// drain reads what comes to a sender, and takes its session up again.
func (x *traffic) drain(ctx context.Context, l *link) {
	for ctx.Err() == nil {
		m, err := l.from.Receive(ctx)
		switch {
		case err != nil && ctx.Err() == nil:
			x.resume(ctx, l.from, err)
			signal(l.again)
		case m.Type == "error":
			x.complain("a sender got %s", m.Body)
		}
	}
}

func (x *traffic) receive(ctx context.Context, l *link) {
	for ctx.Err() == nil {
		m, err := l.to.Receive(ctx)
		if err != nil {
			if ctx.Err() == nil {
				x.resume(ctx, l.to, err)
			}
			continue
		}
		if m.Name != stanza.Message {
			continue
		}
		body, _ := xml.Find(m.Body, "jabber:client", "body", "jabber:client")
		n, _ := strconv.ParseInt(body.Text(), 10, 64)
		switch last := l.last.Load(); {
		case n == last+1:
			l.last.Store(n)
			total := x.received.Add(1)
			if x.progress(total); total == int64(len(x.links)*messages) {
				close(x.all)
			}
			signal(l.more)
		case n <= last:
			x.repeated.Add(1)
			x.complain("pair %d: %d came after %d", l.n, n, last)
		default:
			x.disordered.Add(1)
			x.complain("pair %d: %d came after %d", l.n, n, last)
			l.last.Store(n)
		}
	}
}

// signal says that something has happened since somebody last looked.
func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// resume takes a session up again on a new connection, when the server is back.
func (x *traffic) resume(ctx context.Context, s *session.Session, why error) {
	began := time.Now()
	for ctx.Err() == nil {
		conn := reach(ctx, x.r.vars["c2s_port"])
		if conn == nil {
			return
		}
		err := s.Resume(ctx, conn)
		if err == nil {
			x.resumed.Add(1)
			x.took(time.Since(began))
			return
		}
		x.complain("%s: lost for %v, not resumed after %v: %v", s.Local(), why, time.Since(began), err)
		if errors.Is(err, session.ErrNotResumed) || errors.Is(err, session.ErrNotResumable) {
			<-ctx.Done()
			return
		}
	}
}

func (x *traffic) took(d time.Duration) {
	for longest := x.longest.Load(); int64(d) > longest; longest = x.longest.Load() {
		if x.longest.CompareAndSwap(longest, int64(d)) {
			return
		}
	}
}

func (x *traffic) lost() int64 { return int64(len(x.links)*messages) - x.received.Load() }

func (x *traffic) complain(format string, args ...any) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if len(x.wrong) < 20 {
		x.wrong = append(x.wrong, fmt.Sprintf(format, args...))
	}
}

func (x *traffic) complaints() string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return strings.Join(x.wrong, "\n")
}
