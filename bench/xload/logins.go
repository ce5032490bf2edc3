package main

import (
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// logins connects, authenticates, binds, closes, and waits for the server to
// close, over and over. TLS sessions are never resumed.
func logins(l *load) *Result {
	var failed failures
	var done, next atomic.Int64
	var stop, measuring atomic.Bool
	took := make([]latencies, l.workers)
	var wg sync.WaitGroup
	start := time.Now()
	for w := range l.workers {
		wg.Go(func() {
			for !stop.Load() {
				i := next.Add(1) - 1
				if l.rate > 0 {
					time.Sleep(time.Until(start.Add(time.Duration(float64(i) / l.rate * 1e9))))
				}
				began := time.Now()
				c, err := l.goIn(int(i)%l.Users, l.Resource+strconv.Itoa(w))
				if err != nil {
					failed.add(err)
					time.Sleep(20 * time.Millisecond)
					continue
				}
				if measuring.Load() {
					took[w] = append(took[w], since(began))
				}
				c.Close(true)
				done.Add(1)
			}
		})
	}
	time.Sleep(l.warmup)
	measuring.Store(true)
	from, before := l.read(), done.Load()
	time.Sleep(l.duration)
	to, after := l.read(), done.Load()
	measuring.Store(false)
	stop.Store(true)
	wg.Wait()
	r := failed.result(nil)
	r.window(from, to, float64(after-before), "logins")
	var all latencies
	for _, t := range took {
		all = append(all, t...)
	}
	r.quantiles(all)
	return r
}

// goIn logs a user in, and online if asked to.
func (l *load) goIn(i int, resource string) (*Conn, error) {
	c, err := l.Login(i, resource)
	if err == nil && l.online {
		err = l.goOnline(c)
	}
	return c, err
}
