package frame

import (
	"encoding/binary"
	"math/bits"
	"strings"
	"unicode/utf8"

	"github.com/jabberii/server/jabberd/packet"
)

// Records are written from the structs that the engine works on to the bytes of
// plugin.proto's Frame. Generated code would make each of them twice, once as a
// message and once as bytes.

// The wire types of protobuf, the low three bits of a field's key.
const (
	varint  = 0
	fixed64 = 1
	length  = 2
)

// AppendWalk appends a walk to a frame.
func AppendWalk(b []byte, w *Walk) []byte {
	b, frame := open(b, 1<<3|length)
	b, record := open(b, 1<<3|length)
	b = num(b, 1, w.ID)
	if w.Origin != 0 {
		b = append(b, 2<<3|fixed64)
		b = binary.LittleEndian.AppendUint64(b, w.Origin)
	}
	b = num(b, 3, w.Num)
	b = num(b, 4, w.Part)
	b = num(b, 5, w.Settled)
	b = num(b, 6, uint64(w.Section))
	b = num(b, 7, uint64(w.Link))
	b = num(b, 8, uint64(w.Timeout))
	b = appendPacket(b, 9, &w.Packet)
	if w.Answer != nil {
		b = appendPacket(b, 10, w.Answer)
	}
	return shut(shut(b, record), frame)
}

// AppendCommit appends a commit to a frame.
func AppendCommit(b []byte, c *Commit) []byte {
	b, frame := open(b, 1<<3|length)
	b, record := open(b, 2<<3|length)
	for i := range c.Stops {
		b = appendStop(b, &c.Stops[i])
	}
	for i := range c.Deliveries {
		b = appendDelivery(b, &c.Deliveries[i])
	}
	b = num(b, 3, c.Settled)
	return shut(shut(b, record), frame)
}

func appendStop(b []byte, s *Stop) []byte {
	b, stop := open(b, 1<<3|length)
	b = num(b, 1, s.Walk)
	b = num(b, 2, uint64(s.Link))
	b = num(b, 3, uint64(s.Verdict))
	b = appendReject(b, 4, s.Reject)
	b = text(b, 5, s.Internal)
	if s.Changed != nil {
		b = appendPacket(b, 6, s.Changed)
	}
	if s.Answer != nil {
		b = appendPacket(b, 7, s.Answer)
	}
	return shut(b, stop)
}

func appendDelivery(b []byte, d *Delivery) []byte {
	b, delivery := open(b, 2<<3|length)
	b = num(b, 1, d.Num)
	b = num(b, 2, d.Cause)
	b = flag(b, 3, d.Ask)
	b = num(b, 4, uint64(d.Timeout))
	b = appendPacket(b, 5, &d.Packet)
	b = flag(b, 6, d.Hop)
	b = flag(b, 7, d.Patient)
	return shut(b, delivery)
}

// AppendSettlement appends a settlement to a frame.
func AppendSettlement(b []byte, s *Settlement) []byte {
	b, frame := open(b, 1<<3|length)
	b, record := open(b, 3<<3|length)
	b = num(b, 1, s.Num)
	b = num(b, 2, uint64(s.Result))
	b = appendReject(b, 3, s.Reason)
	if s.Answer != nil {
		b = appendPacket(b, 4, s.Answer)
	}
	return shut(shut(b, record), frame)
}

// AppendHost appends a change of a host to a frame.
func AppendHost(b []byte, h *HostChange) []byte {
	b, frame := open(b, 1<<3|length)
	b, record := open(b, 4<<3|length)
	b = num(b, 1, h.ID)
	b = num(b, 2, uint64(h.Section))
	b = text(b, 3, h.Host)
	b = flag(b, 4, h.Gone)
	b = text(b, 5, h.Refused)
	return shut(shut(b, record), frame)
}

// AppendExplain appends a question about a packet, or its answer to a frame.
func AppendExplain(b []byte, e *Explain) []byte {
	b, frame := open(b, 1<<3|length)
	b, record := open(b, 5<<3|length)
	b = num(b, 1, e.ID)
	b = num(b, 2, uint64(e.Section))
	b = num(b, 3, uint64(e.Link))
	b = flag(b, 4, e.Answer)
	b = appendPacket(b, 5, &e.Packet)
	for i := range e.Steps {
		b = appendStep(b, &e.Steps[i])
	}
	return shut(shut(b, record), frame)
}

func appendStep(b []byte, s *Step) []byte {
	b, step := open(b, 6<<3|length)
	b = text(b, 1, s.Module)
	b = text(b, 2, s.Place)
	b = text(b, 3, s.Process)
	b = text(b, 4, s.Verdict)
	b = text(b, 5, s.Why)
	b = flag(b, 6, s.Asked)
	b = text(b, 7, s.Label)
	return shut(b, step)
}

func appendPacket(b []byte, field byte, p *packet.Packet) []byte {
	b, at := open(b, field<<3|length)
	b = num(b, 1, uint64(p.Kind))
	b = num(b, 2, uint64(p.Flags))
	b = num(b, 3, uint64(p.Hops))
	b = text(b, 4, p.Host)
	b = text(b, 5, p.Section)
	b = text(b, 6, p.To)
	b = text(b, 7, p.From)
	b = text(b, 8, p.Name)
	b = text(b, 9, p.Type)
	b = text(b, 10, p.ID)
	b = text(b, 11, p.NS)
	b = text(b, 12, p.Lang)
	b = text(b, 13, p.Attrs)
	b = appendToken(b, 14, &p.Near)
	b = appendToken(b, 15, &p.Far)
	if p.Seq != 0 {
		b = append(b, 16<<3&0x7f|varint|0x80, 16>>4)
		b = binary.AppendUvarint(b, p.Seq)
	}
	if len(p.Body) != 0 {
		b = append(b, 17<<3&0x7f|length|0x80, 17>>4)
		b = binary.AppendUvarint(b, uint64(len(p.Body)))
		b = append(b, p.Body...)
	}
	return shut(b, at)
}

func appendToken(b []byte, field byte, t *packet.Token) []byte {
	if t.IsZero() {
		return b
	}
	b, at := open(b, field<<3|length)
	b = text(b, 1, t.Host)
	b = text(b, 2, t.Section)
	b = num(b, 3, uint64(t.Slot))
	b = num(b, 4, uint64(t.Incarnation))
	b = num(b, 5, uint64(t.Node))
	return shut(b, at)
}

func appendReject(b []byte, field byte, r *packet.Reject) []byte {
	if r == nil {
		return b
	}
	b, at := open(b, field<<3|length)
	b = text(b, 1, r.Condition)
	b = text(b, 2, r.Text)
	b = text(b, 3, r.Type)
	return shut(b, at)
}

// num appends an integer field below 16, unless it is zero.
func num(b []byte, field byte, v uint64) []byte {
	switch {
	case v == 0:
		return b
	case v < 0x80:
		return append(b, field<<3|varint, byte(v))
	}
	return binary.AppendUvarint(append(b, field<<3|varint), v)
}

func flag(b []byte, field byte, v bool) []byte {
	if !v {
		return b
	}
	return append(b, field<<3|varint, 1)
}

// text appends a string field below 16, unless it is empty. Other languages
// refuse a whole frame for one string that is not UTF-8, so it is made so.
func text(b []byte, field byte, s string) []byte {
	if s == "" {
		return b
	}
	if !utf8.ValidString(s) {
		s = strings.ToValidUTF8(s, string(utf8.RuneError))
	}
	if len(s) < 0x80 {
		b = append(b, field<<3|length, byte(len(s)))
	} else {
		b = binary.AppendUvarint(append(b, field<<3|length), uint64(len(s)))
	}
	return append(b, s...)
}

// open begins a message in a message. Its length is not known yet; two bytes
// are kept for it, which is right for most, and shut makes the rest right.
func open(b []byte, key byte) ([]byte, int) {
	b = append(b, key, 0, 0)
	return b, len(b)
}

// shut ends the message that began at an offset of b.
func shut(b []byte, at int) []byte {
	n := len(b) - at
	switch {
	case n < 1<<7:
		b[at-2] = byte(n)
		copy(b[at-1:], b[at:])
		return b[:len(b)-1]
	case n < 1<<14:
		b[at-2], b[at-1] = byte(n)|0x80, byte(n>>7)
		return b
	}
	more := (bits.Len(uint(n))+6)/7 - 2
	for range more {
		b = append(b, 0)
	}
	copy(b[at+more:], b[at:at+n])
	binary.PutUvarint(b[at-2:], uint64(n))
	return b
}
