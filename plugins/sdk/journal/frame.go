package journal

import (
	"bufio"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
)

// A frame is a record in a segment: its length, a checksum of its place, its
// length and the record, and the record. The place is not written; that it
// counts keeps a record from being taken for one where it does not belong.
const frameHead = 8

// errTorn is the end of what can be read: a frame that is not whole.
var errTorn = errors.New("a record is not whole")

func frameSize(record int) int { return frameHead + record }

func appendFrame(dst []byte, at Pos, record []byte) []byte {
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(record)))
	dst = binary.LittleEndian.AppendUint32(dst, checksum(at, record))
	return append(dst, record...)
}

func checksum(at Pos, record []byte) uint32 {
	seed := uint32(at) ^ uint32(at>>32)*0x9e3779b1 ^ uint32(len(record))<<7
	return crc32.Update(seed, crc32.MakeTable(crc32.Castagnoli), record)
}

// readFrame reads the record at a place into buf, growing it. It returns
// io.EOF where a segment ends, errTorn where no whole record follows.
func readFrame(r *bufio.Reader, at Pos, buf []byte) ([]byte, error) {
	var head [frameHead]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return buf, torn(err)
	}
	n := binary.LittleEndian.Uint32(head[:])
	if n == 0 || n > MaxRecord {
		return buf, errTorn
	}
	if int(n) > cap(buf) {
		buf = make([]byte, n)
	}
	buf = buf[:n]
	if _, err := io.ReadFull(r, buf); err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return buf, torn(err)
	}
	if checksum(at, buf) != binary.LittleEndian.Uint32(head[4:]) {
		return buf, errTorn
	}
	return buf, nil
}

func torn(err error) error {
	if err == io.ErrUnexpectedEOF {
		return errTorn
	}
	return err
}
