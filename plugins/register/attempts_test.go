package register

import (
	"fmt"
	"testing"
	"time"

	"github.com/jabberii/server/jabberd/module"
)

// Attempts are forgotten steadily, by address and in all, and the table is bounded.
func TestAttempts(t *testing.T) {
	var a attempts
	a.init(limitArgs{Address: 2, Total: 5, Window: module.Duration(time.Hour)})
	now := time.Unix(1e9, 0)
	for _, x := range []struct {
		address string
		after   time.Duration
		want    bool
	}{
		{"a", 0, true},
		{"a", 0, true},
		{"a", 0, false},
		{"b", 0, true},
		{"a", 29 * time.Minute, false},
		{"a", time.Minute, true},
		{"a", 0, false},
		{"c", 0, true}, // of all, 3 - 2.5 are left, and two more
		{"d", 0, true},
		{"e", 0, true},
		{"f", 0, false},
		{"f", time.Hour, true},
	} {
		now = now.Add(x.after)
		if got := a.take(x.address, now); got != x.want {
			t.Errorf("%s at %v: %v", x.address, now.Sub(time.Unix(1e9, 0)), got)
		}
	}
	var many attempts
	many.init(limitArgs{Address: 1, Window: module.Duration(time.Hour)})
	for i := range maxOrigins + 10 {
		if !many.take(fmt.Sprint(i), now) {
			t.Fatalf("address %d is refused", i)
		}
	}
	if len(many.counts) != maxOrigins || many.recent.Len() != maxOrigins || !many.take("0", now) || many.take("20009", now) {
		t.Errorf("%d addresses are kept", len(many.counts))
	}
}
