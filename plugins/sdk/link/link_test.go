package link_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sdk/link"
	"github.com/jabberii/server/plugins/sdk/peer"
	"github.com/jabberii/server/plugins/sdk/sdktest"
	"github.com/jabberii/server/plugins/xmpp/jid"
)

const (
	secret   = "a secret of both servers"
	patience = 30 * time.Second
)

// held is a module that keeps packets until the test lets it go on.
type held struct{ arrived, free chan string }

func newHeld() *held { return &held{make(chan string, 100), make(chan string)} }

func (h *held) module() module.Module {
	return module.Define("held", "", module.On(packet.Normal), func(module.Env, struct{}) (packet.Handler, error) {
		return packet.HandlerFunc(func(_ context.Context, p *packet.Packet) (packet.Verdict, error) {
			h.arrived <- p.ID
			if text := <-h.free; text != "" {
				return packet.Pass, packet.Refuse("gone", text)
			}
			return packet.Claim, nil
		}), nil
	})
}

// A side is one of two servers.
type side struct {
	*link.Link
	h   *sdktest.Harness
	tls *tls.Config
}

// A pair is two servers, of which the far one listens.
type pair struct {
	t         testing.TB
	near, far *side
	held      *held
	address   string
	authority *sdktest.Authority
	ends      sync.WaitGroup
}

func (p *pair) config(h *sdktest.Harness, change []func(*link.Config)) link.Config {
	c := link.Config{
		Env: h.Env(), Peer: "the other", Names: jid.NewCache(64), Secret: secret, Admit: func(string) bool { return true },
		Packet: 1 << 20, Window: 4096, Buffer: 64 << 20,
		Hold: peer.Hold{Packets: 100000, Time: module.Duration(time.Minute)},
		Ping: peer.Ping{Idle: module.Duration(time.Minute), Answer: module.Duration(time.Minute)},
	}
	for _, f := range change {
		f(&c)
	}
	return c
}

// newPair has two servers, not connected. The far one has a sink for far.example,
// and holds what is for held.example; the near one has a sink for near.example.
// What changes the configuration of both is called with each.
func newPair(t testing.TB, change ...func(*link.Config)) *pair {
	p := &pair{t: t, held: newHeld(), authority: sdktest.NewAuthority(t)}
	far := sdktest.New(t, sdktest.Plan{Modules: []module.Module{p.held.module()}, Sections: []module.Section{
		sdktest.Sinks("far.example", packet.Normal),
		sdktest.Section("held", packet.Normal, sdktest.Host("held.example"), sdktest.Block("held", `{}`)),
	}}, false)
	near := sdktest.New(t, sdktest.Plan{Sections: []module.Section{sdktest.Sinks("near.example", packet.Normal)}}, false)
	cert, key := p.authority.Issue("127.0.0.1")
	p.far = p.side(far, link.TLS{Certificate: cert, Key: key}, true, change)
	p.near = p.side(near, link.TLS{Authorities: p.authority.File, Name: "127.0.0.1"}, false, change)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p.address = l.Addr().String()
	ctx, stop := context.WithCancel(context.Background())
	p.ends.Go(func() { p.listen(ctx, l) })
	t.Cleanup(func() {
		stop()
		l.Close()
		p.ends.Wait()
	})
	return p
}

func (p *pair) side(h *sdktest.Harness, t link.TLS, listens bool, change []func(*link.Config)) *side {
	s := &side{Link: link.New(p.config(h, change)), h: h}
	s.tls = p.settings(t, listens)
	p.tend(s)
	return s
}

func (p *pair) settings(t link.TLS, listens bool) *tls.Config {
	p.t.Helper()
	get := t.Client
	if listens {
		get = t.Server
	}
	c, err := get()
	if err != nil {
		p.t.Fatal(err)
	}
	return c
}

func (p *pair) tend(s *side) {
	ctx, stop := context.WithCancel(context.Background())
	go s.Tend(ctx)
	p.t.Cleanup(func() {
		stop()
		s.Close()
	})
}

func (p *pair) listen(ctx context.Context, l net.Listener) {
	for {
		nc, err := l.Accept()
		if err != nil {
			return
		}
		p.ends.Go(func() {
			login, done := context.WithTimeout(ctx, patience)
			defer done()
			if s, err := p.far.Accept(login, nc, p.far.tls); err == nil {
				_ = s.Run(ctx)
			}
		})
	}
}

func (p *pair) dial() net.Conn {
	p.t.Helper()
	nc, err := net.Dial("tcp", p.address)
	if err != nil {
		p.t.Fatal(err)
	}
	return nc
}

// try connects s with the far side on nc.
func (p *pair) try(s *side, nc net.Conn) (*link.Stream, error) {
	ctx, done := context.WithTimeout(context.Background(), patience)
	defer done()
	return s.Connect(ctx, nc, s.tls)
}

// connect connects the near side, until the end of the test or of the connection.
// Whoever calls leave ends it in order; ended says how it ended.
func (p *pair) connect(nc net.Conn) (leave func(), ended chan error) {
	p.t.Helper()
	s, err := p.try(p.near, nc)
	if err != nil {
		p.t.Fatal(err)
	}
	return p.run(s)
}

// run runs a stream until the end of the test or of the connection.
func (p *pair) run(s *link.Stream) (leave func(), ended chan error) {
	ctx, leave := context.WithCancel(context.Background())
	p.t.Cleanup(leave)
	ended = make(chan error, 1)
	p.ends.Go(func() { ended <- s.Run(ctx) })
	return leave, ended
}

// A verdict is how a packet ended.
type verdict struct {
	id string
	packet.Verdict
	err error
}

// An ending keeps the verdict on a packet.
type ending struct {
	id    string
	name  module.Name
	ended *atomic.Int32
	to    chan<- verdict
}

func (e ending) Name() module.Name { return e.name }

func (e ending) End(v packet.Verdict, err error) {
	e.ended.Add(1)
	e.to <- verdict{e.id, v, err}
}

func message(id, from, to string) *packet.Packet {
	return &packet.Packet{To: to, From: from, Name: "message", Type: "chat", ID: id, Body: []byte("<body>" + id + "</body>")}
}

// post hands a packet over and returns where its verdict will be.
func (s *side) post(p *packet.Packet, name module.Name) <-chan verdict {
	return s.within(patience, p, name)
}

func (s *side) within(d time.Duration, p *packet.Packet, name module.Name) <-chan verdict {
	to := make(chan verdict, 2)
	ctx, done := context.WithTimeout(context.Background(), d)
	defer done()
	s.Hop(ctx, p, ending{p.ID, name, new(atomic.Int32), to})
	return to
}

func await[T any](t testing.TB, what string, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		t.Fatalf("waited in vain for %s", what)
		panic("not reached")
	}
}

// refusal fails the test unless a verdict is a Reject with a condition.
func refusal(t testing.TB, v verdict, condition string) string {
	t.Helper()
	var r *packet.Reject
	if !errors.As(v.err, &r) || r.Condition != condition {
		t.Fatalf("the verdict on %s is %v, %v, want %s", v.id, v.Verdict, v.err, condition)
	}
	return r.Text
}

func TestVerdictsComeBack(t *testing.T) {
	p := newPair(t)
	p.connect(p.dial())
	if v := await(t, "a verdict", p.near.post(message("1", "ann@near.example/x", "bob@far.example"), module.Name{})); v.Verdict != packet.Claim || v.err != nil {
		t.Errorf("the verdict is %v, %v", v.Verdict, v.err)
	}
	got := p.far.h.Next()
	want := message("1", "ann@near.example/x", "bob@far.example")
	want.Hops = 1
	if fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", want) {
		t.Errorf("arrived as\n%+v, want\n%+v", got, want)
	}
	refusal(t, await(t, "a verdict", p.near.post(message("2", "ann@near.example", "bob@nobody.example"), module.Name{})), "service-unavailable")
	v := p.near.post(message("3", "ann@near.example", "bob@held.example"), module.Name{})
	await(t, "the packet", p.held.arrived)
	p.held.free <- "moved <away>"
	if text := refusal(t, await(t, "a verdict", v), "gone"); text != "moved <away>" {
		t.Errorf("the text is %q", text)
	}
	if v := await(t, "a verdict", p.far.post(message("4", "bob@far.example", "ann@near.example"), module.Name{})); v.err != nil {
		t.Errorf("the other way: %v", v.err)
	}
	if got := p.near.h.Next(); got.ID != "4" {
		t.Errorf("the other way came %+v", got)
	}
	if v := await(t, "a verdict", p.near.post(&packet.Packet{Kind: packet.Session, ID: "5"}, module.Name{})); v.Verdict != packet.Pass || v.err != nil {
		t.Errorf("a session packet: %v, %v", v.Verdict, v.err)
	}
	if rest := append(p.far.h.Received(), p.near.h.Received()...); len(rest) > 0 {
		t.Errorf("there also came %+v", rest)
	}
}

func TestHandleWaitsForTheVerdict(t *testing.T) {
	p := newPair(t)
	p.connect(p.dial())
	if v, err := p.near.Handle(context.Background(), message("1", "a@near.example", "b@far.example")); v != packet.Claim || err != nil {
		t.Errorf("%v, %v", v, err)
	}
	ctx, stop := context.WithCancel(context.Background())
	stop()
	if _, err := p.near.Handle(ctx, message("2", "a@near.example", "b@held.example")); err == nil {
		t.Error("it did not give up")
	}
	close(p.held.free)
}

// A fragile connection breaks when so many bytes have gone through it.
type fragile struct {
	net.Conn
	left atomic.Int64
}

func newFragile(nc net.Conn, bytes int64) *fragile {
	f := &fragile{Conn: nc}
	f.left.Store(bytes)
	return f
}

func (f *fragile) spend(n int, err error) (int, error) {
	if f.left.Add(-int64(n)) < 0 {
		f.Conn.Close()
	}
	return n, err
}

func (f *fragile) Read(b []byte) (int, error)  { return f.spend(f.Conn.Read(b)) }
func (f *fragile) Write(b []byte) (int, error) { return f.spend(f.Conn.Write(b)) }

// A census counts the packets of several keys.
type census struct {
	last               map[string]int
	repeated, disorder int
}

func (c *census) count(p *packet.Packet) {
	var n int
	_, _ = fmt.Sscan(p.ID, &n)
	switch last := c.last[p.From]; {
	case n == last+1:
		c.last[p.From] = n
	case n <= last:
		c.repeated++
	default:
		c.disorder++
		c.last[p.From] = n
	}
}

// TestACutLinkLosesNothing breaks the connection again and again under traffic in
// both directions.
func TestACutLinkLosesNothing(t *testing.T) {
	t.Parallel()
	const keys, each = 20, 250
	p := newPair(t, func(c *link.Config) { c.Window = 256 })
	cuts := 0
	done := make(chan struct{})
	var dialler sync.WaitGroup
	dialler.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
			}
			nc, err := net.Dial("tcp", p.address)
			if err != nil {
				return
			}
			if s, err := p.try(p.near, newFragile(nc, 4000+rand.Int64N(400000))); err == nil {
				cuts++
				ctx, stop := context.WithCancel(context.Background())
				go func() { // at the end it is left in order
					<-done
					stop()
				}()
				_ = s.Run(ctx)
			}
		}
	})
	ended := make(chan verdict, 2*keys*each)
	var twice []*atomic.Int32
	for i := 1; i <= each; i++ {
		for k := range keys {
			for from, s := range map[string]*side{"near": p.near, "far": p.far} {
				to := map[string]string{"near": "far", "far": "near"}[from]
				m := message(fmt.Sprint(i), fmt.Sprintf("%d@%s.example", k, from), "x@"+to+".example")
				m.Body = []byte("<body>" + strings.Repeat("x", 200) + "</body>")
				n := new(atomic.Int32)
				twice = append(twice, n)
				s.Hop(context.Background(), m, ending{m.ID, module.Name{}, n, ended})
			}
		}
	}
	for range 2 * keys * each {
		if v := await(t, "a verdict", ended); v.err != nil || v.Verdict != packet.Claim {
			t.Fatalf("the verdict on %s is %v, %v", v.id, v.Verdict, v.err)
		}
	}
	close(done)
	c := census{last: map[string]int{}}
	for _, s := range []*side{p.near, p.far} {
		all := s.h.Received()
		for i := range all {
			c.count(&all[i])
		}
		if len(all) != keys*each {
			t.Errorf("%d of %d packets came", len(all), keys*each)
		}
	}
	for _, n := range twice {
		if n.Load() != 1 {
			t.Fatalf("a packet ended %d times", n.Load())
		}
	}
	dialler.Wait()
	t.Logf("figure: %d packets, the connection cut %d times: %d repeated, %d out of order", 2*keys*each, cuts, c.repeated, c.disorder)
	if c.repeated > 0 || c.disorder > 0 || cuts < 10 {
		t.Error("packets were repeated or out of order, or there were hardly any cuts")
	}
}

// TestWhatWasHandledIsAnsweredFromMemory: a packet that comes again under its name,
// from another life of the sender, is not handled again.
func TestWhatWasHandledIsAnsweredFromMemory(t *testing.T) {
	p := newPair(t)
	slow, quick, bad := module.Name{Origin: 7, Num: 3, Part: 1}, module.Name{Origin: 7, Num: 4}, module.Name{Origin: 7, Num: 4, Part: 2}
	post := func() (s, q, b <-chan verdict) {
		s = p.near.post(message("slow", "a@near.example", "b@held.example"), slow)
		q = p.near.post(message("quick", "a@near.example", "b@far.example"), quick)
		b = p.near.post(message("bad", "a@near.example", "b@nobody.example"), bad)
		return s, q, b
	}
	connection := p.dial()
	_, ended := p.connect(connection)
	_, q, b := post()
	await(t, "the packet", p.held.arrived)
	await(t, "a verdict", q)
	refusal(t, await(t, "a verdict", b), "service-unavailable")
	connection.Close()
	await(t, "the end of the connection", ended)

	p.near = p.side(p.near.h, link.TLS{Authorities: p.authority.File, Name: "127.0.0.1"}, false, nil)
	p.connect(p.dial())
	s, q, b := post()
	if v := await(t, "the verdict from memory", q); v.err != nil || v.Verdict != packet.Claim {
		t.Errorf("quick: %v, %v", v.Verdict, v.err)
	}
	refusal(t, await(t, "the verdict from memory", b), "service-unavailable")
	p.held.free <- ""
	if v := await(t, "the verdict on what was under way", s); v.err != nil || v.Verdict != packet.Claim {
		t.Errorf("slow: %v, %v", v.Verdict, v.err)
	}
	if n := len(p.far.h.Received()); n != 1 || len(p.held.arrived) != 0 {
		t.Errorf("quick was handled %d times, slow %d times more", n, len(p.held.arrived))
	}
	// The origin says that it won't ask again: the memory may forget.
	next := module.Name{Origin: 7, Num: 9, Settled: 9}
	for range 4 {
		next.Num++
		await(t, "a verdict", p.near.post(message("next", "a@near.example", "b@far.example"), next))
	}
	if await(t, "a verdict", p.near.post(message("quick", "a@near.example", "b@far.example"), quick)); len(p.far.h.Received()) != 5 {
		t.Error("what will not be asked again is remembered")
	}
}

// TestTheWindow: so many are handed over unanswered, the rest waits at the sender.
func TestTheWindow(t *testing.T) {
	p := newPair(t, func(c *link.Config) { c.Window = 3 })
	p.connect(p.dial())
	var verdicts []<-chan verdict
	for i := range 10 {
		verdicts = append(verdicts, p.near.post(message(fmt.Sprint(i), fmt.Sprintf("%d@near.example", i), "b@held.example"), module.Name{}))
	}
	arrived := map[string]bool{}
	for range 3 {
		arrived[await(t, "a packet", p.held.arrived)] = true
	}
	// The other way nothing is held up.
	await(t, "a verdict", p.far.post(message("x", "b@far.example", "a@near.example"), module.Name{}))
	if n := len(p.held.arrived); n != 0 {
		t.Errorf("%d came beyond the window", n)
	}
	for i := range 10 {
		p.held.free <- ""
		if i < 7 {
			arrived[await(t, "a packet", p.held.arrived)] = true
		}
	}
	for _, v := range verdicts {
		if v := await(t, "a verdict", v); v.err != nil {
			t.Error(v.err)
		}
	}
	if len(arrived) != 10 {
		t.Errorf("%d packets came", len(arrived))
	}
}

func TestWhileThePeerIsAway(t *testing.T) {
	t.Run("so many wait", func(t *testing.T) {
		p := newPair(t, func(c *link.Config) { c.Hold.Packets = 2 })
		one, two := p.near.post(message("1", "a@near.example", "b@far.example"), module.Name{}), p.near.post(message("2", "a@near.example", "b@far.example"), module.Name{})
		refusal(t, await(t, "a verdict", p.near.post(message("3", "a@near.example", "b@far.example"), module.Name{})), "resource-constraint")
		p.connect(p.dial())
		for _, v := range []<-chan verdict{one, two} {
			if v := await(t, "a verdict", v); v.err != nil {
				t.Error(v.err)
			}
		}
		if p.far.h.Next().ID != "1" || p.far.h.Next().ID != "2" {
			t.Error("they came in another order")
		}
	})
	t.Run("so long", func(t *testing.T) {
		p := newPair(t, func(c *link.Config) { c.Hold.Time = module.Duration(20 * time.Millisecond) })
		v := p.near.post(message("1", "a@near.example", "b@far.example"), module.Name{})
		p.near.h.Logged("waited in vain")
		refusal(t, await(t, "a verdict", v), "remote-server-timeout")
		refusal(t, await(t, "a verdict", p.near.post(message("2", "a@near.example", "b@far.example"), module.Name{})), "service-unavailable")
		if v, why := p.near.Explain(context.Background(), message("3", "a@near.example", "b@far.example")); v != packet.Refuses || !strings.Contains(why, "service-unavailable") {
			t.Errorf("explained as %v, %s", v, why)
		}
	})
	t.Run("never longer than their deadline", func(t *testing.T) {
		p := newPair(t)
		refusal(t, await(t, "a verdict", p.near.within(time.Millisecond, message("1", "a@near.example", "b@far.example"), module.Name{})), "remote-server-timeout")
	})
	t.Run("no more bytes than the buffer", func(t *testing.T) {
		p := newPair(t, func(c *link.Config) { c.Buffer = 1 })
		p.near.post(message("1", "a@near.example", "b@far.example"), module.Name{})
		refusal(t, await(t, "a verdict", p.near.post(message("2", "a@near.example", "b@far.example"), module.Name{})), "resource-constraint")
	})
	t.Run("until the link is closed", func(t *testing.T) {
		p := newPair(t)
		v := p.near.post(message("1", "a@near.example", "b@far.example"), module.Name{})
		p.near.Close()
		refusal(t, await(t, "a verdict", v), "service-unavailable")
	})
}

// TestAnAnsweredDeadline: a packet that the other side does not answer in time is
// given up, and the verdict that comes later is nobody's.
func TestAnAnsweredDeadline(t *testing.T) {
	p := newPair(t)
	p.connect(p.dial())
	v := p.near.within(50*time.Millisecond, message("1", "a@near.example", "b@held.example"), module.Name{})
	await(t, "the packet", p.held.arrived)
	refusal(t, await(t, "a verdict", v), "remote-server-timeout")
	p.held.free <- ""
	if v := await(t, "a verdict", p.near.post(message("2", "a@near.example", "b@far.example"), module.Name{})); v.err != nil {
		t.Error(v.err)
	}
	if len(v) != 0 {
		t.Error("it ended twice")
	}
}

// deaf is a connection that hears nothing any more once it is told so, and whose
// other end is not told.
type deaf struct {
	net.Conn
	now atomic.Bool
}

func (d *deaf) Write(b []byte) (int, error) {
	if d.now.Load() {
		return len(b), nil
	}
	return d.Conn.Write(b)
}

func TestASilentPeerIsNoticed(t *testing.T) {
	t.Parallel()
	p := newPair(t, func(c *link.Config) {
		c.Ping = peer.Ping{Idle: module.Duration(100 * time.Millisecond), Answer: module.Duration(2 * time.Second)}
	})
	c := &deaf{Conn: p.dial()}
	_, ended := p.connect(c)
	select { // both say that they are there
	case err := <-ended:
		t.Fatalf("it ended: %v", err)
	case <-time.After(2500 * time.Millisecond):
	}
	c.now.Store(true) // the far side hears nothing, and ends it
	if err := await(t, "the end", ended); err == nil {
		t.Error("it ended in order")
	}
}

func TestOneStreamAtATime(t *testing.T) {
	p := newPair(t)
	_, ended := p.connect(p.dial())
	other := p.side(p.near.h, link.TLS{Authorities: p.authority.File, Name: "127.0.0.1"}, false, nil)
	_, err := p.try(other, p.dial())
	var refused *link.Refused
	if !errors.As(err, &refused) || refused.Condition != "conflict" {
		t.Fatalf("another server: %v", err)
	}
	if v := await(t, "a verdict", p.near.post(message("1", "a@near.example", "b@far.example"), module.Name{})); v.err != nil {
		t.Error(v.err)
	}
	// The same one, come back before anybody has noticed that it had gone.
	back, err := p.try(p.near, p.dial())
	if err != nil {
		t.Fatal(err)
	}
	await(t, "the end of the old stream", ended)
	p.run(back)
	if v := await(t, "a verdict", p.near.post(message("2", "a@near.example", "b@far.example"), module.Name{})); v.err != nil {
		t.Error(v.err)
	}
}

// TestADeadPeersPlaceIsTaken: another one takes the place of a peer that shows no
// sign of life.
func TestADeadPeersPlaceIsTaken(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	c := &deaf{Conn: p.dial()}
	_, ended := p.connect(c)
	c.now.Store(true)
	other := p.side(p.near.h, link.TLS{Authorities: p.authority.File, Name: "127.0.0.1"}, false, nil)
	s, err := p.try(other, p.dial())
	if err != nil {
		t.Fatal(err)
	}
	p.run(s)
	await(t, "the end of the dead stream", ended)
	if v := await(t, "a verdict", other.post(message("1", "a@near.example", "b@far.example"), module.Name{})); v.err != nil {
		t.Error(v.err)
	}
}

// TestLeavingInOrder: who leaves still gets its verdicts, and gives those it owes.
func TestLeavingInOrder(t *testing.T) {
	p := newPair(t)
	leave, ended := p.connect(p.dial())
	out := p.near.post(message("1", "a@near.example", "b@held.example"), module.Name{})
	await(t, "the packet", p.held.arrived)
	leave()
	late := p.near.post(message("2", "a@near.example", "b@far.example"), module.Name{})
	p.held.free <- ""
	if err := await(t, "the end", ended); err != io.EOF {
		t.Errorf("it ended with %v", err)
	}
	if v := await(t, "the verdict", out); v.err != nil {
		t.Error(v.err)
	}
	p.connect(p.dial())
	if v := await(t, "the verdict on what came after the leave", late); v.err != nil {
		t.Error(v.err)
	}
}
