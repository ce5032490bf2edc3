package wire

import (
	"testing"
	"time"

	"github.com/jabberii/server/jabberd/packet"
)

// What a process says itself looks like what the core says.
func TestConsoleLine(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 30, 0, 250e6, time.UTC)
	for name, c := range map[string]struct {
		entry packet.Packet
		want  string
	}{
		"fields":        {packet.Packet{Type: "warn", From: "sessions", Attrs: " time='2026-03-01T12:30:00Z' module='exec' n='1'", Body: []byte("a &lt; b")}, "12:30:00.250 WRN a < b from=sessions module='exec' n='1'\n"},
		"no time":       {packet.Packet{Type: "error", From: "c2s", Attrs: " n='1'", Body: []byte("x")}, "12:30:00.250 ERR x from=c2s n='1'\n"},
		"no terminal":   {packet.Packet{Type: "error", From: "c2s", Body: []byte("\u009b31m\u202e")}, "12:30:00.250 ERR \ufffd31m\ufffd from=c2s\n"},
		"a second line": {packet.Packet{Type: "warn", From: "c2s", Body: []byte("a\nb &amp;lt;")}, "12:30:00.250 WRN a\\nb &lt; from=c2s\n"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := consoleLine(&c.entry, now); got != c.want {
				t.Errorf("got  %swant %s", got, c.want)
			}
		})
	}
}
