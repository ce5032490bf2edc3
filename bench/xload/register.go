package main

import (
	"bytes"
	"fmt"
	"sync/atomic"
)

// register makes accounts in band (XEP-0077). Those that exist are left alone.
func register(l *load) *Result {
	var failed failures
	var made, known atomic.Int64
	each(l.Users, l.workers, l.rate, func(i int) {
		c, _, err := l.dial(l.First + i)
		if err != nil {
			failed.add(err)
			return
		}
		defer c.Close(false)
		user := l.User(l.First + i)
		el, err := c.IQ("<iq type='set' id='r1' to='"+l.Host(l.First+i)+"'><query xmlns='jabber:iq:register'><username>"+user+
			"</username><password>"+l.Password+"</password></query></iq>", "r1", 0)
		switch {
		case err != nil:
			failed.add(err)
		case attribute(el, "type") == "result":
			made.Add(1)
		case bytes.Contains(el, []byte("conflict")):
			known.Add(1)
		default:
			failed.add(fmt.Errorf("register %s: %s", user, el))
		}
	})
	return failed.result(map[string]float64{"registered": float64(made.Load()), "known": float64(known.Load())})
}
