package command

import (
	"io"
	"time"

	"github.com/rs/zerolog"

	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sdk/entry"
)

// console writes log entries that no section claims, from a level on.
func console(w io.Writer, least string) func(*packet.Packet) {
	lines := zerolog.ConsoleWriter{Out: w, NoColor: true, TimeFormat: "15:04:05.000"}
	level := entry.Level(least)
	// Without verbs there is nothing to be refused.
	layout, _ := entry.NewLayout("", time.RFC3339Nano, false)
	return func(p *packet.Packet) {
		if entry.Level(p.Type) >= level {
			// There is no other place to say that this one fails.
			_, _ = lines.Write(append(layout.AppendJSON(nil, p), '\n'))
		}
	}
}
