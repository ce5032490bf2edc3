package main

import (
	"fmt"
	"sync/atomic"
	"time"
)

// offline sends messages to users who are away: the first -pairs users send to
// the -users users behind them, -messages to each. After every -window messages a sender
// waits for the answer to a ping, which most servers give when the messages are
// stored; what a server does later counts as well, since the measured window
// ends when it has become quiet. Then the users come and count.
func offline(l *load) *Result {
	var failed failures
	senders := make([]*Conn, l.pairs)
	each(l.pairs, l.workers, 0, func(i int) {
		c, err := l.Login(i, l.Resource)
		failed.add(err)
		senders[i] = c
	})
	if failed.n.Load() > 0 {
		return failed.result(nil)
	}
	total := l.Users * l.messages
	from := l.read()
	var next atomic.Int64
	each(l.pairs, l.pairs, 0, func(i int) { failed.add(l.leave(senders[i], &next)) })
	sent := time.Now()
	to := l.quiet()
	r := failed.result(nil)
	r.window(from, to, float64(total), "offline")
	r.Figures["offline_per_s"] = float64(total) / sent.Sub(from.at).Seconds()
	for _, c := range senders {
		c.Close(true)
	}
	var came atomic.Int64
	each(l.Users, l.workers, 0, func(i int) {
		n, err := l.collect(l.pairs + i)
		failed.add(err)
		came.Add(int64(n))
	})
	if lost := total - int(came.Load()); lost != 0 {
		failed.add(fmt.Errorf("%d of %d messages lost", lost, total))
	}
	checked := failed.result(r.Figures)
	checked.OK = checked.OK && r.OK
	return checked
}

// leave sends this sender's share, users in turn.
func (l *load) leave(c *Conn, next *atomic.Int64) error {
	total := l.Users * l.messages
	for {
		var batch []byte
		n := 0
		for ; n < l.window; n++ {
			i := int(next.Add(1) - 1)
			if i >= total {
				break
			}
			to := l.JID(l.First + l.pairs + i%l.Users)
			batch = fmt.Appendf(batch, "<message to='%s' type='chat' id='x%d'><body>%s</body></message>", to, i, text(l.body))
		}
		if n == 0 {
			return nil
		}
		c.socket.SetDeadline(time.Now().Add(l.Timeout))
		ping := "<iq type='get' id='sync' to='" + c.host + "'><ping xmlns='urn:xmpp:ping'/></iq>"
		if _, err := c.IQ(string(batch)+ping, "sync", n); err != nil {
			return fmt.Errorf("%s: %w", c.User, err)
		}
	}
}

// quiet waits until the server does nothing more.
func (l *load) quiet() reading {
	last := l.read()
	for range 100 {
		time.Sleep(200 * time.Millisecond)
		now := l.read()
		if now.srv.Sub(last.srv).Total() < 0.05*float64(now.at.Sub(last.at).Microseconds()) {
			return now
		}
		last = now
	}
	return last
}

// collect logs a user in and counts the messages that wait.
func (l *load) collect(i int) (n int, err error) {
	c, err := l.Login(i, l.Resource)
	if err != nil {
		return 0, err
	}
	defer c.Close(true)
	if err := c.Send([]byte("<presence/>"), 1); err != nil {
		return 0, err
	}
	c.socket.SetReadDeadline(time.Now().Add(5 * time.Second))
	for n < l.messages {
		el, err := c.Next()
		if err != nil {
			return n, fmt.Errorf("%s, after %d messages: %w", c.User, n, err)
		}
		if isElement(el, "message") && !isError(el) {
			n++
		}
	}
	return n, nil
}
