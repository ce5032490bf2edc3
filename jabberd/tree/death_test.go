package tree_test

import (
	"context"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
)

// seen counts what arrived, by id.
type seen struct {
	mu    sync.Mutex
	count map[string]int
	order []string
	done  chan struct{}
	want  int
}

func newSeen(want int) *seen {
	return &seen{count: map[string]int{}, want: want, done: make(chan struct{})}
}

func (s *seen) handle(_ context.Context, _ module.Env, p *packet.Packet) (packet.Verdict, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.count[p.ID]++
	s.order = append(s.order, p.ID)
	if len(s.count) == s.want && s.count[p.ID] == 1 {
		close(s.done)
	}
	return packet.Claim, nil
}

func (s *seen) check(t *testing.T) {
	t.Helper()
	<-s.done
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, n := range s.count {
		if n != 1 {
			t.Errorf("packet %s came %d times", id, n)
		}
	}
	for i, id := range s.order {
		if id != strconv.Itoa(i) {
			t.Fatalf("packet %s is number %d", id, i)
		}
	}
}

func forward(to string) handle {
	return func(ctx context.Context, env module.Env, p *packet.Packet) (packet.Verdict, error) {
		q := *p
		q.To = to
		return packet.Claim, env.Deliver(ctx, &q)
	}
}

// TestDeathOfTheProcessInTheMiddle kills the process that forwards, and the
// core, under traffic from a source to a sink in processes of their own.
func TestDeathOfTheProcessInTheMiddle(t *testing.T) {
	for name, kill := range map[string]func(*rig){
		"middle": func(r *rig) { r.kill("m") },
		"core":   func(r *rig) { r.killCore() },
	} {
		t.Run(name, func(t *testing.T) {
			const n, deaths = 3000, 5
			got := newSeen(n)
			r := newRig(t, map[string]handle{"forward": forward("sink"), "sink": got.handle, "source": claim})
			r.section(normal("m"), []string{"mid"}, "m/forward").section(normal("k"), []string{"sink"}, "k/sink").
				section(normal("s"), []string{"source"}, "s/source").start()
			settled := make(chan packet.Result, n)
			s := r.env("source").Source(module.SourceConfig{Settled: func(o []packet.Outcome) {
				for _, o := range o {
					settled <- o.Result
				}
			}})
			for i := range n {
				if i%(n/deaths) == n/deaths/2 {
					kill(r)
				}
				if err := s.Deliver(context.Background(), message("u@home/a", "x@mid", strconv.Itoa(i)), uint64(i)); err != nil {
					t.Fatal(err)
				}
			}
			got.check(t)
			for i := range n {
				if res := <-settled; res != packet.Claimed {
					t.Fatalf("outcome %d is %v", i, res)
				}
			}
		})
	}
}

// TestSuspectIsBouncedAndKept has a handler whose process dies with one
// certain packet.
func TestSuspectIsBouncedAndKept(t *testing.T) {
	const n = 50
	var r *rig
	var deaths atomic.Int32
	hold := make(chan struct{})
	die := make(chan struct{}, 10)
	var got sync.Map
	back := make(chan packet.Packet, n)
	r = newRig(t, map[string]handle{
		"fragile": func(ctx context.Context, _ module.Env, p *packet.Packet) (packet.Verdict, error) {
			if p.ID == "13" {
				deaths.Add(1)
				die <- struct{}{}
				<-hold // the process is killed meanwhile
			}
			got.Store(p.ID, true)
			return packet.Claim, nil
		},
		"source": sink(back),
	})
	r.section(normal("m"), []string{"mid"}, "m/fragile").section(normal("s"), []string{"home"}, "source").start()
	results := make(chan packet.Outcome, n)
	s := r.env("source").Source(module.SourceConfig{Window: n, Settled: func(o []packet.Outcome) { results <- o[0] }})
	for i := range n {
		from := "u" + strconv.Itoa(i) + "@home/a" // keys of their own
		s.Deliver(context.Background(), message(from, "x@mid", strconv.Itoa(i)), uint64(i))
	}
	for range 3 {
		<-die
		r.kill("m")
	}
	refused := 0
	for range n {
		if o := <-results; o.Result == packet.Refused {
			refused++
			if o.Tag != 13 {
				t.Errorf("packet %d was refused", o.Tag)
			}
		}
	}
	close(hold)
	if refused != 1 || deaths.Load() != 3 {
		t.Errorf("%d refused after %d deaths", refused, deaths.Load())
	}
	if p := receive(t, back); p.ID != "13" || !strings.Contains(string(p.Body), "internal-server-error") {
		t.Errorf("bounced %+v", p)
	}
	if dead := r.core.DeadPackets(); len(dead) != 1 || dead[0].Packet.ID != "13" || dead[0].Process != "m" {
		t.Errorf("kept %+v", dead)
	}
}

// TestAPacketIsNoSuspectForWhatItDidNotReach has a process that dies again and
// again before its handlers have started, while a packet waits for it.
func TestAPacketIsNoSuspectForWhatItDidNotReach(t *testing.T) {
	r := newRig(t, map[string]handle{"service": claim, "source": claim})
	r.section(normal("m"), []string{"mid"}, "m/service").section(normal("s"), []string{"home"}, "z/source").start()
	r.cut("m")
	results := make(chan packet.Outcome, 2)
	s := r.env("source").Source(module.SourceConfig{Settled: func(o []packet.Outcome) { results <- o[0] }})
	for i := range 2 {
		if err := s.Deliver(context.Background(), message("u@home", "x@mid", strconv.Itoa(i)), uint64(i)); err != nil {
			t.Fatal(err)
		}
	}
	for range 4 {
		r.launch("m")
		r.link("m", r.plugins["m"])
		r.cut("m")
	}
	r.kill("m")
	for i := range 2 {
		if o := <-results; o.Result != packet.Claimed || o.Tag != uint64(i) {
			t.Errorf("packet %d ended %+v, %v", o.Tag, o, o.Reason)
		}
	}
	if dead := r.core.DeadPackets(); len(dead) != 0 {
		t.Errorf("kept: %+v", dead)
	}
}

// TestNoCycleOfWaitingCloses has two services in two processes that answer each
// other, with sources of one credit.
func TestNoCycleOfWaitingCloses(t *testing.T) {
	const n, pairs = 200, 8
	got := newSeen(n * pairs)
	r := newRig(t, map[string]handle{"c2s": got.handle, "sm": func(ctx context.Context, env module.Env, p *packet.Packet) (packet.Verdict, error) {
		q := *p
		q.Host, q.Flags = "c2s", packet.Down
		q.Far, q.Near = p.Near, p.Far
		return packet.Claim, env.Deliver(ctx, &q)
	}})
	r.section(normal("c2s", packet.Session), nil, "a/c2s").section(normal("sm", packet.Session), []string{"home"}, "b/sm").start()
	for i := range pairs {
		s := r.env("c2s").Source(module.SourceConfig{Window: 1, Own: true})
		go func() {
			for j := range n {
				p := packet.Packet{Kind: packet.Session, Host: "home", Name: "message", ID: strconv.Itoa(i*n + j), Near: packet.Token{Host: "c2s", Slot: uint32(i)}}
				s.Deliver(context.Background(), &p, 0)
			}
		}()
	}
	<-got.done
}

// TestOnCrash has links that say what becomes of packets while their process is
// gone.
func TestOnCrash(t *testing.T) {
	for policy, want := range map[module.OnCrash]packet.Result{module.CrashBounce: packet.Refused, module.CrashPass: packet.Claimed} {
		t.Run(string(policy), func(t *testing.T) {
			begun, hold := make(chan struct{}), make(chan struct{})
			r := newRig(t, map[string]handle{
				"slow": func(context.Context, module.Env, *packet.Packet) (packet.Verdict, error) {
					begun <- struct{}{}
					<-hold
					return packet.Claim, nil
				},
				"next": claim,
			})
			r.section(normal("a"), []string{"x"}, "p/slow", "next")
			r.plan[0].Chain[1].OnCrash = policy
			r.start()
			done := make(chan packet.Result, 2)
			s := r.env("next").Source(module.SourceConfig{Settled: func(o []packet.Outcome) { done <- o[0].Result }})
			s.Deliver(context.Background(), message("u@home", "x", "1"), 0)
			<-begun
			r.core.Remote("p").Down()
			if got := <-done; got != want {
				t.Errorf("the packet that was with it is %v", got)
			}
			s.Deliver(context.Background(), message("u@home", "x", "2"), 0)
			if got := <-done; got != want {
				t.Errorf("the one behind it is %v", got)
			}
			close(hold)
		})
	}
}

// TestCopyOutlivesTheCore kills the core between a change and its copy: the asker
// is not answered before the copy is made, by the next core.
func TestCopyOutlivesTheCore(t *testing.T) {
	begun, killed := make(chan struct{}, 2), make(chan struct{})
	var copied atomic.Int32
	result := &packet.Packet{Type: "result", Body: []byte("<done/>")}
	r := newRig(t, map[string]handle{
		"asker": claim,
		"owner": func(ctx context.Context, env module.Env, p *packet.Packet) (packet.Verdict, error) {
			return packet.Claim, env.Answer(ctx, p, result)
		},
		"copies": func(ctx context.Context, env module.Env, p *packet.Packet) (packet.Verdict, error) {
			begun <- struct{}{}
			<-killed
			copied.Add(1)
			return packet.Claim, env.Answer(ctx, p, result)
		},
	})
	r.section(normal("a"), []string{"home"}, "s/asker").section(normal("one", packet.XDB), []string{"*"}, "o/owner").
		section(normal("two", packet.XDB), []string{"*"}, "c/copies").start()
	answered := make(chan error, 1)
	go func() {
		_, err := r.env("asker").Ask(context.Background(), &packet.Packet{To: "ann@home", Name: "put", Type: "set", NS: "n"})
		answered <- err
	}()
	<-begun
	r.killCore()
	close(killed)
	if err := <-answered; err != nil {
		t.Error(err)
	}
	if n := copied.Load(); n != 2 { // the first, of which nobody heard, and that of the new core
		t.Errorf("answered after %d copies", n)
	}
}
