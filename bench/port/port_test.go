package port_test

import (
	"net"
	"strconv"
	"sync"
	"testing"

	"github.com/jabberii/server/bench/port"
)

// TestPortsAreGivenOnce has many ask at once.
func TestPortsAreGivenOnce(t *testing.T) {
	var mu sync.Mutex
	given := map[int]bool{}
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			ports, err := port.Free(5)
			if err != nil || len(ports) != 5 {
				t.Errorf("got %v, %v", ports, err)
			}
			mu.Lock()
			defer mu.Unlock()
			for _, p := range ports {
				if given[p] {
					t.Errorf("%d was given twice", p)
				}
				given[p] = true
			}
		})
	}
	wg.Wait()
}

// TestTakenPortsAreLeftOut listens on the next ones.
func TestTakenPortsAreLeftOut(t *testing.T) {
	ports, err := port.Free(1)
	if err != nil {
		t.Fatal(err)
	}
	taken := map[int]bool{}
	for p := ports[0] + 1; p < ports[0]+20 && p < 32000; p++ {
		if l, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(p)); err == nil {
			defer l.Close()
			taken[p] = true
		}
	}
	more, err := port.Free(10)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range more {
		if taken[p] {
			t.Errorf("%d is taken", p)
		}
	}
}
