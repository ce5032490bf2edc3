package tree_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
)

// A hop keeps what it is handed until the test says how it ended.
type hop chan handed

type handed struct {
	packet.Packet
	module.Ending
}

func (hop) Handle(context.Context, *packet.Packet) (packet.Verdict, error) {
	return packet.Pass, errors.New("the engine asks Handle of a Hop")
}

func (h hop) Hop(_ context.Context, p *packet.Packet, end module.Ending) {
	if p.ID == "panic" {
		panic("as asked")
	}
	h <- handed{*p, end}
}

func (h hop) next(t *testing.T) handed {
	t.Helper()
	select {
	case p := <-h:
		return p
	case <-time.After(10 * time.Second):
		t.Fatal("nothing is handed over")
		return handed{}
	}
}

// handing is a rig with a hop for the host "far", behind which a sink stands, a
// sink for the host "near" and a source.
func handing(t *testing.T, place func(string) string, before ...string) (far hop, rest, near chan packet.Packet, source func(module.SourceConfig) (deliver func(id string), outcomes chan packet.Outcome)) {
	far, rest, near = make(hop, 100), make(chan packet.Packet, 100), make(chan packet.Packet, 100)
	r := newRig(t, map[string]handle{
		"rest": sink(rest), "near": sink(near), "source": claim, "forward": forward("x@far"),
		"pass": func(context.Context, module.Env, *packet.Packet) (packet.Verdict, error) { return packet.Pass, nil },
	})
	r.hops = map[string]hop{"far": far}
	var links []string
	for _, l := range append(before, "far") {
		links = append(links, place(l))
	}
	if before == nil {
		r.section(normal("far"), []string{"far"}, links...)
	} else {
		r.section(normal("far"), []string{"far"}, append(links, place("rest"))...)
	}
	r.section(normal("mid"), []string{"mid"}, place("forward")).
		section(normal("near"), []string{"near"}, "n/near").section(normal("s"), []string{"source"}, "s/source").start()
	return far, rest, near, func(c module.SourceConfig) (func(string), chan packet.Outcome) {
		outcomes := make(chan packet.Outcome, 100)
		c.Settled = func(o []packet.Outcome) {
			for _, o := range o {
				outcomes <- o
			}
		}
		s := r.env("source").Source(c)
		return func(id string) {
			to := "x@far"
			if id == "via mid" {
				to = "x@mid"
			}
			if err := s.Deliver(context.Background(), message("a@near", to, id), 0); err != nil {
				t.Fatal(err)
			}
		}, outcomes
	}
}

func outcome(t *testing.T, from chan packet.Outcome) packet.Outcome {
	t.Helper()
	select {
	case o := <-from:
		return o
	case <-time.After(10 * time.Second):
		t.Fatal("no outcome")
		return packet.Outcome{}
	}
}

func TestAHopSaysLaterHowItEnded(t *testing.T) {
	both(t, func(t *testing.T, place func(string) string) {
		far, rest, near, source := handing(t, place, "pass")
		deliver, outcomes := source(module.SourceConfig{})

		deliver("claimed")
		end := far.next(t)
		if len(outcomes) != 0 {
			t.Error("it has ended before the hop said so")
		}
		end.End(packet.Claim, nil)
		end.End(packet.Pass, errors.New("too late"))
		if o := outcome(t, outcomes); o.Result != packet.Claimed {
			t.Errorf("claimed: %+v", o)
		}
		deliver("refused")
		far.next(t).End(packet.Pass, packet.Refuse("gone", "moved"))
		if o := outcome(t, outcomes); o.Result != packet.Refused || o.Reason.Condition != "gone" {
			t.Errorf("refused: %+v", o)
		}
		if p := receive(t, near); p.Type != "error" || p.ID != "refused" {
			t.Errorf("the sender got %+v", p)
		}
		deliver("passed")
		far.next(t).End(packet.Pass, nil)
		if p := receive(t, rest); p.ID != "passed" {
			t.Errorf("the next link got %+v", p)
		}
		if o := outcome(t, outcomes); o.Result != packet.Claimed {
			t.Errorf("passed: %+v", o)
		}
		deliver("panic")
		if o := outcome(t, outcomes); o.Result != packet.Refused || o.Reason.Condition != "internal-server-error" {
			t.Errorf("panic: %+v", o)
		}
		receive(t, near)
		deliver("via mid")
		far.next(t).End(packet.Claim, nil)
		if o := outcome(t, outcomes); o.Result != packet.Claimed {
			t.Errorf("delivered by a handler: %+v", o)
		}
	})
}

func TestAHopIsHandedTheNextOfAKeyBeforeItsVerdict(t *testing.T) {
	both(t, func(t *testing.T, place func(string) string) {
		far, _, _, source := handing(t, place)
		deliver, outcomes := source(module.SourceConfig{})
		var ends []handed
		for i := range 20 {
			deliver(fmt.Sprint(i))
		}
		for i := range 20 {
			ends = append(ends, far.next(t))
			if ends[i].ID != fmt.Sprint(i) {
				t.Fatalf("%s is number %d", ends[i].ID, i)
			}
		}
		for i := range ends {
			ends[len(ends)-1-i].End(packet.Claim, nil)
			outcome(t, outcomes)
		}
	})
}

func TestWithLinksAroundAHopAKeyWaitsForItsVerdict(t *testing.T) {
	both(t, func(t *testing.T, place func(string) string) {
		far, rest, _, source := handing(t, place, "pass")
		deliver, outcomes := source(module.SourceConfig{})
		deliver("0")
		deliver("1")
		first := far.next(t)
		select {
		case p := <-far:
			t.Fatalf("%s was handed over before the verdict on %s", p.ID, first.ID)
		case <-time.After(20 * time.Millisecond):
		}
		first.End(packet.Pass, nil)
		far.next(t).End(packet.Pass, nil)
		for i := range 2 {
			if p := receive(t, rest); p.ID != fmt.Sprint(i) {
				t.Errorf("%s is number %d", p.ID, i)
			}
			outcome(t, outcomes)
		}
	})
}

// TestAPacketKeepsItsName: handed over again after a death, it has the name that
// it had.
func TestAPacketKeepsItsName(t *testing.T) {
	far := make(hop, 100)
	r := newRig(t, map[string]handle{"source": claim})
	r.hops = map[string]hop{"far": far}
	r.section(normal("far"), []string{"far"}, "p/far").section(normal("s"), []string{"source"}, "s/source").start()
	ended := make(chan packet.Outcome, 10)
	s := r.env("source").Source(module.SourceConfig{Settled: func(o []packet.Outcome) { ended <- o[0] }})
	names := map[string]module.Name{}
	for _, id := range []string{"1", "2"} {
		if err := s.Deliver(context.Background(), message("a@near", "x@far", id), 0); err != nil {
			t.Fatal(err)
		}
		names[id] = far.next(t).Ending.Name()
	}
	if names["1"] == names["2"] || names["1"] == (module.Name{}) {
		t.Fatalf("their names are %+v", names)
	}
	r.kill("p")
	for _, id := range []string{"1", "2"} {
		again := far.next(t)
		if again.ID != id || again.Ending.Name() != names[id] || again.Flags&packet.Redelivered == 0 {
			t.Errorf("%s came again as %s, %+v, was %+v", id, again.ID, again.Ending.Name(), names[id])
		}
		again.End(packet.Claim, nil)
		outcome(t, ended)
	}
}

// TestAHopsSource: what another tree has handed over is not bounced here, and ends
// before what it causes has.
func TestAHopsSource(t *testing.T) {
	both(t, func(t *testing.T, place func(string) string) {
		far, _, near, source := handing(t, place)
		deliver, outcomes := source(module.SourceConfig{Hop: true})
		deliver("refused")
		far.next(t).End(packet.Pass, packet.Refuse("gone", ""))
		if o := outcome(t, outcomes); o.Result != packet.Refused || o.Reason.Condition != "gone" {
			t.Errorf("refused: %+v", o)
		}
		deliver("via mid")
		caused := far.next(t)
		if o := outcome(t, outcomes); o.Result != packet.Claimed {
			t.Errorf("via mid: %+v", o)
		}
		caused.End(packet.Pass, packet.Refuse("gone", ""))
		if p := receive(t, near); p.ID != "via mid" || p.Type != "error" {
			t.Errorf("what was caused is answered with %+v", p)
		}
		if len(near) > 0 || len(outcomes) > 0 {
			t.Errorf("further answers %d, outcomes %d", len(near), len(outcomes))
		}
	})
}
