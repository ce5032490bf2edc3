package sm

import (
	"testing"

	"github.com/jabberii/server/jabberd/packet"
)

func TestRepeatsAreBounded(t *testing.T) {
	t.Parallel()
	var r repeats
	r.on.Store(true)
	from := func(slot uint32, seq uint64) *packet.Packet {
		return &packet.Packet{Name: "message", Near: packet.Token{Section: "sm", Slot: slot, Incarnation: 1}, Seq: seq}
	}
	const many = 3 * maxRepeats
	for i := range uint32(many) {
		r.note("ann@localhost", from(i, 7))
	}
	if n := len(r.young) + len(r.old); n > 2*maxRepeats {
		t.Errorf("%d are remembered", n)
	}
	for _, slot := range []uint32{many - 1, many - maxRepeats} {
		if !r.has("ann@localhost", from(slot, 7)) || !r.has("ann@localhost", from(slot, 3)) || r.has("ann@localhost", from(slot, 8)) {
			t.Errorf("of %d the last is not remembered", slot)
		}
	}
	r.note("ann@localhost", from(many-1, 5)) // late: it takes nothing back
	if !r.has("ann@localhost", from(many-1, 7)) {
		t.Error("an earlier one takes a later one back")
	}
	if r.has("bob@localhost", from(many-1, 7)) {
		t.Error("another account was given it too")
	}
	r.until(10)
	r.forget(10)
	if !r.has("ann@localhost", from(many-1, 7)) {
		t.Error("forgotten too early")
	}
	r.forget(11)
	if r.has("ann@localhost", from(many-1, 7)) || r.young != nil || r.old != nil {
		t.Error("never forgotten")
	}
}
