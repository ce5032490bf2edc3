package tree_test

import (
	"context"
	"errors"
	"strconv"
	"testing"
	"time"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
)

// TestWhatHandleDeliversEntersWhenItReturns has a handler that delivers and goes
// on: what another delivers meanwhile comes first.
func TestWhatHandleDeliversEntersWhenItReturns(t *testing.T) {
	both(t, func(t *testing.T, at func(string) string) {
		got, begun, hold := make(chan packet.Packet, 9), make(chan struct{}), make(chan struct{})
		r := newRig(t, map[string]handle{"sink": sink(got), "other": claim, "slow": func(ctx context.Context, env module.Env, p *packet.Packet) (packet.Verdict, error) {
			for _, id := range []string{"1", "2", "3"} {
				if err := env.Deliver(ctx, message("u@slow", "sink", id)); err != nil {
					return packet.Pass, err
				}
			}
			close(begun)
			<-hold
			return packet.Claim, nil
		}})
		r.section(normal("slow"), []string{"slow"}, at("slow")).section(normal("sink"), []string{"sink"}, at("sink")).
			section(normal("other"), []string{"other"}, "other").start()
		go r.env("other").Deliver(context.Background(), message("u@other", "slow", ""))
		<-begun
		r.env("other").Deliver(context.Background(), message("u@other", "sink", "meanwhile"))
		if p := receive(t, got); p.ID != "meanwhile" {
			t.Errorf("%s came before Handle returned", p.ID)
		}
		close(hold)
		for _, want := range []string{"1", "2", "3"} {
			if p := receive(t, got); p.ID != want {
				t.Errorf("%s came instead of %s", p.ID, want)
			}
		}
	})
}

// TestNothingOfAHandlingThatFailsEnters has handlers that deliver and then fail.
func TestNothingOfAHandlingThatFailsEnters(t *testing.T) {
	for name, fail := range map[string]func() error{
		"refuses": func() error { return packet.Refuse("forbidden", "") },
		"fails":   func() error { return errors.New("as asked") },
		"panics":  func() error { panic("as asked") },
	} {
		t.Run(name, func(t *testing.T) {
			both(t, func(t *testing.T, at func(string) string) {
				got, done := make(chan packet.Packet, 9), make(chan packet.Outcome, 1)
				r := newRig(t, map[string]handle{"sink": sink(got), "bad": func(ctx context.Context, env module.Env, p *packet.Packet) (packet.Verdict, error) {
					if err := env.Deliver(ctx, message("u@bad", "sink", "of the failed")); err != nil {
						t.Error(err)
					}
					return packet.Claim, fail()
				}})
				r.section(normal("bad"), []string{"bad"}, at("bad")).section(normal("sink"), []string{"sink"}, at("sink")).start()
				s := r.env("sink").Source(module.SourceConfig{Settled: func(o []packet.Outcome) { done <- o[0] }})
				s.Deliver(context.Background(), message("u@sink", "bad", "1"), 0)
				if o := outcome(t, done); o.Result != packet.Refused {
					t.Errorf("ended %+v", o)
				}
				if p := receive(t, got); p.ID != "1" || p.Type != "error" {
					t.Errorf("%s %s entered", p.Type, p.ID)
				}
			})
		})
	}
}

// TestWhatIsDerivedInherits kills the process that forwards a packet, when it
// has it.
func TestWhatIsDerivedInherits(t *testing.T) {
	got, begun := make(chan packet.Packet, 9), make(chan bool)
	r := newRig(t, map[string]handle{"sink": sink(got), "forward": func(ctx context.Context, env module.Env, p *packet.Packet) (packet.Verdict, error) {
		q := *p
		q.To, q.Flags = "sink", 0
		err := env.Deliver(ctx, &q)
		if p.Flags&packet.Redelivered == 0 {
			begun <- true
			<-begun // the process is dead by then
		}
		return packet.Claim, err
	}})
	r.section(normal("f"), []string{"mid"}, "p/forward").section(normal("sink"), []string{"sink"}, "sink").start()
	go r.env("sink").Deliver(context.Background(), message("u@home", "mid", "1"))
	<-begun
	r.kill("p")
	if p := receive(t, got); p.Flags&packet.Redelivered == 0 || p.Hops != 1 {
		t.Errorf("after %d hops with flags %b", p.Hops, p.Flags)
	}
	begun <- false
	r.env("sink").Deliver(context.Background(), message("u@home", "sink", "2"))
	if p := receive(t, got); p.ID != "2" || p.Flags&packet.Redelivered != 0 {
		t.Errorf("then came %s with flags %b", p.ID, p.Flags)
	}
}

// TestALateVerdictIsDiscarded has a handler that claims a packet when its time
// has long been up: it has ended, once, nothing of its handling happens, and the
// next of its key goes on.
func TestALateVerdictIsDiscarded(t *testing.T) {
	hold, done, led := make(chan struct{}), make(chan packet.Outcome, 9), make(chan packet.Packet, 9)
	r := newRig(t, map[string]handle{"source": claim, "late": func(ctx context.Context, env module.Env, p *packet.Packet) (packet.Verdict, error) {
		if p.ID == "late" {
			<-hold
		}
		return packet.Claim, env.Deliver(ctx, message("late", "led", p.ID))
	}, "led": sink(led)})
	late := normal("late")
	late.Timeout = 500 * time.Millisecond
	r.section(late, []string{"late"}, "p/late").section(normal("s"), []string{"source"}, "source").section(normal("led"), []string{"led"}, "led").start()
	s := r.env("source").Source(module.SourceConfig{Settled: func(o []packet.Outcome) { done <- o[0] }})
	s.Deliver(context.Background(), message("", "late", "late"), 1)
	if o := outcome(t, done); o.Result == packet.Claimed || o.Reason == nil || o.Reason.Condition != "remote-server-timeout" {
		t.Errorf("ended %+v", o)
	}
	close(hold)
	for tag := uint64(2); tag < 4; tag++ { // behind it, by the same key
		s.Deliver(context.Background(), message("", "late", "next"), tag)
		if o := outcome(t, done); o.Tag != tag || o.Result != packet.Claimed {
			t.Errorf("the next ended %+v, %v", o, o.Reason)
		}
		if p := receive(t, led); p.ID != "next" {
			t.Errorf("%q led to something", p.ID)
		}
	}
}

// TestAProcessSendsTooMuch has a process that takes no notice of what the core
// can bear: what is too much is refused, and nothing else is harmed.
func TestAProcessSendsTooMuch(t *testing.T) {
	const most, sent = 10, 30
	hold, done := make(chan struct{}), make(chan packet.Outcome, sent)
	r := newRig(t, map[string]handle{"source": claim, "slow": func(context.Context, module.Env, *packet.Packet) (packet.Verdict, error) {
		<-hold
		return packet.Claim, nil
	}})
	r.taken = most
	r.section(normal("slow"), []string{"slow"}, "q/slow").section(normal("s"), []string{"source"}, "p/source").start()
	s := r.env("source").Source(module.SourceConfig{Window: sent, Settled: func(o []packet.Outcome) {
		for i := range o {
			done <- o[i]
		}
	}})
	for i := range uint64(sent) {
		s.Deliver(context.Background(), message(strconv.FormatUint(i, 10)+"@source", "slow", "1"), i)
	}
	for range sent - most {
		if o := outcome(t, done); o.Result != packet.Dropped || o.Reason.Condition != "resource-constraint" {
			t.Errorf("ended %+v, %v", o, o.Reason)
		}
	}
	close(hold)
	for range most {
		if o := outcome(t, done); o.Result != packet.Claimed {
			t.Errorf("ended %+v, %v", o, o.Reason)
		}
	}
	s.Deliver(context.Background(), message("1@source", "slow", "1"), 0)
	if o := outcome(t, done); o.Result != packet.Claimed {
		t.Errorf("after all: %+v, %v", o, o.Reason)
	}
}

// TestAVerdictThatIsNone has a handler return what only explanations may say.
func TestAVerdictThatIsNone(t *testing.T) {
	both(t, func(t *testing.T, at func(string) string) {
		done := make(chan packet.Outcome, 1)
		r := newRig(t, map[string]handle{"odd": func(context.Context, module.Env, *packet.Packet) (packet.Verdict, error) {
			return packet.Refuses, nil
		}, "source": claim})
		r.section(normal("odd"), []string{"odd"}, at("odd")).section(normal("s"), []string{"source"}, "source").start()
		s := r.env("source").Source(module.SourceConfig{Settled: func(o []packet.Outcome) { done <- o[0] }})
		s.Deliver(context.Background(), message("u@source", "odd", "1"), 0)
		if o := outcome(t, done); o.Result != packet.Refused || o.Reason.Condition != "internal-server-error" {
			t.Errorf("ended %+v", o)
		}
	})
}
