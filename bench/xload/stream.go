package main

import (
	"bytes"
	"crypto/tls"
	"errors"
	"net"
	"strings"
	"sync"
	"time"
)

// A Conn is one client stream. Reading is framing only: it finds the ends of the
// elements below the stream's own and hands out the bytes between. One goroutine
// reads; any may write.
type Conn struct {
	config *Config
	host   string // the user's domain
	socket net.Conn
	User   string // the local part that it authenticated as
	JID    string // the full address that the server gave it
	acks   *acks  // XEP-0198, nil without

	beforeRead func() // may be nil; called when all that was read has been dealt with

	buf    []byte
	r, w   int // unread bytes are buf[r:w]
	pos    int // where to scan on, r <= pos <= w
	start  int // of the element that is being scanned
	depth  int
	header bool // the stream header was seen
}

var errStreamClosed = errors.New("the server closed the stream")

// restart begins a new stream over the same socket (RFC 6120, 4.3.3).
func (c *Conn) restart() {
	c.r, c.w, c.pos, c.depth, c.header = 0, 0, 0, 0, false
}

// fill reads more, and makes room for it first.
func (c *Conn) fill() error {
	switch {
	case c.r > 0 && c.r == c.w:
		c.r, c.w, c.pos, c.start = 0, 0, 0, 0
	case c.r > 0 && c.w == len(c.buf):
		n := c.r
		copy(c.buf, c.buf[n:c.w])
		c.r, c.w, c.pos, c.start = 0, c.w-n, c.pos-n, c.start-n
	}
	if c.w == len(c.buf) {
		larger := make([]byte, len(c.buf)*2)
		copy(larger, c.buf[:c.w])
		c.buf = larger
	}
	n, err := c.socket.Read(c.buf[c.w:])
	c.w += n
	if n > 0 {
		return nil
	}
	return err
}

// grow makes the buffer large enough for the reads of a busy stream.
func (c *Conn) grow(size int) {
	if len(c.buf) < size {
		larger := make([]byte, size)
		copy(larger, c.buf[:c.w])
		c.buf = larger
	}
}

// Next returns the next element below the stream's, or the stream header itself;
// it is valid until the next call. What XEP-0198 needs is dealt with on the way.
func (c *Conn) Next() ([]byte, error) {
	for {
		el, done, err := c.scan()
		switch {
		case err != nil:
			return nil, err
		case !done:
			if c.beforeRead != nil {
				c.beforeRead()
			}
			if err := c.fill(); err != nil {
				return nil, err
			}
		case c.acks == nil:
			return el, nil
		default:
			own, err := c.acks.received(c, el)
			if err != nil {
				return nil, err
			}
			if !own {
				return el, nil
			}
		}
	}
}

// scan goes on to the end of an element, as far as what was read reaches.
func (c *Conn) scan() (el []byte, done bool, err error) {
	for {
		i := bytes.IndexByte(c.buf[c.pos:c.w], '<')
		if i < 0 {
			c.pos = c.w
			if c.depth == 0 {
				c.r = c.w
			}
			return nil, false, nil
		}
		c.pos += i
		tag := c.pos
		if c.depth == 0 {
			c.start, c.r = tag, tag
		}
		b := c.buf[tag:c.w]
		end := tagEnd(b)
		if end < 0 {
			return nil, false, nil
		}
		c.pos = tag + end + 1
		switch {
		case b[1] == '?':
			if c.depth == 0 {
				c.r = c.pos
			}
			continue
		case b[1] == '/':
			c.depth--
			if c.depth < 0 {
				return nil, false, errStreamClosed
			}
		case b[end-1] == '/':
		case !c.header:
			c.header = true
			c.r = c.pos
			return b[:end+1], true, nil
		default:
			c.depth++
		}
		if c.depth == 0 {
			c.r = c.pos
			return c.buf[c.start:c.pos], true, nil
		}
	}
}

// tagEnd finds the '>' of the tag that b begins with, -1 if it is not there yet.
func tagEnd(b []byte) int {
	for i := 1; i < len(b); i++ {
		switch b[i] {
		case '>':
			return i
		case '\'', '"':
			n := bytes.IndexByte(b[i+1:], b[i])
			if n < 0 {
				return -1
			}
			i += n + 1
		}
	}
	return -1
}

// Send writes bytes that hold so many stanzas.
func (c *Conn) Send(p []byte, stanzas int) error {
	if c.acks != nil {
		c.acks.sent.Add(uint32(stanzas))
	}
	_, err := c.socket.Write(p)
	return err
}

// write is for what is no stanza.
func (c *Conn) write(s string) error { return c.Send([]byte(s), 0) }

// IQ writes a request and reads until the answer with that id. Stanzas that are
// sent with it, before it, are counted in before.
func (c *Conn) IQ(request, id string, before int) ([]byte, error) {
	if err := c.Send([]byte(request), before+1); err != nil {
		return nil, err
	}
	for {
		el, err := c.Next()
		if err != nil {
			return nil, err
		}
		if isElement(el, "iq") && attribute(el, "id") == id {
			return el, nil
		}
		if isElement(el, "stream:error") {
			return nil, errors.New(string(el))
		}
	}
}

// Present sends initial presence and waits until the server has dealt with it.
func (c *Conn) Present() error {
	c.socket.SetDeadline(time.Now().Add(c.config.Timeout))
	_, err := c.IQ("<presence/><iq type='get' id='sync' to='"+c.host+"'><ping xmlns='urn:xmpp:ping'/></iq>", "sync", 1)
	c.socket.SetDeadline(time.Time{})
	return err
}

// end ends our side of the stream.
func (c *Conn) end() {
	end := "</stream:stream>"
	if c.acks != nil {
		end = c.acks.answer() + end
	}
	c.write(end)
}

// hangUp ends streams that others read, and waits a moment for the server to end
// them too. A socket that is closed with something unread in it is reset, and then
// the server does not see the last acknowledgement either: it keeps what it was for,
// and the next load finds that.
func hangUp(conns []*Conn, readers *sync.WaitGroup) {
	for _, c := range conns {
		if c != nil {
			c.socket.SetDeadline(time.Now().Add(10 * time.Second))
			c.end()
		}
	}
	readers.Wait()
	for _, c := range conns {
		if c != nil {
			c.socket.Close()
		}
	}
}

// Close ends the stream, and may wait a moment for the server to end it too:
// then nobody else reads.
func (c *Conn) Close(wait bool) {
	c.end()
	if wait {
		c.socket.SetReadDeadline(time.Now().Add(2 * time.Second))
		if t, ok := c.socket.(*tls.Conn); ok {
			t.CloseWrite()
		}
		for {
			if _, err := c.Next(); err != nil {
				break
			}
		}
	}
	c.socket.Close()
}

// isElement reports whether el is an element of that name, prefix included.
func isElement(el []byte, name string) bool {
	if len(el) < len(name)+2 || string(el[1:1+len(name)]) != name {
		return false
	}
	return strings.IndexByte(" >/\n\t", el[1+len(name)]) >= 0
}

// attribute finds an attribute in the first tag of el.
func attribute(el []byte, name string) string {
	end := tagEnd(el)
	if end < 0 {
		return ""
	}
	tag := el[:end]
	for {
		i := bytes.Index(tag, []byte(name+"="))
		if i < 0 {
			return ""
		}
		rest := tag[i+len(name)+1:]
		if i > 0 && strings.IndexByte(" \n\t", tag[i-1]) >= 0 && len(rest) > 1 {
			if n := bytes.IndexByte(rest[1:], rest[0]); n >= 0 {
				return string(rest[1 : 1+n])
			}
			return ""
		}
		tag = tag[i+1:]
	}
}

// content returns the text of the first element of that name in el.
func content(el []byte, name string) string {
	i := bytes.Index(el, []byte("<"+name))
	if i < 0 {
		return ""
	}
	el = el[i:]
	i = tagEnd(el)
	n := bytes.Index(el, []byte("</"+name))
	if i < 0 || n < i {
		return ""
	}
	return string(el[i+1 : n])
}
