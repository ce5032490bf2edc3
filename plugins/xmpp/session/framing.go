package session

import (
	"github.com/jabberii/server/plugins/xmpp/stream"
)

// Framing is how a stream begins and ends.
type Framing uint8

// The framings.
const (
	Document Framing = iota // a stream is an XML document: TCP, RFC 6120
	Messages                // elements open and close it, all stand alone: WebSocket, RFC 7395
	Bodies                  // what carries the elements says it, and is told of the end by an end tag: BOSH, XEP-0206
)

// appendClose writes the end of the stream.
func (f Framing) appendClose(dst []byte) []byte {
	if f == Messages {
		return append(dst, stream.CloseFrame...)
	}
	return append(dst, stream.Close...)
}

// appendHeader writes the header of the stream.
func (f Framing) appendHeader(dst []byte, h stream.Header) []byte {
	switch f {
	case Messages:
		return h.AppendFrame(dst)
	case Bodies:
		return dst
	}
	return h.Append(dst)
}
