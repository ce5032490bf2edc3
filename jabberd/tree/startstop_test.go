package tree_test

import (
	"context"
	"net"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/jabberd/tree"
)

// TestListenersOpenLast has a connection come before all has started: it waits.
func TestListenersOpenLast(t *testing.T) {
	var running atomic.Bool
	accepted := make(chan bool, 1)
	r := newRig(t, map[string]handle{"x": claim})
	r.section(normal("x"), []string{"x"}, "x")
	t.Cleanup(r.close)
	r.launchCore()
	made, _ := r.core.Make(r.plan)
	if err := r.core.Arrange(made); err != nil {
		t.Fatal(err)
	}
	if err := r.core.Start(context.Background()); err != nil {
		t.Fatal(err)
	}
	l, err := r.env("x").Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	go func() {
		if c, err := l.Accept(); err == nil {
			c.Close()
		}
		accepted <- running.Load()
	}()
	for range 1000 { // give them every chance
		runtime.Gosched()
	}
	running.Store(true)
	r.core.Run()
	if !<-accepted {
		t.Error("a connection was accepted before all had started")
	}
}

// TestStopDrains stops a server that has a packet under way.
func TestStopDrains(t *testing.T) {
	begun, hold, done := make(chan struct{}), make(chan struct{}), make(chan packet.Outcome, 1)
	r := newRig(t, map[string]handle{"other": claim, "slow": func(context.Context, module.Env, *packet.Packet) (packet.Verdict, error) {
		close(begun)
		<-hold
		return packet.Claim, nil
	}})
	r.section(normal("slow"), []string{"slow"}, "slow").section(normal("other"), []string{"other"}, "other").start()
	s := r.env("slow").Source(module.SourceConfig{Settled: func(o []packet.Outcome) { done <- o[0] }})
	if err := s.Deliver(context.Background(), message("u@home", "slow", ""), 0); err != nil {
		t.Fatal(err)
	}
	<-begun
	stopped := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		stopped <- r.core.Stop(ctx)
	}()
	news := r.env("other").Source(module.SourceConfig{})
	for news.Deliver(context.Background(), message("u@home", "other", ""), 0) == nil {
		runtime.Gosched() // until there is no new work
	}
	if len(stopped) > 0 {
		t.Error("it stopped with a packet under way")
	}
	close(hold)
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	if o := outcome(t, done); o.Result != packet.Claimed {
		t.Errorf("ended %+v", o)
	}
}

// A closer notes when it is closed.
type closer struct {
	packet.Handler
	close func() error
}

func (c closer) Close() error { return c.close() }

// TestStopsInOrder closes handlers that need storage before storage, and logs last,
// however they stand in the file.
func TestStopsInOrder(t *testing.T) {
	var closed []string
	all := []packet.Kind{packet.Normal, packet.Session, packet.XDB, packet.Log}
	m := module.Define("x", "", all, func(env module.Env, _ struct{}) (packet.Handler, error) {
		return closer{packet.HandlerFunc(func(context.Context, *packet.Packet) (packet.Verdict, error) { return packet.Claim, nil }), func() error {
			closed = append(closed, env.Section())
			return nil
		}}, nil
	})
	e := tree.New(tree.Config{Core: true, ID: 1, Modules: []module.Module{m}})
	var plan []module.Section
	for _, s := range []struct {
		id    string
		kinds []packet.Kind
	}{
		{"log", []packet.Kind{packet.Log}}, {"c2s", []packet.Kind{packet.Session}}, {"store", []packet.Kind{packet.XDB}},
		{"users", []packet.Kind{packet.Normal, packet.Session}}, {"other store", []packet.Kind{packet.XDB}}, {"other log", []packet.Kind{packet.Log}},
	} {
		plan = append(plan, module.Section{ID: s.id, Kinds: s.kinds, Chain: []module.Link{{Module: "x"}}})
	}
	made, wrong := e.Make(plan)
	if len(wrong) > 0 {
		t.Fatal(wrong[0].Error())
	}
	if err := e.Arrange(made); err != nil {
		t.Fatal(err)
	}
	if err := e.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	e.Run()
	if err := e.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if want := []string{"users", "c2s", "other store", "store", "other log", "log"}; !slices.Equal(closed, want) {
		t.Errorf("closed in the order %v, want %v", closed, want)
	}
}
