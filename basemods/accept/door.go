package accept

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jabberii/server/jabberd/module"
)

// A door is where connections come in.
type door struct {
	env       module.Env
	most      int // connections at once
	listeners []net.Listener
	open      atomic.Int64
}

// listen binds the listeners. For whom says the log.
func (d *door) listen(ctx context.Context, addresses []string, whom string, more ...any) error {
	for _, address := range addresses {
		l, err := d.env.Listen(ctx, "tcp", address)
		if err != nil {
			return err
		}
		d.listeners = append(d.listeners, l)
		d.env.Log().Info("listening for "+whom, append([]any{"address", l.Addr().String()}, more...)...)
	}
	return nil
}

// run has connections served until ctx is done and the last of them has ended.
func (d *door) run(ctx context.Context, serve func(context.Context, net.Conn)) {
	var all sync.WaitGroup
	for _, l := range d.listeners {
		stop := context.AfterFunc(ctx, func() { l.Close() })
		defer stop()
		all.Go(func() { d.accept(ctx, l, &all, serve) })
	}
	all.Wait()
}

// accept takes connections until the listener is closed.
func (d *door) accept(ctx context.Context, l net.Listener, all *sync.WaitGroup, serve func(context.Context, net.Conn)) {
	for {
		nc, err := l.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil: // too many open files: wait for some to be closed
			d.env.Log().Warn("accept: " + err.Error())
			select {
			case <-ctx.Done():
				return
			case <-time.After(100 * time.Millisecond):
			}
			continue
		case d.open.Load() >= int64(d.most):
			nc.Close()
			continue
		}
		d.open.Add(1)
		all.Go(func() {
			defer d.open.Add(-1)
			serve(ctx, nc)
		})
	}
}
