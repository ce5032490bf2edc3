package main

import (
	"bytes"
	"crypto/tls"
	"encoding/base64"
	"net"
	"strconv"
	"sync"
)

// A conn is one client's connection.
type conn struct {
	relay  *relay
	socket net.Conn // nil in an epoll loop
	fd     int      // of the socket in an epoll loop

	mu     sync.Mutex // of what follows
	out    []byte
	queued bool // is to be flushed by somebody

	user string
	from []byte // " from='user@domain/resource'"

	buf            []byte // unread input; in an epoll loop only the beginning of a stanza
	r, w           int    // unread bytes are buf[r:w]
	pos, start     int    // where to scan on, where the stanza begins
	depth          int
	open, starting bool // the stream was opened; TLS is to begin
	dead           bool
}

func (c *conn) serve() {
	c.buf = make([]byte, c.relay.buffer)
	var dirty []*conn
	for {
		c.makeRoom()
		n, err := c.socket.Read(c.buf[c.w:])
		if err != nil {
			c.dead = true
		}
		c.w += n
		dirty = c.process(dirty[:0])
		flush(dirty)
		if c.dead {
			c.leave()
			c.socket.Close()
			return
		}
		if c.starting {
			c.starting = false
			c.socket = tls.Server(c.socket, c.relay.tls)
			c.open, c.r, c.w, c.pos, c.start = false, 0, 0, 0, 0
		}
	}
}

func (c *conn) leave() {
	c.relay.mu.Lock()
	if c.relay.users[c.user] == c {
		delete(c.relay.users, c.user)
	}
	c.relay.mu.Unlock()
}

func (c *conn) makeRoom() {
	switch {
	case c.r == c.w:
		c.r, c.w, c.pos, c.start = 0, 0, 0, 0
	case c.w == len(c.buf) && c.r == 0:
		c.buf = append(c.buf, make([]byte, len(c.buf))...)
	case c.w == len(c.buf):
		copy(c.buf, c.buf[c.r:c.w])
		c.w, c.pos, c.start, c.r = c.w-c.r, c.pos-c.r, c.start-c.r, 0
	}
}

// process deals with the whole stanzas in the buffer, and adds connections that
// have something to be written to dirty.
func (c *conn) process(dirty []*conn) []*conn {
	for c.pos < c.w && !c.dead && !c.starting {
		i := bytes.IndexByte(c.buf[c.pos:c.w], '<')
		if i < 0 {
			c.pos = c.w
			break
		}
		tag := c.pos + i
		if c.depth == 0 {
			c.start = tag
		}
		i = bytes.IndexByte(c.buf[tag:c.w], '>')
		if i < 0 {
			c.pos = tag
			break
		}
		end := tag + i
		c.pos = end + 1
		switch {
		case c.buf[tag+1] == '?':
			continue
		case c.buf[tag+1] == '/':
			if c.depth--; c.depth < 0 {
				c.send("</stream:stream>")
				c.dead = true
				continue
			}
		case c.buf[end-1] == '/':
		case !c.open:
			c.open = true
			c.greet()
			continue
		default:
			c.depth++
		}
		if c.depth == 0 {
			dirty = c.element(c.buf[c.start:c.pos], dirty)
		}
	}
	c.r = c.pos
	if c.depth > 0 {
		c.r = c.start
	}
	return dirty
}

func (c *conn) greet() {
	features := "<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/>"
	if c.user == "" {
		features = "<mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>PLAIN</mechanism></mechanisms>"
		if c.relay.tls != nil {
			features += "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"
		}
	}
	c.send("<?xml version='1.0'?><stream:stream id='1' version='1.0' xmlns='jabber:client' " +
		"xmlns:stream='http://etherx.jabber.org/streams' from='" + c.relay.domain + "'>" +
		"<stream:features>" + features + "</stream:features>")
}

// element deals with one element, told by its first letters.
func (c *conn) element(el []byte, dirty []*conn) []*conn {
	switch {
	case bytes.HasPrefix(el, []byte("<me")):
		return c.message(el, dirty)
	case bytes.HasPrefix(el, []byte("<iq")):
		c.iq(el)
	case bytes.HasPrefix(el, []byte("<pr")):
		c.relay.mu.Lock()
		c.relay.users[c.user] = c
		c.relay.mu.Unlock()
	case bytes.HasPrefix(el, []byte("<st")):
		c.send("<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
		c.starting = true
	case bytes.HasPrefix(el, []byte("<au")):
		b, _ := base64.StdEncoding.DecodeString(text(el))
		if f := bytes.Split(b, []byte{0}); len(f) == 3 {
			c.user = string(f[1])
		}
		c.send("<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>")
		c.open = false
	}
	return dirty
}

func (c *conn) message(el []byte, dirty []*conn) []*conn {
	to := attribute(el, " to=")
	at := bytes.IndexByte(to, '@')
	if at < 0 {
		return dirty
	}
	c.relay.mu.RLock()
	d := c.relay.users[string(to[:at])]
	c.relay.mu.RUnlock()
	if d == nil {
		return dirty
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	name := len("<message")
	d.out = append(d.out, el[:name]...)
	d.out = append(d.out, c.from...)
	d.out = append(d.out, el[name:]...)
	if c.relay.each {
		d.write()
	} else if !d.queued {
		d.queued = true
		dirty = append(dirty, d)
	}
	return dirty
}

func (c *conn) iq(el []byte) {
	id := string(attribute(el, " id="))
	if !bytes.Contains(el, []byte("<bind")) {
		c.send("<iq type='result' id='" + id + "'/>")
		return
	}
	resource := "r" + strconv.Itoa(c.fd)
	if _, after, ok := bytes.Cut(el, []byte("<resource>")); ok {
		name, _, _ := bytes.Cut(after, []byte("<"))
		resource = string(name)
	}
	address := c.user + "@" + c.relay.domain + "/" + resource
	c.from = []byte(" from='" + address + "'")
	c.send("<iq type='result' id='" + id + "'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><jid>" + address + "</jid></bind></iq>")
}

func (c *conn) send(s string) {
	c.mu.Lock()
	c.out = append(c.out, s...)
	c.write()
	c.mu.Unlock()
}

// write writes what there is; c.mu is held.
func (c *conn) write() {
	if c.socket == nil {
		c.out = c.out[:copy(c.out, c.out[writeFD(c.fd, c.out):])]
		return
	}
	c.socket.Write(c.out)
	c.out = c.out[:0]
}

func flush(conns []*conn) {
	for _, c := range conns {
		c.mu.Lock()
		if len(c.out) > 0 {
			c.write()
		}
		c.queued = false
		c.mu.Unlock()
	}
}

func text(el []byte) string {
	i, n := bytes.IndexByte(el, '>'), bytes.LastIndexByte(el, '<')
	if n < i {
		return ""
	}
	return string(el[i+1 : n])
}

func attribute(el []byte, name string) []byte {
	i := bytes.Index(el, []byte(name))
	if i < 0 {
		return nil
	}
	value := el[i+len(name):]
	if n := bytes.IndexByte(value[1:], value[0]); n >= 0 {
		return value[1 : 1+n]
	}
	return nil
}
