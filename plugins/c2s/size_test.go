package c2s

import (
	"testing"
	"unsafe"

	"github.com/jabberii/server/jabberd/packet"
)

// A conn is not in the size class of a packet: see there.
func TestAConnIsNoPacketsNeighbour(t *testing.T) {
	const below, class = 288, 320 // the runtime's, for objects of up to so many bytes
	if size := unsafe.Sizeof(packet.Packet{}); size <= below || size > class {
		t.Fatalf("a packet has %d bytes: look up its size class, and those of who lives long", size)
	}
	if size := unsafe.Sizeof(conn{}); size > below && size <= class {
		t.Errorf("a conn has %d bytes, as many as a packet takes", size)
	}
}
