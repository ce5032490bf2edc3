package link

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
)

// A connection carries messages: a byte for the kind, three for the length, and
// the content.
const (
	hello   = 'H' // JSON, first in both directions
	refusal = 'R' // JSON, instead of a hello
	records = 'F' // a frame, see package frame
	here    = 'P' // nothing but a sign of life
	ask     = 'Q' // answer with a sign of life
	leaving = 'B' // hand nothing over any more
)

const (
	headerSize = 4
	maxMessage = 1<<24 - 1
	maxHello   = 16 << 10
	maxPacket  = 8 << 20 // a frame has one such packet at most
	batchSize  = 64 << 10
)

// begin begins a message at the end of b. Its length is not known before finish.
func begin(b []byte, kind byte) ([]byte, int) {
	b = append(b, kind, 0, 0, 0)
	return b, len(b)
}

// finish ends the message whose content began at an offset of b.
func finish(b []byte, at int) []byte {
	n := len(b) - at
	b[at-3], b[at-2], b[at-1] = byte(n>>16), byte(n>>8), byte(n)
	return b
}

// read reads a message of at most so many bytes, in memory of its own.
func read(r *bufio.Reader, most int) (kind byte, content []byte, err error) {
	var header [headerSize]byte
	if _, err := io.ReadFull(r, header[:]); err != nil {
		return 0, nil, err
	}
	n := int(binary.BigEndian.Uint32(header[:]) & maxMessage)
	if n > most {
		return 0, nil, fmt.Errorf("a message of %d bytes, the most is %d", n, most)
	}
	if n == 0 {
		return header[0], nil, nil
	}
	content = make([]byte, n)
	if _, err := io.ReadFull(r, content); err != nil {
		return 0, nil, fmt.Errorf("a message that is cut off: %w", err)
	}
	return header[0], content, nil
}
