package tree

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"sort"
	"sync"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
)

// env is what a section lends to one link; see module.Env.
type env struct {
	e *Engine
	s *section
	l *link

	once sync.Once
	own  *source // of what is delivered outside Handle
}

var _ module.Env = (*env)(nil)

func (v *env) Section() string      { return v.s.id }
func (v *env) Kinds() []packet.Kind { return v.s.kinds }
func (v *env) Place() string        { return v.l.Place }
func (v *env) Log() *slog.Logger    { return v.e.log.of(v.s, v.l) }

func (v *env) Deliver(ctx context.Context, p *packet.Packet) error {
	t := txnOf(ctx)
	if t == nil {
		v.once.Do(func() { v.own = v.e.newSource(module.SourceConfig{}) })
		return v.own.Deliver(ctx, p, 0)
	}
	t.out = append(t.out, v.e.pool.get(p))
	return nil
}

func (v *env) Ask(ctx context.Context, q *packet.Packet) (*packet.Packet, error) {
	return v.e.Ask(ctx, q)
}

func (v *env) Answer(ctx context.Context, question, answer *packet.Packet) error {
	t := txnOf(ctx)
	if t == nil {
		return fmt.Errorf("answer to %s of %s outside of its handling", question.Name, question.To)
	}
	a := *answer
	a.Kind, a.To, a.From, a.ID, a.Host, a.Section = packet.XDB, question.From, question.To, question.ID, "", ""
	t.answer = &a
	return nil
}

func (v *env) Source(c module.SourceConfig) module.Source { return v.e.newSource(c) }

func (v *env) Attach(host string) error { return v.change(HostChange{Section: v.s.index, Host: host}) }

func (v *env) Detach(host string) error {
	return v.change(HostChange{Section: v.s.index, Host: host, Gone: true})
}

// change attaches or detaches: while handlers are made it is only noted.
func (v *env) change(h HostChange) error {
	if h.Host == packet.ServerHost {
		return errServerHost
	}
	select {
	case <-v.e.ready:
		return v.e.changeHost(h, nil)
	default:
		v.e.mu.Lock()
		defer v.e.mu.Unlock()
		v.e.made.Hosts = append(v.e.made.Hosts, h)
		return nil
	}
}

func (v *env) Serves(kind packet.Kind, host string) bool {
	b := v.e.kinds[kind].lookup(host)
	return b != nil && b.counted > 0 && b.host != "*" && b.host != ""
}

func (v *env) Hosts() []string {
	var list []string
	k := &v.e.kinds[v.s.kinds[0]]
	k.each(func(host string, b *branch) {
		for _, s := range b.sections {
			if s == v.s {
				list = append(list, host)
			}
		}
	})
	sort.Strings(list)
	return list
}

func (v *env) Path(name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(v.e.config.Data, name)
}

func (v *env) Listen(ctx context.Context, network, address string) (net.Listener, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return &listener{Listener: l, ready: v.e.ready, closed: make(chan struct{})}, nil
}

// A listener accepts once the whole server is up.
type listener struct {
	net.Listener
	ready  <-chan struct{}
	once   sync.Once
	closed chan struct{}
}

func (l *listener) Accept() (net.Conn, error) {
	select {
	case <-l.ready:
		return l.Listener.Accept()
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *listener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}
