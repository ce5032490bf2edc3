package exec_test

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/jabberii/server/basemods/exec"
	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sdk/sdktest"
)

// A tree that is slow, but goes on, costs a program that sends much no packet,
// also while that keeps others waiting for its verdict for longer than patience.
func TestASlowTreeCostsNoPacket(t *testing.T) {
	t.Parallel()
	const many = 120
	pace := time.NewTicker(10 * time.Millisecond)
	defer pace.Stop()
	slow := module.Module{Name: "slow", Kinds: module.On(packet.Normal), New: func(module.Env, []byte) (packet.Handler, error) {
		return packet.HandlerFunc(func(context.Context, *packet.Packet) (packet.Verdict, error) {
			<-pace.C
			return packet.Pass, nil
		}), nil
	}}
	p := plan(t, bot(t, "window", 1, "backlog", 1))
	p.Modules = append(p.Modules, slow)
	p.Sections[1] = sdktest.Section("slow", packet.Normal, sdktest.Host("example.org"), sdktest.Block("slow", `{}`), sdktest.Sink())
	h := sdktest.New(t, p, false)
	flooded := h.Send(message(fmt.Sprintf("flood %d", many)))
	for n := range many {
		if p := h.Next(); string(p.Body) != fmt.Sprintf("<n>%d</n>", n) {
			t.Fatalf("got %s, want %d", p.Body, n)
		}
	}
	if o := <-flooded; o.Result != packet.Claimed {
		t.Errorf("ended %+v", o)
	}
}

// That nothing was there to leave is not taken for a tree that takes nothing: what
// a program sends after a pause waits like all else.
func TestAPauseCostsNoPacket(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	held := module.Module{Name: "held", Kinds: module.On(packet.Normal), New: func(module.Env, []byte) (packet.Handler, error) {
		return packet.HandlerFunc(func(context.Context, *packet.Packet) (packet.Verdict, error) {
			<-release
			return packet.Pass, nil
		}), nil
	}}
	p := plan(t, bot(t, "window", 1, "backlog", 1))
	p.Modules = append(p.Modules, held)
	p.Sections[1] = sdktest.Section("held", packet.Normal, sdktest.Host("example.org"), sdktest.Block("held", `{}`), sdktest.Sink())
	h := sdktest.New(t, p, false)
	sent := h.Send(message("pause"))
	h.Logged("has sent all")
	close(release)
	for n := range 4 {
		if p := h.Next(); string(p.Body) != fmt.Sprintf("<n>%d</n>", n) {
			t.Fatalf("got %s, want %d", p.Body, n)
		}
	}
	if o := <-sent; o.Result != packet.Claimed {
		t.Errorf("ended %+v", o)
	}
}

// Two programs that send to each other without reading would wait for each other
// until the time of the packets is up.
func TestProgramsThatFloodEachOther(t *testing.T) {
	t.Parallel()
	plan := sdktest.Plan{Modules: []module.Module{exec.Module}, Sections: []module.Section{sdktest.Sinks("example.org", packet.Normal)}}
	names := []string{"one.example.org", "two.example.org"}
	for i, name := range names {
		raw, err := json.Marshal(map[string]any{
			"command": []string{"sh", script(t, "flood.sh")}, "env": map[string]string{"PEER": names[1-i]},
			"window": 4, "backlog": 10, "stop": "100ms",
		})
		if err != nil {
			t.Fatal(err)
		}
		plan.Sections = append(plan.Sections, sdktest.Section(name, packet.Normal, sdktest.Host(name), sdktest.Block("exec", string(raw))))
	}
	sdktest.Both(t, plan, func(t *testing.T, h *sdktest.Harness) {
		began := time.Now()
		send := func(name, body string) {
			p := message(body)
			p.To = name
			h.Send(p)
		}
		for _, name := range names {
			send(name, "<go/>")
		}
		done := make(chan struct{})
		asking := sync.WaitGroup{}
		asking.Go(func() { // again and again, since the answer is refused like all else while they flood
			for {
				for _, name := range names {
					send(name, "<count/>")
				}
				select {
				case <-done:
					return
				case <-time.After(200 * time.Millisecond):
				}
			}
		})
		for answered := map[string]bool{}; len(answered) < len(names); {
			p := h.Next()
			answered[p.From] = true
			t.Logf("%s has read %s after %v", p.From, p.Body, time.Since(began))
		}
		close(done)
		asking.Wait()
		if took := time.Since(began); took > 15*time.Second {
			t.Errorf("it took %v until both were done", took)
		}
		began = time.Now()
		h.Restart() // they do not listen to SIGTERM
		if took := time.Since(began); took > 3*time.Second {
			t.Errorf("stopped after %v", took)
		}
	})
}
