package bosh

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/jabberii/server/plugins/xmpp/jid"
	"github.com/jabberii/server/plugins/xmpp/ns"
	"github.com/jabberii/server/plugins/xmpp/stream"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

// Limits of the client's side.
const (
	maxUnread   = 256 << 10        // bytes that wait to be read, more are not asked for
	maxResponse = 4 << 20          // bytes
	attempts    = 5                // to have one request answered
	longest     = 60 * time.Second // that the server may keep a request, and as long again until it is lost
)

// A client is the client's side of a session. What is written is taken apart into
// requests, and what comes is put together.
type client struct {
	url    string
	first  net.Conn
	http   *http.Client
	ctx    context.Context // of all requests
	cancel context.CancelFunc

	scanner *xml.Scanner // of what is written
	written []byte       // and not yet a whole element

	mu       sync.Mutex
	cond     *sync.Cond
	waiting  []draft // what goes out next
	sid      string
	rid      int64 // of the last request
	requests int   // that may be under way at once
	underWay int
	ends     bool             // the last request was made
	expected int64            // the next response that is read
	answers  map[int64][]byte // responses that came before it
	header   bool             // the next that comes begins a stream
	in       []byte           // the stream, as far as it came and was not read
	err      error            // why nothing more comes
	told     bool             // who reads knows it
	reads    deadline
	writes   deadline
}

// A draft is a request without its numbers.
type draft struct {
	open     *stream.Header // begins a stream
	elements []byte
	ends     bool
}

// Read reads the stream.
func (c *client) Read(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.in) == 0 {
		switch {
		case c.err != nil:
			c.told = true
			return 0, c.err
		case c.reads.passed():
			return 0, os.ErrDeadlineExceeded
		}
		c.cond.Wait()
	}
	n := copy(b, c.in)
	c.in = c.in[n:]
	c.cond.Broadcast()
	return n, nil
}

// Write writes a part of the stream, and waits until requests have taken it.
func (c *client) Write(b []byte) (int, error) {
	if bytes.HasPrefix(b, []byte("<?xml")) || bytes.HasPrefix(b, []byte("<stream:stream")) {
		c.scanner.Reset()
		c.written = nil
	}
	c.written = append(c.written, b...)
	var drafts []draft
	for {
		t, n, err := c.scanner.Next(c.written)
		if err != nil {
			return 0, err
		}
		if t != nil {
			if drafts, err = draw(drafts, t); err != nil {
				return 0, err
			}
		}
		c.written = c.written[n:]
		if t == nil {
			break
		}
	}
	return len(b), c.enqueue(drafts)
}

// draw adds a token to what is to be sent.
func draw(drafts []draft, t *xml.Token) ([]draft, error) {
	if t.Kind == xml.Open {
		h, err := stream.ParseHeader(t)
		return append(drafts, draft{open: &h}), err
	}
	if len(drafts) == 0 {
		drafts = append(drafts, draft{})
	}
	last := &drafts[len(drafts)-1]
	if t.Kind == xml.Close {
		last.ends = true
		return drafts, nil
	}
	dst := append(append(last.elements, '<'), t.Name...)
	dst = xml.AppendAttr(dst, "xmlns", t.NS)
	for _, a := range []struct{ name, value string }{
		{"to", string(t.To)}, {"from", string(t.From)}, {"id", string(t.ID)}, {"type", t.Type}, {"xml:lang", t.Lang},
	} {
		if a.value != "" {
			dst = xml.AppendAttr(dst, a.name, a.value)
		}
	}
	dst = append(append(dst, t.Rest...), '>')
	last.elements = xml.AppendEnd(append(dst, t.Body...), t.Name)
	return drafts, nil
}

// enqueue has drafts sent, and waits until the last one is.
func (c *client) enqueue(drafts []draft) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waiting = append(c.waiting, drafts...)
	c.cond.Broadcast()
	for len(c.waiting) > 0 {
		switch {
		case c.err != nil && c.told:
			return net.ErrClosed
		case c.err != nil: // who reads is to hear first why it ends
			c.waiting = nil
		case c.writes.passed():
			return os.ErrDeadlineExceeded
		default:
			c.cond.Wait()
		}
	}
	return nil
}

// send makes requests as long as the session lives: what is to be sent, and one
// for the server to answer, whenever there is none.
func (c *client) send() {
	for {
		text, rid, ok := c.next()
		if !ok {
			return
		}
		go func() {
			response, err := c.request(text)
			c.mu.Lock()
			defer c.mu.Unlock()
			c.underWay--
			if err != nil {
				c.over(err)
			} else {
				c.answers[rid] = response
				c.read()
			}
			c.cond.Broadcast()
		}()
	}
}

// next waits until there is a request to make, and returns it with its number.
func (c *client) next() (text []byte, rid int64, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		idle := c.underWay == 0 && c.sid != "" && len(c.in) < maxUnread
		due := len(c.waiting) > 0 && c.underWay < c.requests && (len(c.in) < maxUnread || c.waiting[0].ends)
		switch {
		case c.err != nil || c.ends:
			return nil, 0, false
		case due, idle:
			var d draft
			if len(c.waiting) > 0 {
				d = c.take()
			}
			c.rid++
			c.underWay++
			c.ends = d.ends
			c.header = c.header || d.open != nil
			c.cond.Broadcast()
			return c.text(&d), c.rid, true
		}
		c.cond.Wait()
	}
}

// take returns what goes into one request: a restart stands alone (XEP-0206).
func (c *client) take() draft {
	d := &c.waiting[0]
	if d.open == nil || c.sid == "" || len(d.elements) == 0 && !d.ends {
		first := *d
		c.waiting = c.waiting[1:]
		return first
	}
	restart := draft{open: d.open}
	d.open = nil
	return restart
}

// text writes a request.
func (c *client) text(d *draft) []byte {
	attrs := xml.AppendAttr(nil, "rid", strconv.FormatInt(c.rid, 10))
	switch {
	case c.sid != "":
		attrs = xml.AppendAttr(attrs, "sid", c.sid)
	case d.open != nil:
		for _, a := range []struct{ name, value string }{
			{"content", "text/xml; charset=utf-8"}, {"ver", "1.11"}, {"wait", strconv.Itoa(int(longest / time.Second))}, {"hold", "1"}, {"from", d.open.From.String()},
		} {
			if a.value != "" {
				attrs = xml.AppendAttr(attrs, a.name, a.value)
			}
		}
	}
	if h := d.open; h != nil {
		attrs = xml.AppendAttr(xml.AppendAttr(attrs, "to", h.To.String()), "xmlns:xmpp", nsXMPP)
		if c.sid != "" {
			attrs = xml.AppendAttr(attrs, "xmpp:restart", "true")
		} else {
			attrs = xml.AppendAttr(attrs, "xmpp:version", h.Version)
		}
		if h.Lang != "" {
			attrs = xml.AppendAttr(attrs, "xml:lang", h.Lang)
		}
	}
	if d.ends {
		attrs = xml.AppendAttr(attrs, "type", "terminate")
	}
	return body(attrs, d.elements)
}

// request sends a request until there is a response.
func (c *client) request(text []byte) ([]byte, error) {
	for tried := 1; ; tried++ {
		response, err := c.post(text)
		if err == nil || tried == attempts || c.ctx.Err() != nil {
			return response, err
		}
		select {
		case <-c.ctx.Done():
		case <-time.After(time.Duration(tried) * 100 * time.Millisecond):
		}
	}
}

var errAgain = errors.New("bosh: the server wants the request once more")

func (c *client) post(text []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(c.ctx, 2*longest)
	defer cancel()
	q, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	q.Header.Set("Content-Type", "text/xml; charset=utf-8")
	response, err := c.http.Do(q)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("bosh: the server says %s", response.Status)
	}
	b, err := io.ReadAll(io.LimitReader(response.Body, maxResponse+1))
	if err == nil && bytes.Equal(b, recoverable) {
		err = errAgain
	}
	return b, err
}

// read takes the responses whose turn it is.
func (c *client) read() {
	for c.err == nil {
		response, ok := c.answers[c.expected]
		if !ok {
			return
		}
		delete(c.answers, c.expected)
		if err := c.hear(c.expected, response); err != nil {
			c.over(err)
		}
		c.expected++
	}
}

// hear adds what a response says to the stream, which ends with that to the last request.
func (c *client) hear(rid int64, response []byte) error {
	t, err := xml.NewScanner(xml.Limits{Bytes: maxResponse, Depth: xml.DefaultDepth + 1}).Document(response)
	switch {
	case err != nil:
		return fmt.Errorf("bosh: %w", err)
	case t.Name != "body" || t.NS != NS:
		return fmt.Errorf("bosh: the server answers %s", t.Name)
	}
	if c.sid == "" {
		c.sid = string(t.Attr("sid"))
		c.requests = 2
		if n, err := strconv.Atoi(string(t.Attr("requests"))); err == nil {
			c.requests = min(max(n, 1), 2)
		}
	}
	ended := t.Type == "terminate" || c.ends && rid == c.rid
	if c.header && (len(t.Body) > 0 || ended) {
		c.header = false
		h := stream.Header{NS: ns.Client, ID: c.sid, Version: stream.Version, Lang: t.Lang}
		if from, err := jid.Parse(string(t.From)); err == nil {
			h.From = from
		}
		c.in = h.Append(c.in)
	}
	c.in = append(c.in, t.Body...)
	if !ended {
		return nil
	}
	switch condition := Condition(t.Attr("condition")); condition {
	case "", RemoteStreamError:
		c.in = append(c.in, stream.Close...)
		return io.EOF
	default:
		return fmt.Errorf("bosh: the server has ended the session: %s", condition)
	}
}

// over ends everything; what came before can still be read.
func (c *client) over(err error) {
	if c.err == nil {
		c.err = err
	}
	c.cancel()
	c.http.CloseIdleConnections()
	c.cond.Broadcast()
}

// Close drops the session.
func (c *client) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.told = true
	c.over(net.ErrClosed)
	c.first.Close()
	return nil
}

func (c *client) LocalAddr() net.Addr  { return c.first.LocalAddr() }
func (c *client) RemoteAddr() net.Addr { return c.first.RemoteAddr() }

func (c *client) SetDeadline(at time.Time) error {
	return errors.Join(c.SetReadDeadline(at), c.SetWriteDeadline(at))
}

func (c *client) SetReadDeadline(at time.Time) error  { return c.limit(&c.reads, at) }
func (c *client) SetWriteDeadline(at time.Time) error { return c.limit(&c.writes, at) }

func (c *client) limit(d *deadline, at time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	d.set(at, c.wake)
	c.cond.Broadcast()
	return nil
}

func (c *client) wake() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cond.Broadcast()
}
