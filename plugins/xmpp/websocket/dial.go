package websocket

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"net"

	"github.com/gobwas/ws"
	"github.com/jabberii/server/plugins/xmpp/ns"
	"github.com/jabberii/server/plugins/xmpp/stream"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

// A client is the client's side of a WebSocket. What is written is taken apart
// into messages, and what comes is put together.
type client struct {
	net.Conn
	in   *Reader
	rest []byte // of what came and was not read yet

	out     *xml.Scanner
	written []byte // and not yet a whole element
}

// Dial connects to a URL, ws or wss, with a configuration for TLS that may be
// nil. The connection carries a stream as one over TCP does, for package session
// for example; a Write that begins a stream has nothing in front of it. If there
// is TLS it has the method ConnectionState. It is for one who reads and one who
// writes.
func Dial(ctx context.Context, url string, config *tls.Config) (net.Conn, error) {
	dialer := ws.Dialer{Protocols: []string{Protocol}, TLSConfig: config}
	conn, buffered, agreed, err := dialer.Dial(ctx, url)
	if err != nil {
		return nil, fmt.Errorf("websocket: %w", err)
	}
	if agreed.Protocol != Protocol {
		conn.Close()
		return nil, errors.New("websocket: the server does not know the subprotocol xmpp")
	}
	c := &client{Conn: conn, out: xml.NewScanner(xml.Limits{})}
	var early []byte
	if buffered != nil {
		early, _ = buffered.Peek(buffered.Buffered())
		early = bytes.Clone(early)
		ws.PutReader(buffered)
	}
	c.in = newReader(conn, early, xml.Limits{}, c.answer)
	if secure, ok := conn.(*tls.Conn); ok {
		return secureClient{c, secure}, nil
	}
	return c, nil
}

// secureClient says that there is TLS below, as package session asks.
type secureClient struct {
	*client
	secure *tls.Conn
}

func (c secureClient) ConnectionState() tls.ConnectionState { return c.secure.ConnectionState() }

// Read reads the stream.
func (c *client) Read(b []byte) (int, error) {
	if len(c.rest) == 0 {
		message, err := c.in.message()
		if err != nil {
			return 0, err
		}
		if c.rest, err = unframe(message, c.in.scanner); err != nil {
			return 0, err
		}
	}
	n := copy(b, c.rest)
	c.rest = c.rest[n:]
	return n, nil
}

// unframe turns a message into the part of a stream that it is.
func unframe(message []byte, scanner *xml.Scanner) ([]byte, error) {
	if !bytes.HasPrefix(message, []byte("<open")) && !bytes.HasPrefix(message, []byte("<close")) {
		return message, nil
	}
	t, err := scanner.Document(message)
	if err != nil {
		return nil, err
	}
	if t.Name == "close" {
		return []byte(stream.Close), nil
	}
	h, err := stream.ParseHeader(t)
	if err != nil {
		return nil, err
	}
	h.NS = ns.Client
	return h.Append(nil), nil
}

// Write writes a part of the stream.
func (c *client) Write(b []byte) (int, error) {
	if bytes.HasPrefix(b, []byte("<?xml")) || bytes.HasPrefix(b, []byte("<stream:stream")) {
		c.out.Reset()
		c.written = nil
	}
	c.written = append(c.written, b...)
	var frames []byte
	for {
		t, n, err := c.out.Next(c.written)
		if err != nil {
			return 0, err
		}
		if t != nil {
			element, err := frame(t)
			if err != nil {
				return 0, err
			}
			frames = appendMasked(frames, ws.OpText, element)
		}
		c.written = c.written[n:]
		if t == nil {
			break
		}
	}
	if len(frames) > 0 {
		if _, err := c.Conn.Write(frames); err != nil {
			return 0, err
		}
	}
	return len(b), nil
}

// frame makes the message that a token is.
func frame(t *xml.Token) ([]byte, error) {
	switch t.Kind {
	case xml.Open:
		h, err := stream.ParseHeader(t)
		return h.AppendFrame(nil), err
	case xml.Close:
		return []byte(stream.CloseFrame), nil
	}
	dst := append([]byte{'<'}, t.Name...)
	dst = xml.AppendAttr(dst, "xmlns", t.NS)
	for _, a := range []struct{ name, value string }{
		{"to", string(t.To)}, {"from", string(t.From)}, {"id", string(t.ID)}, {"type", t.Type}, {"xml:lang", t.Lang},
	} {
		if a.value != "" {
			dst = xml.AppendAttr(dst, a.name, a.value)
		}
	}
	dst = append(append(dst, t.Rest...), '>')
	return xml.AppendEnd(append(dst, t.Body...), t.Name), nil
}

// answer sends what the reader answers by itself; whoever reads sees if it fails.
func (c *client) answer(frame []byte) {
	h, err := ws.ReadHeader(bytes.NewReader(frame))
	if err == nil {
		c.Conn.Write(appendMasked(nil, h.OpCode, frame[ws.HeaderSize(h):]))
	}
}

// appendMasked appends a frame as clients have to send it.
func appendMasked(dst []byte, op ws.OpCode, payload []byte) []byte {
	at := len(dst)
	dst = appendHeader(dst, op, len(payload))
	dst[at+1] |= 0x80
	var mask [4]byte
	rand.Read(mask[:])
	dst = append(dst, mask[:]...)
	body := len(dst)
	dst = append(dst, payload...)
	ws.Cipher(dst[body:], mask, 0)
	return dst
}
