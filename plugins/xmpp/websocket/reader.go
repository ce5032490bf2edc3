package websocket

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/gobwas/ws"
	"github.com/jabberii/server/plugins/xmpp/ns"
	"github.com/jabberii/server/plugins/xmpp/stream"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

// A Reader yields the tokens of a stream over WebSocket. It is not for
// concurrent use.
type Reader struct {
	src     io.Reader
	reply   func(frame []byte)
	scanner *xml.Scanner
	limits  xml.Limits
	state   ws.State

	buf        []byte
	start, end int    // what has been read and is not consumed
	fragments  []byte // of the message under way
	header     bytes.Reader
	room       [ws.MaxHeaderSize]byte
}

const (
	roomStart = 4 << 10  // of a reader's buffer
	roomKept  = 64 << 10 // a buffer that had to grow beyond is given back
)

// NewReader returns the reader of a server for what comes from src behind early.
// What it has to answer by itself, pings and the end, it gives to reply, which
// may not keep it.
func NewReader(src io.Reader, early []byte, limits xml.Limits, reply func(frame []byte)) *Reader {
	r := newReader(src, early, limits, reply)
	r.state = ws.StateServerSide
	return r
}

func newReader(src io.Reader, early []byte, limits xml.Limits, reply func(frame []byte)) *Reader {
	if limits.Bytes == 0 {
		limits.Bytes = xml.DefaultBytes
	}
	return &Reader{
		src: src, reply: reply, limits: limits, scanner: xml.NewScanner(limits), state: ws.StateClientSide,
		buf: early, end: len(early),
	}
}

// Next returns the next token, which is valid until the next call: the element
// open is one of the kind Open, close one of the kind Close, and another a
// Child. At the end of the WebSocket it returns [io.EOF]; an error of the source
// can be a time-out, behind which it goes on where it was; a client that breaks
// the rules of RFC 6455 or 7395 is reported as a [*stream.Error].
func (r *Reader) Next() (*xml.Token, error) {
	message, err := r.message()
	if err != nil {
		return nil, err
	}
	t, err := r.scanner.Document(message)
	if err == nil && t.NS == ns.Framing {
		err = r.frame(t)
	}
	if err != nil {
		return nil, err
	}
	return t, nil
}

// frame gives the elements of RFC 7395 the kinds of what they stand for.
func (r *Reader) frame(t *xml.Token) error {
	switch t.Name {
	case "open":
		t.Kind = xml.Open
		r.scanner.SetLang(t.Lang)
	case "close":
		t.Kind = xml.Close
	default:
		return &stream.Error{Condition: stream.BadFormat, Text: "neither open nor close"}
	}
	return nil
}

// Rest gives back what a reader needs only while something comes, unless it is
// within a frame or message. The last token is no longer valid.
func (r *Reader) Rest() {
	if r.start == r.end {
		r.buf, r.start, r.end = nil, 0, 0
	}
	if len(r.fragments) == 0 {
		r.fragments = nil
	}
	r.scanner.Park()
}

// message returns the next message.
func (r *Reader) message() ([]byte, error) {
	if !r.state.Fragmented() {
		r.fragments = r.fragments[:0]
	}
	for {
		h, payload, err := r.next()
		switch {
		case err != nil:
			return nil, err
		case h.OpCode.IsControl():
			if err := r.control(h.OpCode, payload); err != nil {
				return nil, err
			}
			continue
		case h.OpCode == ws.OpBinary:
			return nil, r.refuse(ws.StatusUnsupportedData, "messages are text")
		case h.Fin && !r.state.Fragmented():
			return payload, nil
		}
		r.fragments = append(r.fragments, payload...)
		if h.Fin {
			r.state = r.state.Clear(ws.StateFragmented)
			return r.fragments, nil
		}
		r.state = r.state.Set(ws.StateFragmented)
	}
}

func (r *Reader) control(op ws.OpCode, payload []byte) error {
	switch op {
	case ws.OpPing:
		r.reply(appendControl(nil, ws.OpPong, payload))
	case ws.OpClose:
		r.reply(appendControl(nil, ws.OpClose, payload[:min(len(payload), 2)]))
		return io.EOF
	}
	return nil
}

// next returns the next frame; its payload is valid until the next call.
func (r *Reader) next() (ws.Header, []byte, error) {
	for {
		r.header.Reset(r.buf[r.start:r.end])
		h, err := ws.ReadHeaderBuffer(&r.header, r.room[:])
		short := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
		if err == nil {
			err = ws.CheckHeader(h, r.state)
		}
		switch {
		case short:
		case err != nil:
			return h, nil, r.refuse(ws.StatusProtocolError, err.Error())
		case h.Length > int64(r.limits.Bytes-len(r.fragments)):
			return h, nil, &stream.Error{Condition: stream.PolicyViolation, Text: fmt.Sprintf("an element is longer than %d bytes", r.limits.Bytes)}
		default:
			start := r.end - r.header.Len()
			if end := start + int(h.Length); end <= r.end {
				payload := r.buf[start:end]
				if h.Masked {
					ws.Cipher(payload, h.Mask, 0)
				}
				r.start = end
				return h, payload, nil
			}
		}
		if err := r.fill(); err != nil {
			return h, nil, err
		}
	}
}

// refuse ends a WebSocket that breaks the rules.
func (r *Reader) refuse(code ws.StatusCode, text string) error {
	r.reply(AppendClose(nil, code, text))
	return &stream.Error{Condition: stream.BadFormat, Text: text}
}

// fill reads once.
func (r *Reader) fill() error {
	unread := r.end - r.start
	switch {
	case r.buf == nil || unread == 0 && len(r.buf) > roomKept:
		r.buf = make([]byte, roomStart)
	case unread == len(r.buf):
		larger := make([]byte, max(2*len(r.buf), roomStart))
		copy(larger, r.buf[r.start:r.end])
		r.buf = larger
	case len(r.buf)-r.end < len(r.buf)/4:
		copy(r.buf, r.buf[r.start:r.end])
	default:
		return r.read()
	}
	r.start, r.end = 0, unread
	return r.read()
}

func (r *Reader) read() error {
	const mostEmpty = 100
	for range mostEmpty {
		n, err := r.src.Read(r.buf[r.end:])
		r.end += n
		if n > 0 {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return io.ErrNoProgress
}
