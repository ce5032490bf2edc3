package frame

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"
	"unsafe"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/jabberii/server/jabberd/packet"
)

// A Receiver takes the records that a frame holds. It is called in order, by
// one goroutine. A record is valid until the method returns, except that its
// strings, byte slices and what it points to may be kept. [Remote] is one.
type Receiver interface {
	OnWalk(*Walk)
	OnCommit(*Commit)
	OnSettle(*Settlement)
	OnHost(*HostChange)
	OnExplain(*Explain)
}

// A Decoder reads frames. Strings and bodies lie in the frame's own memory,
// which must not be written to again; the records are reused.
type Decoder struct {
	walk    Walk
	commit  Commit
	settle  Settlement
	host    HostChange
	explain Explain
}

// Decode hands all records of a frame to a receiver. After an error, what came
// before the damaged record was handed over.
func (d *Decoder) Decode(data []byte, to Receiver) error {
	f := fields{rest: data}
	for f.next() {
		if f.key != 1<<3|length {
			continue
		}
		kind, err := d.record(f.data)
		if err != nil {
			return err
		}
		switch kind {
		case 1:
			to.OnWalk(&d.walk)
		case 2:
			to.OnCommit(&d.commit)
		case 3:
			to.OnSettle(&d.settle)
		case 4:
			to.OnHost(&d.host)
		case 5:
			to.OnExplain(&d.explain)
		}
	}
	return f.err
}

// record reads one record into the field of d for its kind, which it returns.
// A kind of a later protocol is 0 and skipped.
func (d *Decoder) record(data []byte) (kind uint32, err error) {
	f := fields{rest: data}
	for f.next() {
		if f.key&7 != length || f.key>>3 > 5 {
			continue
		}
		if f.key>>3 != kind {
			kind = f.key >> 3
			d.reset(kind)
		}
		switch kind {
		case 1:
			f.fail(readWalk(f.data, &d.walk))
		case 2:
			f.fail(readCommit(f.data, &d.commit))
		case 3:
			f.fail(readSettlement(f.data, &d.settle))
		case 4:
			f.fail(readHost(f.data, &d.host))
		case 5:
			f.fail(readExplain(f.data, &d.explain))
		}
	}
	return kind, f.err
}

// keepRecords is how many stops and deliveries of a large commit are kept as
// room for the next.
const keepRecords = 1024

func (d *Decoder) reset(kind uint32) {
	switch kind {
	case 1:
		d.walk = Walk{}
	case 2:
		stops, deliveries := d.commit.Stops[:0], d.commit.Deliveries[:0]
		if cap(stops) > keepRecords {
			stops = nil
		}
		if cap(deliveries) > keepRecords {
			deliveries = nil
		}
		d.commit = Commit{Stops: stops, Deliveries: deliveries}
	case 3:
		d.settle = Settlement{}
	case 4:
		d.host = HostChange{}
	case 5:
		d.explain = Explain{}
	}
}

func readWalk(data []byte, w *Walk) error {
	f := fields{rest: data}
	for f.next() {
		switch f.key {
		case 1<<3 | varint:
			w.ID = f.num
		case 2<<3 | fixed64:
			w.Origin = f.num
		case 3<<3 | varint:
			w.Num = f.num
		case 4<<3 | varint:
			w.Part = f.num
		case 5<<3 | varint:
			w.Settled = f.num
		case 6<<3 | varint:
			w.Section = uint32(f.num)
		case 7<<3 | varint:
			w.Link = uint16(f.upTo(0xffff, "a link"))
		case 8<<3 | varint:
			w.Timeout = time.Duration(f.num)
		case 9<<3 | length:
			f.fail(readPacket(f.data, &w.Packet))
		case 10<<3 | length:
			w.Answer = f.packet(w.Answer)
		}
	}
	return f.err
}

func readCommit(data []byte, c *Commit) error {
	f := fields{rest: data}
	for f.next() {
		switch f.key {
		case 1<<3 | length:
			c.Stops = append(c.Stops, Stop{})
			f.fail(readStop(f.data, &c.Stops[len(c.Stops)-1]))
		case 2<<3 | length:
			c.Deliveries = append(c.Deliveries, Delivery{})
			f.fail(readDelivery(f.data, &c.Deliveries[len(c.Deliveries)-1]))
		case 3<<3 | varint:
			c.Settled = f.num
		}
	}
	return f.err
}

func readStop(data []byte, s *Stop) error {
	f := fields{rest: data}
	for f.next() {
		switch f.key {
		case 1<<3 | varint:
			s.Walk = f.num
		case 2<<3 | varint:
			s.Link = uint16(f.upTo(0xffff, "a link"))
		case 3<<3 | varint:
			s.Verdict = packet.Verdict(f.upTo(uint64(packet.Skip), "a verdict"))
		case 4<<3 | length:
			s.Reject = f.reject(s.Reject)
		case 5<<3 | length:
			s.Internal = f.text()
		case 6<<3 | length:
			s.Changed = f.packet(s.Changed)
		case 7<<3 | length:
			s.Answer = f.packet(s.Answer)
		}
	}
	return f.err
}

func readDelivery(data []byte, d *Delivery) error {
	f := fields{rest: data}
	for f.next() {
		switch f.key {
		case 1<<3 | varint:
			d.Num = f.num
		case 2<<3 | varint:
			d.Cause = f.num
		case 3<<3 | varint:
			d.Ask = f.num != 0
		case 4<<3 | varint:
			d.Timeout = time.Duration(f.num)
		case 5<<3 | length:
			f.fail(readPacket(f.data, &d.Packet))
		case 6<<3 | varint:
			d.Hop = f.num != 0
		case 7<<3 | varint:
			d.Patient = f.num != 0
		}
	}
	return f.err
}

func readSettlement(data []byte, s *Settlement) error {
	f := fields{rest: data}
	for f.next() {
		switch f.key {
		case 1<<3 | varint:
			s.Num = f.num
		case 2<<3 | varint:
			s.Result = packet.Result(f.upTo(uint64(packet.Dropped), "a result"))
		case 3<<3 | length:
			s.Reason = f.reject(s.Reason)
		case 4<<3 | length:
			s.Answer = f.packet(s.Answer)
		}
	}
	return f.err
}

func readHost(data []byte, h *HostChange) error {
	f := fields{rest: data}
	for f.next() {
		switch f.key {
		case 1<<3 | varint:
			h.ID = f.num
		case 2<<3 | varint:
			h.Section = uint32(f.num)
		case 3<<3 | length:
			h.Host = f.text()
		case 4<<3 | varint:
			h.Gone = f.num != 0
		case 5<<3 | length:
			h.Refused = f.text()
		}
	}
	return f.err
}

func readExplain(data []byte, e *Explain) error {
	f := fields{rest: data}
	for f.next() {
		switch f.key {
		case 1<<3 | varint:
			e.ID = f.num
		case 2<<3 | varint:
			e.Section = uint32(f.num)
		case 3<<3 | varint:
			e.Link = uint16(f.upTo(0xffff, "a link"))
		case 4<<3 | varint:
			e.Answer = f.num != 0
		case 5<<3 | length:
			f.fail(readPacket(f.data, &e.Packet))
		case 6<<3 | length:
			e.Steps = append(e.Steps, Step{})
			f.fail(readStep(f.data, &e.Steps[len(e.Steps)-1]))
		}
	}
	return f.err
}

func readStep(data []byte, s *Step) error {
	f := fields{rest: data}
	for f.next() {
		switch f.key {
		case 1<<3 | length:
			s.Module = f.text()
		case 2<<3 | length:
			s.Place = f.text()
		case 3<<3 | length:
			s.Process = f.text()
		case 4<<3 | length:
			s.Verdict = f.text()
		case 5<<3 | length:
			s.Why = f.text()
		case 6<<3 | varint:
			s.Asked = f.num != 0
		case 7<<3 | length:
			s.Label = f.text()
		}
	}
	return f.err
}

func readPacket(data []byte, p *packet.Packet) error {
	f := fields{rest: data}
	for f.next() {
		switch f.key {
		case 1<<3 | varint:
			p.Kind = packet.Kind(f.upTo(uint64(packet.NumKinds-1), "a kind"))
		case 2<<3 | varint:
			p.Flags = packet.Flags(f.upTo(0xff, "flags"))
		case 3<<3 | varint:
			p.Hops = uint8(f.upTo(0xff, "hops"))
		case 4<<3 | length:
			p.Host = f.text()
		case 5<<3 | length:
			p.Section = f.text()
		case 6<<3 | length:
			p.To = f.text()
		case 7<<3 | length:
			p.From = f.text()
		case 8<<3 | length:
			p.Name = f.text()
		case 9<<3 | length:
			p.Type = f.text()
		case 10<<3 | length:
			p.ID = f.text()
		case 11<<3 | length:
			p.NS = f.text()
		case 12<<3 | length:
			p.Lang = f.text()
		case 13<<3 | length:
			p.Attrs = f.text()
		case 14<<3 | length:
			f.fail(readToken(f.data, &p.Near))
		case 15<<3 | length:
			f.fail(readToken(f.data, &p.Far))
		case 16<<3 | varint:
			p.Seq = f.num
		case 17<<3 | length:
			p.Body = f.data[:len(f.data):len(f.data)]
		}
	}
	return f.err
}

func readToken(data []byte, t *packet.Token) error {
	f := fields{rest: data}
	for f.next() {
		switch f.key {
		case 1<<3 | length:
			t.Host = f.text()
		case 2<<3 | length:
			t.Section = f.text()
		case 3<<3 | varint:
			t.Slot = uint32(f.num)
		case 4<<3 | varint:
			t.Incarnation = uint32(f.num)
		case 5<<3 | varint:
			t.Node = uint32(f.num)
		}
	}
	return f.err
}

func readReject(data []byte, r *packet.Reject) error {
	f := fields{rest: data}
	for f.next() {
		switch f.key {
		case 1<<3 | length:
			r.Condition = f.text()
		case 2<<3 | length:
			r.Text = f.text()
		case 3<<3 | length:
			r.Type = f.text()
		}
	}
	return f.err
}

// fields reads a protobuf message field by field. Unknown fields, and known
// ones of another wire type, have a key that no case has.
type fields struct {
	rest []byte
	key  uint32 // field number and wire type
	num  uint64 // the value of a varint or fixed64
	data []byte // the value of a length
	err  error
}

var ErrDamaged = errors.New("damaged frame")

// next reads a field; it returns false at the end and after an error.
func (f *fields) next() bool {
	if len(f.rest) == 0 || f.err != nil {
		return false
	}
	key, ok := f.varint()
	if !ok || key>>3 == 0 || key>>3 > uint64(protowire.MaxValidNumber) {
		return f.damaged()
	}
	f.key = uint32(key)
	switch key & 7 {
	case varint:
		f.num, ok = f.varint()
		if !ok {
			return f.damaged()
		}
	case length:
		n, ok := f.varint()
		if !ok || n > uint64(len(f.rest)) {
			return f.damaged()
		}
		f.data, f.rest = f.rest[:n], f.rest[n:]
	case fixed64:
		if len(f.rest) < 8 {
			return f.damaged()
		}
		f.num, f.rest = binary.LittleEndian.Uint64(f.rest), f.rest[8:]
	default:
		n := protowire.ConsumeFieldValue(protowire.Number(key>>3), protowire.Type(key&7), f.rest)
		if n < 0 {
			return f.damaged()
		}
		f.rest = f.rest[n:]
	}
	return true
}

func (f *fields) varint() (uint64, bool) {
	if len(f.rest) > 0 && f.rest[0] < 0x80 {
		v := uint64(f.rest[0])
		f.rest = f.rest[1:]
		return v, true
	}
	v, n := protowire.ConsumeVarint(f.rest)
	if n < 0 {
		return 0, false
	}
	f.rest = f.rest[n:]
	return v, true
}

func (f *fields) damaged() bool {
	f.fail(ErrDamaged)
	return false
}

func (f *fields) fail(err error) {
	if f.err == nil {
		f.err = err
	}
}

// text returns the value as a string in the memory of the frame.
func (f *fields) text() string {
	if len(f.data) == 0 {
		return ""
	}
	if !utf8.Valid(f.data) {
		f.fail(fmt.Errorf("%w: a string is not UTF-8", ErrDamaged))
		return ""
	}
	return unsafe.String(unsafe.SliceData(f.data), len(f.data))
}

// upTo returns the value if it is not above most.
func (f *fields) upTo(most uint64, what string) uint64 {
	if f.num > most {
		f.fail(fmt.Errorf("%w: %s of %d, the most is %d", ErrDamaged, what, f.num, most))
		return 0
	}
	return f.num
}

func (f *fields) packet(p *packet.Packet) *packet.Packet {
	if p == nil {
		p = new(packet.Packet)
	}
	f.fail(readPacket(f.data, p))
	return p
}

func (f *fields) reject(r *packet.Reject) *packet.Reject {
	if r == nil {
		r = new(packet.Reject)
	}
	f.fail(readReject(f.data, r))
	return r
}
