package main

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// rosters has every user fetch its roster, over and over.
func rosters(l *load) *Result {
	var failed failures
	var done atomic.Int64
	var stop, measuring atomic.Bool
	conns := make([]*Conn, l.Users)
	each(l.Users, l.workers, 0, func(i int) {
		c, err := l.Login(i, l.Resource)
		failed.add(err)
		conns[i] = c
	})
	took := make([]latencies, l.Users)
	var wg sync.WaitGroup
	for i, c := range conns {
		if c == nil {
			continue
		}
		wg.Go(func() {
			defer c.Close(false)
			for !stop.Load() {
				began := time.Now()
				r, err := c.fetchRoster()
				if err == nil && r.mutual() != l.Contacts {
					err = fmt.Errorf("%s has %d contacts, not %d", c.User, r.mutual(), l.Contacts)
				}
				if err != nil {
					failed.add(err)
					return
				}
				if measuring.Load() {
					took[i] = append(took[i], since(began))
				}
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
	r.window(from, to, float64(after-before), "rosters")
	var all latencies
	for _, t := range took {
		all = append(all, t...)
	}
	r.quantiles(all)
	return r
}
