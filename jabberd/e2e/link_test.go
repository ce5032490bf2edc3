package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jabberii/server/jabberd/e2e/clients"
	"github.com/jabberii/server/plugins/sdk/sdktest"
	"github.com/jabberii/server/plugins/xmpp/component"
	"github.com/jabberii/server/plugins/xmpp/jid"
	"github.com/jabberii/server/plugins/xmpp/session"
	"github.com/jabberii/server/plugins/xmpp/stanza"
)

const linkSecret = "the secret of both servers"

// TestLink has a user of one server chat with a component of another.
func TestLink(t *testing.T) {
	everyIsolation(t, func(t *testing.T, vars map[string]string) {
		t.Setenv("LINK_SECRET", linkSecret)
		t.Setenv("ECHO_SECRET", "one")
		a := sdktest.NewAuthority(t)
		cert, key := a.Issue("localhost")
		far := start(t, "conf/link-services.hcl", map[string]string{"isolation": vars["isolation"], "link_certificate": cert, "link_key": key})
		echo := clients.Component(t, clients.ComponentLogin{Addr: "127.0.0.1:" + far.vars["echo_port"], Host: "echo.localhost", Secret: "one"})
		near := start(t, "conf/link-users.hcl", map[string]string{
			"isolation": vars["isolation"], "link_ca": a.File, "link_to": "localhost:" + far.vars["link_port"],
			"c2s_port": freePort(t), "c2s_tls_port": freePort(t),
		})
		ann := clients.Slixmpp(t, near.user("ann@localhost"))
		ann.Presence(clients.Presence{})
		ann.Message("x@echo.localhost", "are you there?")
		heard := echo.AwaitMessage("ann@localhost", "are you there?")
		echo.MessageFrom("x@echo.localhost", heard.From, "I am")
		ann.AwaitMessage("x@echo.localhost", "I am")
		if out := near.must("explain", "--from", "ann@localhost", "--to", "x@echo.localhost"); !strings.Contains(out, "whose verdict counts") {
			t.Errorf("explained as\n%s", out)
		}
	})
}

// TestLinkRefusals: what does not fit is said on both sides, with the address.
func TestLinkRefusals(t *testing.T) {
	a, other := sdktest.NewAuthority(t), sdktest.NewAuthority(t)
	cert, key := a.Issue("localhost")
	t.Setenv("LINK_SECRET", linkSecret)
	t.Setenv("ECHO_SECRET", "one")
	vars := map[string]string{"isolation": "none", "link_certificate": cert, "link_key": key}
	far := start(t, "conf/link-services.hcl", vars)
	near := func(secret, ca string) *running {
		t.Setenv("LINK_SECRET", secret)
		return start(t, "conf/link-users.hcl", map[string]string{
			"isolation": "none", "link_ca": ca, "link_to": "localhost:" + far.vars["link_port"], "c2s_port": freePort(t), "c2s_tls_port": freePort(t),
		})
	}
	says := func(r *running, text ...string) {
		t.Helper()
		r.await(strings.Join(text, ", "), func() bool {
			for line := range strings.Lines(r.said()) {
				all := true
				for _, x := range text {
					all = all && strings.Contains(line, x)
				}
				if all {
					return true
				}
			}
			return false
		})
	}
	wrongSecret := near("another secret of theirs", a.File)
	says(wrongSecret, "link with localhost:"+far.vars["link_port"]+": the other server refuses: the secret is not the same on both servers")
	says(far, "refused a server: the secret is not the same on both servers", "address")
	wrongCA := near(linkSecret, other.File)
	says(wrongCA, "link with localhost:"+far.vars["link_port"], "certificate signed by unknown authority")
	says(far, "refused a server: TLS: remote error: tls: ")
}

// said is all that a server has logged, to its output or to its file.
func (r *running) said() string {
	files, _ := filepath.Glob(filepath.Join(r.data, "log", "*.log"))
	all := r.output.String()
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			r.t.Fatal(err)
		}
		all += string(text)
	}
	return all
}

// A span is two linked servers: the component source on the near one sends numbered
// messages to the component sink on the far one.
type span struct {
	t            *testing.T
	near, far    *running
	cutter       *cutter
	source, sink *session.Session

	mu                           sync.Mutex
	last                         map[string]int
	got, repeated, wrong, errors int
	all, half                    chan struct{}
}

const (
	linkSenders = 20
	linkNumbers = 500 // from each
)

func newSpan(t *testing.T, isolation string) *span {
	t.Helper()
	a := sdktest.NewAuthority(t)
	cert, key := a.Issue("localhost")
	s := &span{t: t, last: map[string]int{}, all: make(chan struct{}), half: make(chan struct{})}
	s.far = start(t, "jabberd/e2e/testdata/link-far.hcl", map[string]string{
		"isolation": isolation, "link_cert": cert, "link_key": key, "component_port": freePort(t), "link_port": freePort(t)})
	s.cutter = newCutter(t, "127.0.0.1:"+s.far.vars["link_port"])
	s.near = start(t, "jabberd/e2e/testdata/link-near.hcl", map[string]string{
		"isolation": isolation, "link_ca": a.File, "component_port": freePort(t), "link_to": s.cutter.address()})
	s.sink = s.component(s.far, "sink.localhost", "two")
	s.source = s.component(s.near, "source.localhost", "one")
	return s
}

func (s *span) component(r *running, host, secret string) *session.Session {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", "127.0.0.1:"+r.vars["component_port"])
	if err != nil {
		s.t.Fatal(err)
	}
	c, err := component.Open(ctx, conn, component.Config{Name: jid.MustParse(host), Secret: secret})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(c.Drop)
	return c
}

// run sends everything and waits until all has come, or 90 seconds.
func (s *span) run() {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 90*time.Second)
	defer cancel()
	var wg sync.WaitGroup
	wg.Go(func() { s.receive(ctx) })
	wg.Go(func() { s.errorsOf(ctx) })
	wg.Go(func() {
		pace := time.NewTicker(2 * time.Millisecond) // so that there is traffic while harm is done
		defer pace.Stop()
		for i := 1; i <= linkNumbers; i++ {
			<-pace.C
			for from := range linkSenders {
				m := fmt.Sprintf("<message from='%d@source.localhost' to='x@sink.localhost' id='%d'><body>%d</body></message>", from, i, i)
				if err := s.source.Write(ctx, []byte(m)); err != nil {
					s.t.Errorf("source: %v", err)
					return
				}
			}
		}
	})
	select {
	case <-s.all:
	case <-ctx.Done():
	}
	// A ping behind all is answered when all has ended, so that what comes twice has come.
	s.settle(ctx)
	cancel()
	wg.Wait()
}

// settle waits until the far side has handled what the near one may have sent twice.
func (s *span) settle(ctx context.Context) {
	for range linkSenders {
		_ = s.source.Write(ctx, []byte("<message from='0@source.localhost' to='x@sink.localhost' id='last'/>"))
	}
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		s.mu.Lock()
		done := s.last["last"] >= linkSenders
		s.mu.Unlock()
		if done {
			return
		}
	}
}

func (s *span) receive(ctx context.Context) {
	for {
		m, err := s.sink.Receive(ctx)
		if err != nil {
			if ctx.Err() == nil {
				s.t.Errorf("sink: %v", err)
			}
			return
		}
		if m.Name == stanza.Message {
			s.count(m)
		}
	}
}

func (s *span) count(m stanza.Stanza) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if m.ID == "last" {
		s.last["last"]++
		return
	}
	from := m.From.String()
	switch n, _ := strconv.Atoi(m.ID); {
	case n == s.last[from]+1:
		s.last[from] = n
		s.got++
	case n <= s.last[from]:
		s.repeated++
	default:
		s.wrong++
		s.last[from] = n
	}
	switch s.got {
	case linkSenders * linkNumbers / 3:
		select {
		case <-s.half:
		default:
			close(s.half)
		}
	case linkSenders * linkNumbers:
		select {
		case <-s.all:
		default:
			close(s.all)
		}
	}
}

// errorsOf counts what comes back to the source.
func (s *span) errorsOf(ctx context.Context) {
	for {
		m, err := s.source.Receive(ctx)
		if err != nil {
			return
		}
		if m.Type == stanza.TypeError {
			s.mu.Lock()
			if s.errors++; s.errors == 1 {
				s.t.Logf("an error came back: %s", m.Body)
			}
			s.mu.Unlock()
		}
	}
}

// TestLinkUnderTraffic cuts the connection, and kills processes, while 10,000
// numbered messages cross.
func TestLinkUnderTraffic(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIP: it takes a minute")
	}
	for _, c := range []struct {
		name, isolation string
		harm            func(*span) (do func())
		repeats         int // at most
	}{
		{"the connection is cut", "process", cuts, 0},
		{"the connection is cut, in one process", "none", cuts, 0},
		{"kill -9 of the link, near", "process", func(s *span) func() { return s.near.victim("link") }, 0},
		{"kill -9 of the core, near", "process", func(s *span) func() { return func() { s.near.kill("core") } }, 0},
		{"kill -9 of the core, far", "process", func(s *span) func() { return func() { s.far.kill("core") } }, 0},
		{"kill -9 of the link, far", "process", func(s *span) func() { return s.far.victim("link") }, 256}, // the window of the source
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSpan(t, c.isolation)
			do := c.harm(s)
			go func() {
				<-s.half
				do()
			}()
			s.run()
			lost := linkSenders*linkNumbers - s.got - s.wrong
			t.Logf("figure: %s, %d messages: %d lost, %d repeated, %d out of order, %d errors", c.name, linkSenders*linkNumbers, lost, s.repeated, s.wrong, s.errors)
			if lost != 0 || s.repeated > c.repeats || s.wrong != 0 || s.errors != 0 {
				t.Errorf("messages were lost, repeated or out of order; at most %d may be repeated", c.repeats)
			}
		})
	}
}

func cuts(s *span) func() { return func() { s.cutter.cut(10) } }

// victim finds a process and returns what ends it as kill -9 does.
func (r *running) victim(name string) func() {
	r.t.Helper()
	for _, p := range r.status().Processes {
		if p.Name == name {
			return func() {
				if err := syscall.Kill(p.PID, syscall.SIGKILL); err != nil {
					r.t.Errorf("kill %s: %v", name, err)
				}
			}
		}
	}
	r.t.Fatalf("there is no process %s", name)
	return nil
}

// A cutter is a proxy in front of a port, whose connections can be cut.
type cutter struct {
	net.Listener
	t     *testing.T
	to    string
	mu    sync.Mutex
	conns []net.Conn
	came  chan struct{}
}

func newCutter(t *testing.T, to string) *cutter {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &cutter{Listener: l, t: t, to: to, came: make(chan struct{}, 100)}
	t.Cleanup(func() { l.Close() })
	go c.run()
	return c
}

func (c *cutter) address() string {
	_, port, _ := net.SplitHostPort(c.Addr().String())
	return "localhost:" + port
}

func (c *cutter) run() {
	for {
		here, err := c.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			c.t.Error(err)
			return
		}
		there, err := net.Dial("tcp", c.to)
		if err != nil { // the far side is down
			here.Close()
			continue
		}
		c.mu.Lock()
		c.conns = append(c.conns, here, there)
		c.mu.Unlock()
		for _, pair := range [][2]net.Conn{{here, there}, {there, here}} {
			go func() {
				_, _ = io.Copy(pair[0], pair[1])
				pair[0].Close()
				pair[1].Close()
			}()
		}
		select {
		case c.came <- struct{}{}:
		default:
		}
	}
}

// cut cuts all connections, so many times, each time that there is a new one.
func (c *cutter) cut(times int) {
	for range times {
		select {
		case <-c.came:
		case <-time.After(30 * time.Second):
			c.t.Error("nobody connects again")
			return
		}
		time.Sleep(10 * time.Millisecond) // some traffic
		c.mu.Lock()
		for _, conn := range c.conns {
			conn.Close()
		}
		c.conns = nil
		c.mu.Unlock()
	}
}
