package peer

import (
	"fmt"
	"strings"
	"testing"

	"github.com/jabberii/server/jabberd/packet"
)

// What is answered does not depend on the order in which packets end, only on those before.
func TestAccount(t *testing.T) {
	for name, c := range map[string]struct{ does, answered string }{
		"nothing before":          {"p", "p0!"},
		"one before":              {"+ p -1", "p1"},
		"later ones do not count": {"+ p + -2 -1", "p1"},
		"others still open":       {"+ + p -2", ""},
		"all before":              {"+ + p -2 -1", "p2"},
		"two pings":               {"+ p + p -2 -1", "p1 p2"},
		"what ended before":       {"+ -1 + p -2", "p2"},
	} {
		t.Run(name, func(t *testing.T) {
			var a account
			var tag uint64
			var answered []string
			for _, do := range strings.Fields(c.does) {
				switch {
				case do == "+":
					tag++
					a.begin()
				case do == "p":
					id := fmt.Sprint("p", tag)
					if now, ok := a.after(tag, packet.Packet{ID: id}); !ok {
						t.Fatal("not kept")
					} else if now {
						answered = append(answered, id+"!")
					}
				default:
					var ended uint64
					fmt.Sscanf(do, "-%d", &ended)
					for _, p := range a.end(ended) {
						answered = append(answered, p.ID)
					}
				}
			}
			if got := strings.Join(answered, " "); got != c.answered {
				t.Errorf("answered %q, want %q", got, c.answered)
			}
		})
	}
}

func TestAccountKeepsAFewAnswersOnly(t *testing.T) {
	var a account
	a.begin()
	for i := range maxPongs + 1 {
		if now, ok := a.after(1, packet.Packet{}); now || ok != (i < maxPongs) {
			t.Fatalf("answer %d: now %v, kept %v", i, now, ok)
		}
	}
	if n := len(a.end(1)); n != maxPongs {
		t.Errorf("%d answers", n)
	}
	if now, ok := a.after(1, packet.Packet{}); !now || !ok {
		t.Error("nothing is open, and still an answer waits")
	}
}
