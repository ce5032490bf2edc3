// Package heap keeps the memory of a server process what it needs: some room
// for garbage while there is work, because collecting a small heap again and
// again is most of what handling a packet would cost, and none of it when the
// work is done.
package heap

import (
	"context"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

const (
	tick = time.Second

	// room is how much garbage may gather however little is in use. A collection
	// costs what there is to scan, which is less than what is in use: a database
	// has large tables without a pointer. Who has more to scan than room is
	// collected when as much has gathered again. After a burst of logins there
	// are as many holes among what stays as there was garbage.
	room = 16 << 20

	least, most = 20, 800 // percent

	// A process that has allocated less than calm in each of some ticks is
	// quiet. What it has allocated before is worth a collection if it is more
	// than worth.
	calm  = 256 << 10
	ticks = 3
	worth = 4 << 20
)

// Tend looks after the heap of this process until ctx is done. Who sets GOGC
// has decided how often to collect, and only gets memory given back.
func Tend(ctx context.Context) {
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	k := keeper{fixed: os.Getenv("GOGC") != ""}
	for {
		k.look()
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// keeper is what Tend knows from one tick to the next.
type keeper struct {
	fixed     bool
	percent   int
	allocated uint64 // at the last tick
	quiet     int    // ticks in a row
	returned  uint64 // allocated when memory was given back last
}

func (k *keeper) look() {
	live, scanned, allocated := read()
	// To change it stops the world.
	if percent := percentFor(live, scanned); !k.fixed && (percent > k.percent*5/4 || percent < k.percent*4/5) {
		debug.SetGCPercent(percent)
		k.percent = percent
	}
	k.quiet++
	if allocated-k.allocated >= calm {
		k.quiet = 0
	}
	if k.quiet >= ticks && allocated-k.returned > max(worth, live/4) {
		runtime.GC() // what is in a sync.Pool outlives one collection
		debug.FreeOSMemory()
		_, _, allocated = read()
		k.returned = allocated
	}
	k.allocated = allocated
}

// percentFor returns the collector's target for a heap of which so much is in
// use, and so much of that is scanned.
func percentFor(live, scanned uint64) int {
	garbage := max(room, scanned)
	return int(min(max(100*garbage/max(live, 1), least), most))
}

// read returns the bytes that the last collection found in use, those that are
// scanned, and those allocated since the process began.
func read() (live, scanned, allocated uint64) {
	samples := [...]metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/gc/scan/heap:bytes"}, {Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(samples[:])
	return samples[0].Value.Uint64(), samples[1].Value.Uint64(), samples[2].Value.Uint64()
}
