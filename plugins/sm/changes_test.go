package sm

import (
	"fmt"
	"testing"
	"time"

	"github.com/jabberii/server/jabberd/packet"
)

func asked(proved time.Time) *packet.Packet {
	return &packet.Packet{Name: "iq", Attrs: fmt.Sprintf(" proved='%d'", proved.UnixMilli())}
}

func TestWhatAChangeOvertakes(t *testing.T) {
	began := time.Now()
	later := func(d time.Duration) time.Time { return began.Add(d) }
	var c changes
	c.begin(began)
	c.note("ann@localhost", later(time.Hour))
	for name, x := range map[string]struct {
		account string
		p       *packet.Packet
		want    bool
	}{
		"before the change":           {"ann@localhost", asked(later(time.Minute)), true},
		"by a clock that goes before": {"ann@localhost", asked(later(time.Hour + maxSkew)), true},
		"after the change":            {"ann@localhost", asked(later(time.Hour + maxSkew + time.Second)), false},
		"another account":             {"bob@localhost", asked(later(time.Minute)), false},
		"before this process":         {"bob@localhost", asked(later(-time.Minute)), true},
		"without a time":              {"bob@localhost", &packet.Packet{Name: "iq"}, true},
		"with a time that is none":    {"bob@localhost", &packet.Packet{Attrs: " proved='now'"}, true},
		"with one of the client, too": {"ann@localhost", &packet.Packet{Attrs: asked(later(0)).Attrs + asked(later(2*time.Hour)).Attrs}, true},
	} {
		if got := c.overtake(x.account, x.p); got != x.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// A change that has made room for others counts for all accounts.
func TestNoChangeIsForgotten(t *testing.T) {
	began := time.Now()
	var c changes
	c.begin(began)
	c.note("ann@localhost", began.Add(time.Hour))
	for i := range maxRecent {
		c.note(fmt.Sprintf("u%d@localhost", i), began.Add(time.Minute))
	}
	if len(c.latest.byKey) != maxRecent || len(c.latest.keys) != maxRecent {
		t.Errorf("%d entries, %d keys", len(c.latest.byKey), len(c.latest.keys))
	}
	if _, kept := c.latest.find("ann@localhost"); kept {
		t.Error("there is room for more than there is")
	}
	if p := asked(began.Add(30 * time.Minute)); !c.overtake("ann@localhost", p) || !c.overtake("bob@localhost", p) {
		t.Error("a change is forgotten")
	}
	if c.overtake("bob@localhost", asked(began.Add(2*time.Hour))) {
		t.Error("who comes after all changes is doubted")
	}
}
