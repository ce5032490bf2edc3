// Package format is the log module that decides what entries look like.
package format

import (
	"context"
	"time"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sdk/entry"
)

type args struct {
	Text string `json:"text" default:"%t %l %h %f: %s%a" doc:"The line: %t time, %l level, %h host, %f writer, %s text, %a all fields, %{name} one field, %% a percent sign. Control characters in values are escaped."`
	JSON bool   `json:"json" doc:"Make each entry one JSON object instead, with the keys level, time, host, from, message and the fields."`
	Time string `json:"time" default:"seconds" enum:"seconds,milliseconds,microseconds,clock" doc:"How exact times are, in RFC 3339; \"clock\" is the time of day alone."`
	UTC  bool   `json:"utc" doc:"Write times in UTC, not in the server's time zone."`
}

// Module is format {}.
var Module = define()

func define() module.Module {
	m := module.Define("format",
		"Makes each entry the line that the end of the chain writes.",
		module.On(packet.Log), New)
	m.Claims = module.ClaimsNone
	return m
}

// timeLayout returns a choice of the argument time as the package time has it.
func timeLayout(choice string) string {
	switch choice {
	case "milliseconds":
		return "2006-01-02T15:04:05.000Z07:00"
	case "microseconds":
		return "2006-01-02T15:04:05.000000Z07:00"
	case "clock":
		return time.TimeOnly
	}
	return time.RFC3339
}

// A format is the handler.
type format struct {
	layout *entry.Layout
	json   bool
}

// New makes a handler.
func New(_ module.Env, a args) (packet.Handler, error) {
	layout, err := entry.NewLayout(a.Text, timeLayout(a.Time), a.UTC)
	if err != nil {
		return nil, module.BadArg("text", "%v", err)
	}
	return &format{layout: layout, json: a.JSON}, nil
}

// Handle replaces the text of an entry by the line, and passes it.
func (f *format) Handle(_ context.Context, p *packet.Packet) (packet.Verdict, error) {
	p.Body = entry.Body(f.line(p))
	p.Name = entry.Formatted
	return packet.Pass, nil
}

func (f *format) line(p *packet.Packet) []byte {
	if f.json {
		return f.layout.AppendJSON(nil, p)
	}
	return f.layout.Append(nil, p)
}

// Explain says what the line is.
func (f *format) Explain(ctx context.Context, p *packet.Packet) (packet.Verdict, string) {
	line := string(f.line(p))
	v, _ := f.Handle(ctx, p)
	return v, "makes it " + line
}
