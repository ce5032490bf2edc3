package sm

import (
	"testing"
	"unsafe"

	"github.com/jabberii/server/jabberd/packet"
)

// What lives as long as a session is not in the size class of a packet, which
// comes and goes: the pages that hold both are never free, some KiB a session.
func TestSessionsAreNoPacketsNeighbours(t *testing.T) {
	const below, class = 288, 320 // the runtime's, for objects of up to so many bytes
	if size := unsafe.Sizeof(packet.Packet{}); size <= below || size > class {
		t.Fatalf("a packet has %d bytes: look up its size class, and those of who lives long", size)
	}
	for name, size := range map[string]uintptr{
		"session": unsafe.Sizeof(session{}), "managed": unsafe.Sizeof(managed{}), "account": unsafe.Sizeof(account{}),
	} {
		if size > below && size <= class {
			t.Errorf("%s has %d bytes, as many as a packet takes", name, size)
		}
	}
}
