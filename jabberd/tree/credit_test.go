package tree_test

import (
	"context"
	"errors"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
)

// TestASourceWaitsForItsCredits has a source of two credits, whose packets are
// not done before what they cause is.
func TestASourceWaitsForItsCredits(t *testing.T) {
	both(t, func(t *testing.T, at func(string) string) {
		begun, hold := make(chan struct{}, 9), make(chan struct{})
		r := newRig(t, map[string]handle{"source": claim, "forward": forward("sink"), "sink": func(context.Context, module.Env, *packet.Packet) (packet.Verdict, error) {
			begun <- struct{}{}
			<-hold
			return packet.Claim, nil
		}})
		r.section(normal("f"), []string{"mid"}, at("forward")).section(normal("sink"), []string{"sink"}, at("sink")).
			section(normal("s"), []string{"source"}, "source").start()
		done := make(chan packet.Outcome, 9)
		s := r.env("source").Source(module.SourceConfig{Window: 2, Settled: func(o []packet.Outcome) { done <- o[0] }})
		for i := range 2 {
			if err := s.Deliver(context.Background(), message("u"+strconv.Itoa(i)+"@home", "mid", ""), uint64(i)); err != nil {
				t.Fatal(err)
			}
			<-begun
		}
		over, cancel := context.WithCancel(context.Background())
		cancel()
		if err := s.Deliver(over, message("u3@home", "mid", ""), 3); !errors.Is(err, context.Canceled) || len(done) > 0 {
			t.Errorf("a third packet: %v, after %d outcomes", err, len(done))
		}
		hold <- struct{}{}
		if o := outcome(t, done); o.Result != packet.Claimed {
			t.Errorf("ended %+v", o)
		}
		if err := s.Deliver(over, message("u3@home", "mid", ""), 3); err != nil {
			t.Errorf("with a credit: %v", err)
		}
		close(hold)
		outcome(t, done)
		outcome(t, done)
	})
}

// TestWhatAHandlerDeliversNeverWaits has a handler cause far more than the
// window of the source that caused it.
func TestWhatAHandlerDeliversNeverWaits(t *testing.T) {
	both(t, func(t *testing.T, at func(string) string) {
		const n = 1000
		hold, got := make(chan struct{}), newSeen(n)
		returned := make(chan struct{})
		r := newRig(t, map[string]handle{"source": claim, "many": func(ctx context.Context, env module.Env, p *packet.Packet) (packet.Verdict, error) {
			defer close(returned)
			for i := range n {
				q := message("u@many", "sink", strconv.Itoa(i))
				if err := env.Deliver(ctx, q); err != nil {
					return packet.Pass, err
				}
			}
			return packet.Claim, nil
		}, "sink": func(ctx context.Context, env module.Env, p *packet.Packet) (packet.Verdict, error) {
			<-hold
			return got.handle(ctx, env, p)
		}})
		r.section(normal("m"), []string{"many"}, at("many")).section(normal("sink"), []string{"sink"}, at("sink")).
			section(normal("s"), []string{"source"}, "source").start()
		done := make(chan packet.Outcome, 1)
		s := r.env("source").Source(module.SourceConfig{Window: 1, Settled: func(o []packet.Outcome) { done <- o[0] }})
		s.Deliver(context.Background(), message("u@home", "many", ""), 0)
		<-returned
		if len(done) > 0 {
			t.Error("the packet ended before what it caused")
		}
		close(hold)
		got.check(t)
		if o := outcome(t, done); o.Result != packet.Claimed {
			t.Errorf("ended %+v", o)
		}
	})
}

// TestKeysOfEachKind has the first packet stuck: the second, of the same key,
// waits for it, and the third, of another, does not.
func TestKeysOfEachKind(t *testing.T) {
	session := func(id string, slot uint32, down bool) packet.Packet {
		p := packet.Packet{Kind: packet.Session, Host: "x", ID: id, Near: packet.Token{Host: "c2s", Slot: slot}, Far: packet.Token{Host: "sm", Slot: 1}}
		if down {
			p.Flags, p.Near, p.Far = packet.Down, p.Far, p.Near
		}
		return p
	}
	of := func(kind packet.Kind, id, from, to string) packet.Packet {
		return packet.Packet{Kind: kind, Host: "x", ID: id, From: from, To: to, Name: "message"}
	}
	for name, list := range map[string][3]packet.Packet{
		"sessions":   {session("1", 1, false), session("2", 1, false), session("3", 2, false)},
		"directions": {session("1", 1, false), session("2", 1, false), session("3", 1, true)},
		"senders":    {of(packet.Normal, "1", "a@h/1", "u@x/1"), of(packet.Normal, "2", "a@h/2", "u@x/2"), of(packet.Normal, "3", "b@h", "u@x")},
		"receivers":  {of(packet.Normal, "1", "a@h", "u@x"), of(packet.Normal, "2", "a@h", "u@x/2"), of(packet.Normal, "3", "a@h", "v@x")},
		"askers":     {of(packet.XDB, "1", "sm", "u@x"), of(packet.XDB, "2", "sm", "u@x"), of(packet.XDB, "3", "muc", "u@x")},
		"owners":     {of(packet.XDB, "1", "sm", "u@x"), of(packet.XDB, "2", "sm", "u@x"), of(packet.XDB, "3", "sm", "v@x")},
		"writers":    {of(packet.Log, "1", "sm", ""), of(packet.Log, "2", "sm", ""), of(packet.Log, "3", "c2s", "")},
	} {
		t.Run(name, func(t *testing.T) {
			both(t, func(t *testing.T, at func(string) string) {
				got, hold := make(chan packet.Packet, 3), make(chan struct{})
				r := newRig(t, map[string]handle{"source": claim, "x": func(_ context.Context, _ module.Env, p *packet.Packet) (packet.Verdict, error) {
					if p.ID == "1" {
						<-hold
					}
					got <- *p
					return packet.Claim, nil
				}})
				r.section(normal("x", list[0].Kind), []string{"x"}, at("x")).section(normal("s"), []string{"source"}, "source").start()
				s := r.env("source").Source(module.SourceConfig{})
				for i := range list {
					if err := s.Deliver(context.Background(), &list[i], 0); err != nil {
						t.Fatal(err)
					}
				}
				if p := receive(t, got); p.ID != "3" {
					t.Errorf("%s did not wait", p.ID)
				}
				close(hold)
				for _, want := range []string{"1", "2"} {
					if p := receive(t, got); p.ID != want {
						t.Errorf("%s came instead of %s", p.ID, want)
					}
				}
			})
		})
	}
}

// TestHandlersThatAreStuck has two handlers stuck, one behind the other: what waits behind
// both is handled all the same, though nothing else comes.
func TestHandlersThatAreStuck(t *testing.T) {
	both(t, func(t *testing.T, at func(string) string) {
		got, hold := make(chan packet.Packet, 3), make(chan struct{})
		defer close(hold)
		r := newRig(t, map[string]handle{"source": claim, "x": func(_ context.Context, _ module.Env, p *packet.Packet) (packet.Verdict, error) {
			if p.ID != "3" {
				<-hold
			}
			got <- *p
			return packet.Claim, nil
		}})
		r.section(normal("x"), []string{"x"}, at("x")).section(normal("s"), []string{"source"}, "source").start()
		s := r.env("source").Source(module.SourceConfig{Window: 8})
		for _, id := range []string{"1", "2", "3"} {
			if err := s.Deliver(context.Background(), &packet.Packet{Host: "x", ID: id, From: id + "@h", To: "u@x", Name: "message"}, 0); err != nil {
				t.Fatal(err)
			}
		}
		s.Flush()
		if p := receive(t, got); p.ID != "3" {
			t.Errorf("%s did not wait", p.ID)
		}
	})
}

// TestUnclaimedEndsByKind has nobody for packets that are no stanzas.
func TestUnclaimedEndsByKind(t *testing.T) {
	back, done := make(chan packet.Packet, 1), make(chan packet.Outcome, 1)
	r := newRig(t, map[string]handle{"c2s": sink(back)})
	r.section(normal("c2s", packet.Session), nil, "c2s").start()
	s := r.env("c2s").Source(module.SourceConfig{Settled: func(o []packet.Outcome) { done <- o[0] }})
	send := func(p packet.Packet) packet.Outcome {
		s.Deliver(context.Background(), &p, 0)
		return outcome(t, done)
	}
	near := packet.Token{Host: "c2s", Section: "c2s", Slot: 7, Incarnation: 9}
	if o := send(packet.Packet{Kind: packet.Session, Host: "nobody", Name: "message", ID: "1", Near: near}); o.Result != packet.Refused {
		t.Errorf("session: %+v", o)
	}
	if p := receive(t, back); p.Name != "end" || p.Type != "service-unavailable" || p.Far != near || p.Flags&packet.Down == 0 {
		t.Errorf("the connection is told %+v", p)
	}
	if o := send(packet.Packet{Kind: packet.Log, Host: "nobody", Name: "entry", ID: "2"}); o.Result != packet.Dropped {
		t.Errorf("log: %+v", o)
	}
	if p := receive(t, r.fallback); p.ID != "2" {
		t.Errorf("stderr has %+v", p)
	}
	r.awaitSkipped(1)
	if o := send(packet.Packet{Kind: packet.XDB, Host: "nobody", Name: "get", ID: "3"}); o.Result != packet.Refused || o.Reason.Condition != "service-unavailable" {
		t.Errorf("xdb: %+v", o)
	}
}

// TestAProcessThatIsAwayIsNotWaitedForByTooMany has more packets than the
// section's queue takes while its process is away.
func TestAProcessThatIsAwayIsNotWaitedForByTooMany(t *testing.T) {
	r := newRig(t, map[string]handle{"service": claim, "source": claim})
	r.section(normal("m"), []string{"mid"}, "p/service").section(normal("s"), []string{"home"}, "source")
	r.plan[0].Queue = 2
	r.start()
	r.cut("p")
	done := make(chan packet.Outcome, 9)
	s := r.env("source").Source(module.SourceConfig{Settled: func(o []packet.Outcome) { done <- o[0] }})
	for i := range 3 {
		s.Deliver(context.Background(), message("u"+strconv.Itoa(i)+"@home", "x@mid", ""), uint64(i))
	}
	if o := outcome(t, done); o.Result != packet.Refused || o.Reason.Condition != "resource-constraint" {
		t.Errorf("the one too many ended %+v, %v", o, o.Reason)
	}
	r.kill("p")
	for range 2 {
		if o := outcome(t, done); o.Result != packet.Claimed {
			t.Errorf("packet %d ended %+v, %v", o.Tag, o, o.Reason)
		}
	}
}

// TestAFloodOfLogEntriesIsBounded has a log handler that is stuck while another
// writes far too much: what waits is dropped, the oldest first.
func TestAFloodOfLogEntriesIsBounded(t *testing.T) {
	both(t, func(t *testing.T, at func(string) string) {
		const n, most = 15000, 10000
		hold := make(chan struct{})
		var mu sync.Mutex
		var got []int
		r := newRig(t, map[string]handle{"speaker": claim, "log": func(_ context.Context, _ module.Env, p *packet.Packet) (packet.Verdict, error) {
			<-hold
			number, err := strconv.Atoi(string(p.Body))
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				got = append(got, number)
			}
			return packet.Claim, nil
		}})
		r.section(normal("s"), []string{"home"}, at("speaker")).section(normal("log", packet.Log), []string{"*"}, "log").start()
		for i := range n {
			r.env("speaker").Log().Info(strconv.Itoa(i))
		}
		r.awaitDropped(n - most)
		close(hold)
		for until := time.Now().Add(10 * time.Second); ; runtime.Gosched() {
			mu.Lock()
			seen := len(got)
			mu.Unlock()
			if seen == most {
				break
			}
			if time.Now().After(until) {
				t.Fatalf("%d of %d entries came", seen, most)
			}
		}
		gap := 0
		for gap < most && got[gap] == gap {
			gap++
		}
		for i, number := range got { // those that had begun, and the newest of the others
			if want := i + n - most; i >= gap && number != want || gap == 0 || gap > 1000 {
				t.Fatalf("entry %d came as number %d, after the first %d", number, i, gap)
			}
		}
	})
}

// awaitSkipped waits until so many log entries were kept by no section: those are
// not lost.
func (r *rig) awaitSkipped(want uint64) {
	r.t.Helper()
	for until := time.Now().Add(10 * time.Second); ; runtime.Gosched() {
		c := r.core.Counts()[packet.Log]
		if c.Skipped == want && c.Dropped == 0 {
			return
		}
		if time.Now().After(until) {
			r.t.Fatalf("of the log entries %d were skipped, %d dropped", c.Skipped, c.Dropped)
		}
	}
}

// awaitDropped waits until so many log entries were dropped.
func (r *rig) awaitDropped(want uint64) {
	r.t.Helper()
	for until := time.Now().Add(10 * time.Second); ; runtime.Gosched() {
		dropped := uint64(0)
		for _, e := range r.engines {
			dropped += e.Counts()[packet.Log].Dropped
		}
		if dropped >= want {
			return
		}
		if time.Now().After(until) {
			r.t.Fatalf("%d of %d entries are dropped", dropped, want)
		}
	}
}
