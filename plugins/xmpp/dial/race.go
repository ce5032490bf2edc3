package dial

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"time"
)

// headStart is how long an address is tried alone (RFC 8305 part 5).
const headStart = 250 * time.Millisecond

type result struct {
	conn net.Conn
	err  error
}

// race opens the addresses in their order, each when the one before has failed or has
// had its head start, and returns the first connection that succeeds. When it returns,
// the others are being cancelled, and closed should they succeed all the same.
func race(ctx context.Context, addrs []netip.Addr, open func(context.Context, netip.Addr) (net.Conn, error)) (net.Conn, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	results := make(chan result, len(addrs)) // so that nobody is left behind
	timer := time.NewTimer(headStart)
	defer timer.Stop()
	running, errs := 0, []error(nil)
	start := func() {
		addr := addrs[0]
		addrs = addrs[1:]
		running++
		go func() {
			conn, err := open(ctx, addr)
			results <- result{conn, err}
		}()
		timer.Reset(headStart)
	}
	for {
		if running == 0 {
			if len(addrs) == 0 {
				return nil, errors.Join(errs...)
			}
			start()
		}
		select {
		case <-timer.C:
			if len(addrs) > 0 {
				start()
			}
		case r := <-results:
			running--
			if r.err == nil {
				go closeLate(results, running)
				return r.conn, nil
			}
			errs = append(errs, r.err)
			if len(addrs) > 0 && ctx.Err() == nil {
				start()
			}
		case <-ctx.Done():
			go closeLate(results, running)
			return nil, errors.Join(append(errs, ctx.Err())...)
		}
	}
}

// closeLate takes the results of those who lost.
func closeLate(results <-chan result, running int) {
	for range running {
		if r := <-results; r.err == nil {
			r.conn.Close()
		}
	}
}
