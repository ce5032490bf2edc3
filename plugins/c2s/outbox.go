package c2s

import (
	"sync"
	"time"

	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/xmpp/ns"
	"github.com/jabberii/server/plugins/xmpp/stream"
)

// A write to a client may take 30 to 40 seconds: a deadline costs too much to
// be set for each.
const (
	writeTimeout = 40 * time.Second
	renewAfter   = 20 // ticks
)

// An outbox is what is to be written to a client. One goroutine writes while
// there is something: all that has come meanwhile goes out in one write.
type outbox struct {
	mu      sync.Mutex
	buf     []byte
	writing bool
	renewed uint32        // the tick in which the deadline of writes was set
	ended   bool          // nothing more is taken; the connection is closed after what there is
	idle    chan struct{} // closed when nothing is being written; nil if nobody waits
}

// write appends a packet to what is written to the client.
func (c *conn) write(p *packet.Packet) {
	c.put(false, func(dst []byte) []byte {
		dst = c.t.AppendElement(dst, p)
		if p.Flags&packet.WantsAck != 0 {
			dst = c.t.AppendElement(dst, &packet.Packet{Name: "r", NS: ns.StreamManagement})
		}
		return dst
	})
}

// end closes the stream, with an error unless condition is "".
func (c *conn) end(condition stream.Condition) {
	if condition == "" {
		c.endWith(nil)
		return
	}
	c.endWith(&stream.Error{Condition: condition})
}

// endWith closes the stream, with an error unless it is nil.
func (c *conn) endWith(e *stream.Error) {
	c.put(true, func(dst []byte) []byte { return c.t.AppendEnd(dst, e) })
}

// put appends to the outbox and sees that it is written.
func (c *conn) put(last bool, add func([]byte) []byte) {
	o := &c.out
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.ended {
		return
	}
	if len(o.buf) > int(c.s.args.Buffer) {
		o.ended = true
		o.buf = nil
		c.s.env.Log().Warn("the client reads too slowly; its connection is closed", "client", c.remote())
		c.close(c.t.Cut)
		return
	}
	o.buf = add(o.buf)
	o.ended = last
	if !o.writing {
		o.writing = true
		go c.flush()
	}
}

// flush writes until nothing is left.
func (c *conn) flush() {
	o := &c.out
	var spare []byte
	for {
		o.mu.Lock()
		b := o.buf
		o.buf = spare
		if len(b) == 0 {
			o.writing, o.buf = false, nil
			if o.ended {
				c.hangUp()
			}
			if o.idle != nil {
				close(o.idle)
				o.idle = nil
			}
			o.mu.Unlock()
			return
		}
		o.mu.Unlock()
		if now := c.s.ticks.Load(); o.renewed == 0 || now-o.renewed > renewAfter {
			c.t.SetWriteDeadline(time.Now().Add(writeTimeout))
			o.renewed = max(now, 1)
		}
		if _, err := c.t.Write(b); err != nil {
			c.close(c.t.Cut)
			o.mu.Lock()
			o.ended, o.buf = true, nil
			o.mu.Unlock()
		}
		spare = b[:0]
	}
}

// wait returns when nothing is being written.
func (o *outbox) wait() {
	o.mu.Lock()
	if !o.writing {
		o.mu.Unlock()
		return
	}
	if o.idle == nil {
		o.idle = make(chan struct{})
	}
	idle := o.idle
	o.mu.Unlock()
	<-idle
}
