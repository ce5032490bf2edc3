package c2s

import (
	"fmt"
	"testing"
	"time"
)

// Whoever guesses does not fill the log, and does not keep others out of it.
func TestRefusalsInTheLog(t *testing.T) {
	var r refusals
	now := time.Unix(1000, 0)
	omitted := 0
	said := func(address string, n int) (all int) {
		for range n {
			before, due := r.due(address, now)
			omitted += before
			if due {
				all++
			}
		}
		return all
	}
	if n := said("192.0.2.1", 1000); n != refusalsOfOne {
		t.Errorf("of one address %d are in the log", n)
	}
	if n := said("192.0.2.2", 1); n != 1 {
		t.Error("of another address nothing is in the log")
	}
	all := refusalsOfOne + 1
	for i := range 1000 {
		all += said(fmt.Sprint("2001:db8:", i, "::"), 2)
	}
	if all != refusalsOfAll {
		t.Errorf("%d are in the log in one minute", all)
	}
	if len(r.said) > refusalsOfAll {
		t.Errorf("%d addresses are kept", len(r.said))
	}
	now = now.Add(time.Minute)
	if n := said("192.0.2.1", 1); n != 1 || omitted != 1000+1+2000-all {
		t.Errorf("after a minute: %d are in the log, with %d before that are not", n, omitted)
	}
	if before, due := r.due("192.0.2.1", now); !due || before != 0 {
		t.Errorf("once more: %v, %d", due, before)
	}
}
