package websocket

import (
	"encoding/binary"

	"github.com/gobwas/ws"
)

// AppendMessage appends a message of a server with what fill appends.
func AppendMessage(dst []byte, fill func(dst []byte) []byte) []byte {
	const header = 4 // that of most messages
	at := len(dst)
	dst = fill(append(dst, make([]byte, header)...))
	size := len(dst) - at - header
	var room [ws.MaxHeaderSize]byte
	head := appendHeader(room[:0], ws.OpText, size)
	if d := len(head) - header; d != 0 {
		dst = append(dst, room[:max(d, 0)]...)
		copy(dst[at+len(head):], dst[at+header:at+header+size])
	}
	copy(dst[at:], head)
	return dst[:at+len(head)+size]
}

// AppendPing appends a ping of a server: the client answers it, or is gone.
func AppendPing(dst []byte) []byte { return appendHeader(dst, ws.OpPing, 0) }

// AppendClose appends the end of a server's side of the WebSocket, which closes
// the connection behind it. A text has at most 100 bytes.
func AppendClose(dst []byte, code ws.StatusCode, text string) []byte {
	text = text[:min(len(text), 100)]
	dst = appendHeader(dst, ws.OpClose, 2+len(text))
	dst = binary.BigEndian.AppendUint16(dst, uint16(code))
	return append(dst, text...)
}

func appendControl(dst []byte, op ws.OpCode, payload []byte) []byte {
	return append(appendHeader(dst, op, len(payload)), payload...)
}

// appendHeader appends the header of a frame that is whole and not masked.
func appendHeader(dst []byte, op ws.OpCode, size int) []byte {
	dst = append(dst, 0x80|byte(op))
	switch {
	case size <= 125:
		return append(dst, byte(size))
	case size <= 0xffff:
		return binary.BigEndian.AppendUint16(append(dst, 126), uint16(size))
	}
	return binary.BigEndian.AppendUint64(append(dst, 127), uint64(size))
}
