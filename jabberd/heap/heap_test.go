package heap

import (
	"runtime"
	"runtime/debug"
	"testing"
)

func TestRoomForGarbage(t *testing.T) {
	for name, c := range map[string]struct {
		live, scanned uint64
		want          int
	}{
		"nothing yet":                     {0, 0, 800},
		"2 MiB":                           {2 << 20, 1 << 20, 800},
		"8 MiB":                           {8 << 20, 6 << 20, 200},
		"64 MiB, half of it scanned":      {64 << 20, 32 << 20, 50},
		"32 MiB, next to nothing scanned": {32 << 20, 1 << 20, 50},
		"1 GiB, all of it scanned":        {1 << 30, 1 << 30, 100},
		"1 GiB, next to nothing scanned":  {1 << 30, 1 << 20, 20},
	} {
		if got := percentFor(c.live, c.scanned); got != c.want {
			t.Errorf("%s: %d percent, want %d", name, got, c.want)
		}
	}
}

func TestAQuietProcessGivesItsGarbageBack(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(100))
	k := keeper{}
	k.look()
	garbage := make([][]byte, 40)
	for i := range garbage {
		garbage[i] = make([]byte, 1<<20)
		for j := range garbage[i] {
			garbage[i][j] = 1
		}
	}
	k.look() // busy until now
	before := held()
	runtime.KeepAlive(garbage)
	garbage = nil
	for range ticks {
		k.look()
	}
	if now := held(); now+30<<20 > before {
		t.Errorf("holds %d MiB of %d MiB after its garbage was given back", now>>20, before>>20)
	}
	collections := count()
	for range 2 * ticks {
		k.look()
	}
	if n := count() - collections; n != 0 {
		t.Errorf("%d collections with nothing to do", n)
	}
}

// held returns the bytes that the heap has from the system.
func held() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapSys - m.HeapReleased
}

func count() uint32 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.NumGC
}
