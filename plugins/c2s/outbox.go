package c2s

import (
	"context"
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

// An outbox is what is to be written to a client. Whoever has handled all that
// came together writes it, as far as that does not wait; for the rest, and for
// what comes from elsewhere, there is a goroutine while there is something.
type outbox struct {
	mu      sync.Mutex
	buf     *buffer       // nil if there is nothing
	writing bool          // somebody writes, or is about to
	renewed uint32        // the tick in which the deadline of writes was set
	ended   bool          // nothing more is taken; the connection is closed after what there is
	idle    chan struct{} // closed when nothing is being written; nil if nobody waits
}

// A buffer is taken from a pool while there is something in it.
type buffer struct{ b []byte }

// largeBuffer is what is not kept for others.
const largeBuffer = 64 << 10

var buffers = sync.Pool{New: func() any { return new(buffer) }}

// leave gives a buffer back.
func (b *buffer) leave() {
	if b.b = b.b[:0]; cap(b.b) <= largeBuffer {
		buffers.Put(b)
	}
}

// write appends a packet to what is written to the client.
func (c *conn) write(p *packet.Packet) {
	c.put(false, func(dst []byte) []byte { return c.t.AppendElement(dst, p) })
}

// writeTogether is write within Handle, with what else came together.
func (c *conn) writeTogether(ctx context.Context, p *packet.Packet) {
	first := c.append(false, func(dst []byte) []byte {
		dst = c.t.AppendElement(dst, p)
		if p.Flags&packet.WantsAck != 0 {
			dst = c.t.AppendElement(dst, &packet.Packet{Name: "r", NS: ns.StreamManagement})
		}
		return dst
	})
	if first {
		c.s.gather(ctx, c)
	}
}

// end closes the stream, with an error unless condition is "".
func (c *conn) end(condition stream.Condition) { c.endFor(condition, nil) }

// endFor is end with an element that says more.
func (c *conn) endFor(condition stream.Condition, app []byte) {
	if condition == "" {
		c.endWith(nil)
		return
	}
	c.endWith(&stream.Error{Condition: condition, App: app})
}

// endWith closes the stream, with an error unless it is nil.
func (c *conn) endWith(e *stream.Error) {
	c.put(true, func(dst []byte) []byte { return c.t.AppendEnd(dst, e) })
}

// put appends to the outbox and sees that it is written.
func (c *conn) put(last bool, add func([]byte) []byte) {
	if c.append(last, add) {
		go c.flush()
	}
}

// append appends to the outbox, and reports whether the caller has to see that it
// is written.
func (c *conn) append(last bool, add func([]byte) []byte) bool {
	o := &c.out
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.ended {
		return false
	}
	if o.buf == nil {
		o.buf = buffers.Get().(*buffer)
	}
	if len(o.buf.b) > int(c.s.args.Buffer) {
		o.ended = true
		o.buf = nil
		c.s.env.Log().Warn("the client reads too slowly; its connection is closed", "client", c.remote())
		c.close(c.t.Cut)
		return false
	}
	o.buf.b = add(o.buf.b)
	if o.ended = last; last {
		c.ending.Store(true) // before the client can answer
	}
	first := !o.writing
	o.writing = true
	return first
}

// take takes what is to be written. If that is nothing, nobody writes any more.
func (c *conn) take() *buffer {
	o := &c.out
	o.mu.Lock()
	defer o.mu.Unlock()
	b := o.buf
	o.buf = nil
	if b != nil && len(b.b) > 0 {
		return b
	}
	o.writing = false
	if o.ended {
		c.hangUp()
	}
	if o.idle != nil {
		close(o.idle)
		o.idle = nil
	}
	return nil
}

// flush writes until nothing is left.
func (c *conn) flush() {
	for b := c.take(); b != nil; b = c.take() {
		c.flushOne(b.b)
		b.leave()
	}
}

func (c *conn) flushOne(b []byte) {
	o := &c.out
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
}

// An eager transport can be tried: it writes as much as it can without waiting.
type eager interface {
	Try(b []byte) (n int)
}

// tryFlush is flush as far as that does not wait. A goroutine does the rest.
func (c *conn) tryFlush() {
	t, ok := c.t.(eager)
	if !ok {
		go c.flush()
		return
	}
	b := c.take()
	if b == nil {
		return
	}
	if n := t.Try(b.b); n < len(b.b) {
		go func() {
			c.flushOne(b.b[n:])
			b.leave()
			c.flush()
		}()
		return
	}
	b.leave()
	if b = c.take(); b != nil { // has come meanwhile
		go func() {
			c.flushOne(b.b)
			b.leave()
			c.flush()
		}()
	}
}

// hold has what comes wait until somebody calls flush.
func (o *outbox) hold() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.writing = true
}

// forget has nothing more written, nor what was held.
func (o *outbox) forget() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.writing, o.ended, o.buf = false, true, nil
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
