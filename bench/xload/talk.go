package main

import (
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/jabberii/server/bench/proc"
)

// A talk is sessions that have been idle and now all chat, each with its
// neighbour.
type talk struct {
	*load
	heard   atomic.Int64 // messages that have come
	refused atomic.Int64 // messages that came back
}

// listen reads a stream until it ends, and counts what it is told.
func (v *talk) listen(c *Conn) error {
	for {
		el, err := c.Next()
		switch {
		case err != nil:
			return err
		case !isElement(el, "message"):
		case attribute(el, "type") == "error":
			v.refused.Add(1)
		default:
			v.heard.Add(1)
		}
	}
}

// run has each session say so many messages to its neighbour, and adds to the
// figures what that took. It waits until all have come, for as long as drain at most
// after the last did.
func (v *talk) run(conns []*Conn, r *Result, failed *failures) {
	from := v.read()
	each(len(conns), v.workers, v.rate, func(i int) {
		c, to := conns[i], conns[i^1]
		if c == nil || to == nil {
			return
		}
		for n := range v.say {
			message := "<message type='chat' to='" + to.JID + "' id='t" + strconv.Itoa(n) + "'><body>" + text(v.body) + "</body></message>"
			if err := c.Send([]byte(message), 1); err != nil {
				failed.add(err)
				return
			}
		}
	})
	want := int64(len(conns) * v.say)
	for last, since := int64(-1), time.Now(); v.heard.Load()+v.refused.Load() < want && time.Since(since) < v.drain; time.Sleep(10 * time.Millisecond) {
		if heard := v.heard.Load(); heard > last {
			last, since = heard, time.Now()
		}
	}
	to := v.read()
	if heard := v.heard.Load(); heard != want {
		failed.add(fmt.Errorf("%d messages of %d have come, %d came back", heard, want, v.refused.Load()))
	}
	r.Figures["talk_messages"] = float64(v.heard.Load())
	r.Figures["talk_seconds"] = to.at.Sub(from.at).Seconds()
	r.Figures["talk_srv_us"] = to.srv.Sub(from.srv).Total() / float64(want)
	r.Figures["talk_rss_mib"] = float64(proc.MemoryOf(v.pids...).RSS) / 1024
}
