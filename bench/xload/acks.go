package main

import (
	"fmt"
	"strconv"
	"sync/atomic"
)

const (
	nsAcks     = "urn:xmpp:sm:3"
	ackRequest = "<r xmlns='" + nsAcks + "'/>"
)

// acks is the state of stream management (XEP-0198) on one stream: what each
// side has sent is counted, and the server's counts are checked.
type acks struct {
	every int           // a request goes with every so many messages
	sent  atomic.Uint32 // stanzas since <enable/>
	acked atomic.Uint32 // of those, what the server says it handled
	got   atomic.Uint32 // stanzas since <enabled/>
	asked chan struct{} // if not nil, somebody else than the reader answers
}

// enableAcks asks for stream management with resumption, as clients do.
func (c *Conn) enableAcks(every int) error {
	a := &acks{every: every}
	if err := c.write("<enable xmlns='" + nsAcks + "' resume='true'/>"); err != nil {
		return err
	}
	for {
		el, err := c.Next()
		if err != nil {
			return fmt.Errorf("enable: %w", err)
		}
		if isElement(el, "enabled") {
			c.acks = a
			return nil
		}
		if isElement(el, "failed") {
			return fmt.Errorf("enable: %s", el)
		}
	}
}

// received counts a stanza, answers a request and checks an acknowledgement. It
// reports whether the element was stream management's own.
func (a *acks) received(c *Conn, el []byte) (own bool, err error) {
	switch {
	case isElement(el, "message"), isElement(el, "presence"), isElement(el, "iq"):
		a.got.Add(1)
		return false, nil
	case isElement(el, "r"):
		if a.asked == nil {
			return true, c.write(a.answer())
		}
		select {
		case a.asked <- struct{}{}:
		default: // the next answer is for this request too
		}
		return true, nil
	case isElement(el, "a"):
		return true, a.handled(attribute(el, "h"))
	}
	return false, nil
}

// answerApart leaves answering to a goroutine of its own, so that who reads does
// not wait where writing may take long. It ends when a write fails.
func (c *Conn) answerApart() {
	c.acks.asked = make(chan struct{}, 1)
	go func() {
		for range c.acks.asked {
			if c.write(c.acks.answer()) != nil {
				return
			}
		}
	}()
}

// answer says what this side has handled. It also goes before the end of a
// stream: what the server does not know to be handled it must deliver again.
func (a *acks) answer() string {
	return "<a xmlns='" + nsAcks + "' h='" + strconv.FormatUint(uint64(a.got.Load()), 10) + "'/>"
}

// handled takes the server's count. It only grows, and never beyond what was sent.
func (a *acks) handled(h string) error {
	n, err := strconv.ParseUint(h, 10, 32)
	if err != nil {
		return fmt.Errorf("acknowledgement with h=%q", h)
	}
	was, sent := a.acked.Load(), a.sent.Load()
	if uint32(n) < was || uint32(n) > sent {
		return fmt.Errorf("acknowledged are %d stanzas after %d, of %d sent", n, was, sent)
	}
	a.acked.Store(uint32(n))
	return nil
}

// open is how many stanzas are not acknowledged.
func (a *acks) open() uint32 { return a.sent.Load() - a.acked.Load() }
