package sdktest

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
)

// The harness's own modules have names that no configuration can write.
const (
	hostName = "sdktest.host"
	sinkName = "sdktest.sink"
	ownName  = "sdktest.own"
)

func (h *Harness) modules() []module.Module {
	all := module.On(packet.Normal, packet.Session, packet.XDB, packet.Log)
	return []module.Module{
		{Name: hostName, Kinds: all, Passive: true, New: newHost},
		{Name: sinkName, Kinds: all, New: func(module.Env, []byte) (packet.Handler, error) { return sink{h.sunk}, nil }},
		{Name: ownName, Kinds: all, New: func(env module.Env, _ []byte) (packet.Handler, error) { return own{env, h.env}, nil }},
	}
}

func newHost(env module.Env, raw []byte) (packet.Handler, error) {
	var args struct {
		Label string `json:"label"`
	}
	if err := json.Unmarshal(raw, &args); err != nil {
		return nil, err
	}
	return nil, env.Attach(args.Label)
}

// A sink claims packets and keeps them.
type sink struct{ to *mailbox[packet.Packet] }

func (s sink) Handle(_ context.Context, p *packet.Packet) (packet.Verdict, error) {
	s.to.put(p)
	return packet.Claim, nil
}

// own is the section from which the test delivers and asks.
type own struct {
	env module.Env
	to  chan<- module.Env
}

func (o own) Handle(context.Context, *packet.Packet) (packet.Verdict, error) {
	return packet.Pass, nil
}

func (o own) Run(ctx context.Context) error {
	o.to <- o.env
	<-ctx.Done()
	return nil
}

// A mailbox is a queue without an end.
type mailbox[T any] struct {
	mu    sync.Mutex
	queue []T
	some  chan struct{} // has a token while there is something in queue
}

func newMailbox[T any]() *mailbox[T] { return &mailbox[T]{some: make(chan struct{}, 1)} }

func (m *mailbox[T]) put(v *T) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.queue = append(m.queue, *v)
	m.signal()
}

func (m *mailbox[T]) signal() {
	select {
	case m.some <- struct{}{}:
	default:
	}
}

func (m *mailbox[T]) next(patience time.Duration) (v T, ok bool) {
	late := time.NewTimer(patience)
	defer late.Stop()
	for {
		select {
		case <-m.some:
		case <-late.C:
			return v, false
		}
		m.mu.Lock()
		if len(m.queue) == 0 {
			m.mu.Unlock()
			continue
		}
		v, m.queue = m.queue[0], m.queue[1:]
		if len(m.queue) > 0 {
			m.signal()
		}
		m.mu.Unlock()
		return v, true
	}
}

func (m *mailbox[T]) all() []T {
	m.mu.Lock()
	defer m.mu.Unlock()
	q := m.queue
	m.queue = nil
	return q
}
