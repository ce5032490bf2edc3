package tree_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/jabberii/server/jabberd/frame"
	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/jabberd/tree"
)

// nobody is a process that does not listen.
type nobody struct{}

func (nobody) Walk(*tree.Walk)              {}
func (nobody) Commit(*tree.Commit)          {}
func (nobody) Settle(*tree.Settlement)      {}
func (nobody) Host(*tree.HostChange)        {}
func (nobody) Explain(*tree.Explain)        {}
func (nobody) Flush()                       {}
func (nobody) FlushSoon()                   {}
func (nobody) SettleLater(*tree.Settlement) {}
func (nobody) WalkLater(*tree.Walk)         {}
func (nobody) CommitLater(*tree.Commit)     {}

// FuzzStream has an engine hear anything from the other end of its stream: a
// core from a plugin that it has given packets to, and a plugin from a core.
// Nothing panics or hangs, and when the other end is gone all ends in order.
func FuzzStream(f *testing.F) {
	message := packet.Packet{Kind: packet.Normal, To: "x@home", From: "y@home", Name: "message", Body: []byte("<body/>")}
	question := packet.Packet{Kind: packet.XDB, To: "x@home", From: "y@home", Name: "get", NS: "roster"}
	entry := packet.Packet{Kind: packet.Log, From: "home", Name: "entry", Type: "warn"}
	for _, seed := range [][]byte{
		nil,
		frame.AppendCommit(nil, &frame.Commit{Stops: []frame.Stop{{Walk: 1, Verdict: packet.Claim}, {Walk: 2, Link: 2}, {Walk: 3, Verdict: packet.Claim, Answer: &question}}, Settled: 9}),
		frame.AppendCommit(nil, &frame.Commit{Stops: []frame.Stop{{Walk: 1, Reject: packet.Refuse("gone", "")}, {Walk: 2, Link: 1, Changed: &question}}}),
		frame.AppendCommit(nil, &frame.Commit{Deliveries: []frame.Delivery{{Num: 1, Cause: 1, Packet: message}, {Num: 2, Ask: true, Timeout: time.Second, Packet: question}, {Packet: entry}}, Stops: []frame.Stop{{Walk: 1, Verdict: packet.Claim}}}),
		frame.AppendHost(frame.AppendHost(nil, &frame.HostChange{ID: 1, Section: 1, Host: "*.home"}), &frame.HostChange{ID: 2, Section: 1, Host: "*.home", Gone: true}),
		frame.AppendExplain(frame.AppendExplain(nil, &frame.Explain{ID: 1, Section: 1, Link: 33, Packet: message}), &frame.Explain{ID: 1, Answer: true, Steps: []frame.Step{{Module: "remote"}}}),
		frame.AppendWalk(nil, &frame.Walk{ID: 1, Origin: 1, Num: 1, Part: 1 << 16, Section: 1, Link: 1, Timeout: time.Second, Packet: message}),
		frame.AppendWalk(frame.AppendWalk(nil, &frame.Walk{ID: 1, Section: 2, Link: 1, Packet: question}), &frame.Walk{ID: 2, Section: 9, Link: 9, Packet: entry}),
		frame.AppendSettlement(nil, &frame.Settlement{Num: 1, Result: packet.Refused, Reason: packet.Refuse("gone", ""), Answer: &question}),
	} {
		f.Add(false, seed)
		f.Add(true, seed)
	}
	f.Fuzz(func(t *testing.T, plugin bool, data []byte) {
		r := streamRig(t)
		engine, remote := r.core, r.core.Remote("p")
		if plugin {
			engine, remote = r.plugins["p"], r.plugins["p"].Remote("")
		}
		// The decoder's memory is the frame's: what comes before a damaged record counts.
		_ = new(frame.Decoder).Decode(data, remote)
		remote.Rest(func() {})
		remote.Down()
		if !plugin {
			remote.Dead("the test ends")
		}
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := engine.Stop(ctx); err != nil {
			t.Errorf("stop: %v", err)
		}
	})
}

// streamRig has a core and a plugin that are not connected. Each has some packets
// for the other.
func streamRig(t *testing.T) *rig {
	pass := func(context.Context, module.Env, *packet.Packet) (packet.Verdict, error) { return packet.Pass, nil }
	r := newRig(t, map[string]handle{"remote": claim, "store": claim, "local": pass, "sender": claim})
	r.section(normal("other"), []string{"other"}, "sender").
		section(normal("home"), []string{"home"}, "p/remote", "local").
		section(normal("store", packet.XDB), []string{"*"}, "p/store")
	r.launchCore()
	r.launch("p")
	p := r.plugins["p"]
	all, wrong := r.core.Make(r.plan)
	made, more := p.Make(r.plan)
	if wrong = append(wrong, more...); len(wrong) > 0 {
		t.Fatal(wrong)
	}
	all.Join(made)
	for _, e := range r.engines {
		if err := e.Arrange(all); err != nil {
			t.Fatal(err)
		}
	}
	r.core.Remote("p").Up(nobody{}, r.pluginID["p"])
	p.Remote("").Up(nobody{}, r.coreID)
	for _, e := range r.engines {
		if err := e.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		e.Run()
	}
	r.core.Remote("p").Open()
	for name, to := range map[string]string{"sender": "home", "remote": "other"} {
		source := r.env(name).Source(module.SourceConfig{Window: 10, Settled: func([]packet.Outcome) {}})
		for i := range 3 {
			if err := source.Deliver(t.Context(), message("y@home", "x@"+to, "m"), uint64(i)); err != nil {
				t.Fatal(err)
			}
		}
	}
	t.Cleanup(r.close)
	return r
}

// A listing is a process that does not listen. It says what of what is sent to it can
// be late.
type listing struct {
	nobody
	late chan bool
}

func (l listing) Walk(*tree.Walk)      { l.late <- false }
func (l listing) WalkLater(*tree.Walk) { l.late <- true }

// Entries of the log wake nobody, unless they warn or there are many.
func TestEntriesThatCanWait(t *testing.T) {
	entry := func(level string) *tree.Commit {
		return &tree.Commit{Deliveries: []tree.Delivery{{Packet: packet.Packet{Kind: packet.Log, From: "p", Name: "entry", Type: level}}}}
	}
	for _, test := range []struct {
		name    string
		written []string
		late    int
	}{
		{"what somebody may want to know", []string{"info", "debug"}, 2},
		{"what somebody should know", []string{"warn", "error"}, 0},
		{"of an unknown level", []string{"x"}, 0},
		{"more than few", slices.Repeat([]string{"info"}, 40), 32},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := newRig(t, map[string]handle{"file": claim}).section(normal("all", packet.Log), []string{"*"}, "l/file")
			r.launchCore()
			made, wrong := r.core.Make(r.plan)
			if len(wrong) > 0 {
				t.Fatal(wrong)
			}
			r.launch("l")
			other, _ := r.plugins["l"].Make(r.plan)
			made.Join(other)
			if err := r.core.Arrange(made); err != nil {
				t.Fatal(err)
			}
			defer r.close()
			logs := listing{late: make(chan bool, 1000)}
			r.core.Remote("l").Up(logs, 1)
			if err := r.core.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			r.core.Run()
			r.core.Remote("l").Open()
			defer r.core.Remote("l").Dead("the test ends")
			for _, level := range test.written {
				r.core.Remote("p").OnCommit(entry(level))
			}
			late := 0
			for range test.written {
				select {
				case is := <-logs.late:
					if is {
						late++
					}
				case <-time.After(10 * time.Second):
					t.Fatal("an entry has not left")
				}
			}
			if late != test.late {
				t.Errorf("%d of %d may be late, want %d", late, len(test.written), test.late)
			}
		})
	}
}
