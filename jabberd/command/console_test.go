package command

import (
	"bytes"
	"testing"
	"time"

	"github.com/jabberii/server/jabberd/packet"
)

func TestConsole(t *testing.T) {
	when := time.Date(2026, 3, 1, 12, 30, 0, 250e6, time.Local)
	written := " time='" + when.UTC().Format(time.RFC3339Nano) + "'"
	for name, c := range map[string]struct {
		entry packet.Packet
		want  string
	}{
		"plain":           {packet.Packet{Type: "warn", From: "tree", Attrs: written, Body: []byte("a &lt; b")}, "12:30:00.250 WRN a < b from=tree\n"},
		"fields":          {packet.Packet{Type: "error", From: "c2s", Host: "example.org", Attrs: written + " at='x &amp; y' n='1'", Body: []byte("x")}, "12:30:00.250 ERR x at=\"x & y\" from=c2s host=example.org n=1\n"},
		"double quotes":   {packet.Packet{Type: "info", From: "exec", Attrs: written + ` a="it's" b='c'`, Body: []byte("x")}, "12:30:00.250 INF x a=it's b=c from=exec\n"},
		"a field from":    {packet.Packet{Type: "info", From: "tree", Attrs: written + " from='ann@example.org'", Body: []byte("x")}, "12:30:00.250 INF x from=tree from_=ann@example.org\n"},
		"below the level": {packet.Packet{Type: "debug", From: "tree", Attrs: written, Body: []byte("x")}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			console(&b, "info")(&c.entry)
			if b.String() != c.want {
				t.Errorf("got  %swant %s", &b, c.want)
			}
		})
	}
}
