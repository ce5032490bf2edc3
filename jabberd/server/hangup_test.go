package server_test

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"testing"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
)

// hear reports SIGHUP, if it has somebody to report to.
type hear struct {
	env module.Env
	reportArgs
}

func newHear(env module.Env, a reportArgs) (packet.Handler, error) { return &hear{env, a}, nil }

func (h *hear) Start(context.Context) error {
	if h.To == "" {
		return nil
	}
	report, err := newReporter(h.To)
	if err != nil {
		return err
	}
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	go func() {
		for range hangup {
			report.say("hung up")
		}
	}()
	return nil
}

func (h *hear) Handle(ctx context.Context, p *packet.Packet) (packet.Verdict, error) {
	return packet.Claim, h.env.Answer(ctx, p, &packet.Packet{Name: "here"})
}

func TestHangupReachesProcessesAndEndsNone(t *testing.T) {
	b := newBench(t)
	at := func(host, process string, args reportArgs) module.Section {
		return module.Section{ID: host, Kinds: module.On(packet.XDB), Chain: []module.Link{attach(host), link("hear", process, args)}}
	}
	s := b.start(b.plan(at("example.org", "deaf", reportArgs{}), at("example.net", "hears", reportArgs{To: b.to})))
	before := s.Status()
	s.ReopenLogs()
	if got := b.next(); got != "hung up" {
		t.Errorf("reported %q", got)
	}
	for host, process := range map[string]string{"example.org": "deaf", "example.net": "hears"} {
		q := ask("get")
		q.To = "ann@" + host
		if answer, err := s.Ask(t.Context(), q); err != nil || answer.Name != "here" {
			t.Errorf("%s answers %+v, %v", process, answer, err)
		}
		if now := s.Status(); pid(t, now, process) != pid(t, before, process) {
			t.Errorf("%s has died", process)
		}
	}
}
