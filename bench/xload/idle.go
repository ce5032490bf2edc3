package main

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jabberii/server/bench/proc"
)

// idle opens sessions that then do nothing but read, answer requests for
// acknowledgements, and wait. Memory is read before, after all have logged in,
// and after a while. Then, if they are to, they talk.
func idle(l *load) *Result {
	var failed failures
	var lost atomic.Int64
	var closing atomic.Bool
	var readers sync.WaitGroup
	v := &talk{load: l}
	conns := make([]*Conn, l.warm+l.Users)
	open := func(i int) {
		c, err := l.available(i)
		if err != nil {
			failed.add(err)
			return
		}
		conns[i] = c
		readers.Go(func() {
			if err := v.listen(c); !closing.Load() {
				lost.Add(1)
				failed.add(fmt.Errorf("%s: %w", c.User, err))
			}
		})
	}
	each(l.warm, l.workers, l.rate, open)
	time.Sleep(l.hold) // what the start and the first logins have left is not theirs
	memory := l.memoryAtRest()
	from := l.read()
	each(l.Users, l.workers, l.rate, func(i int) { open(l.warm + i) })
	to := l.read()
	loggedIn := proc.MemoryOf(l.pids...)
	time.Sleep(l.hold / 5)
	quiet := l.read()
	time.Sleep(l.hold - l.hold/5)
	still := l.read()
	held := l.memoryAtRest()
	n := float64(max(int64(l.Users)-failed.n.Load(), 1))
	r := &Result{Figures: map[string]float64{
		"sessions":                     n,
		"rss_before_mib":               float64(memory.RSS) / 1024,
		"rss_after_mib":                float64(held.RSS) / 1024,
		"rss_kib_per_session":          float64(held.RSS-memory.RSS) / n,
		"pss_kib_per_session":          float64(held.PSS-memory.PSS) / n,
		"pss_kib_per_session_at_login": float64(loggedIn.PSS-memory.PSS) / n,
		"idle_srv_cores":               still.srv.Sub(quiet.srv).Total() / 1e6 / still.at.Sub(quiet.at).Seconds(),
	}}
	if l.say > 0 {
		v.run(conns[l.warm:], r, &failed)
	}
	found := failed.result(r.Figures)
	found.Figures["lost_sessions"] = float64(lost.Load())
	found.window(from, to, n, "logins")
	closing.Store(true)
	each(len(conns), l.workers, 0, func(i int) {
		if conns[i] != nil {
			conns[i].Close(false)
		}
	})
	return found
}

// memoryAtRest is the server's memory when it falls no more: by less than a
// fiftieth in half the time to hold. On a busy machine a server may give back
// late what its start has left, which would then be taken from its sessions.
func (l *load) memoryAtRest() proc.Memory {
	last := proc.MemoryOf(l.pids...)
	for range 12 {
		time.Sleep(l.hold / 2)
		now := proc.MemoryOf(l.pids...)
		if now.PSS >= last.PSS-last.PSS/50 {
			return now
		}
		last = now
	}
	return last
}

// available logs a user in as clients do: the roster, if there should be
// contacts in it, then presence.
func (l *load) available(i int) (*Conn, error) {
	c, err := l.Login(i, l.Resource)
	if err != nil {
		return nil, err
	}
	return c, l.goOnline(c)
}

func (l *load) goOnline(c *Conn) (err error) {
	if l.Contacts > 0 {
		var r roster
		if r, err = c.fetchRoster(); err == nil && r.mutual() != l.Contacts {
			err = fmt.Errorf("%s has %d contacts, not %d", c.User, r.mutual(), l.Contacts)
		}
	}
	if err == nil {
		err = c.Present()
	}
	if err != nil {
		c.socket.Close()
	}
	return err
}

// discard reads a stream until it ends.
func discard(c *Conn) error {
	for {
		if _, err := c.Next(); err != nil {
			return err
		}
	}
}
