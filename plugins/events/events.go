// Package events is the service that tells the log of stanzas: one entry for
// each that comes by, which a log section can file, hand to a program, or send
// to somebody.
package events

import (
	"context"
	"log/slog"
	"slices"
	"strconv"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sdk/entry"
)

// Module is the service as a configuration names it: load "events".
var Module = define()

func define() module.Module {
	m := module.Define("events", "Tells the log of the stanzas that come by, and lets them pass. "+
		"In a service section, before sm, these are the stanzas to the host's accounts and those that their clients send.",
		module.On(packet.Normal, packet.Session), New)
	m.Claims = module.ClaimsNone
	return m
}

type args struct {
	Stanzas []string `json:"stanzas" default:"message,presence,iq" doc:"Which stanzas to tell of."`
	Level   string   `json:"level" default:"debug" enum:"debug,info" doc:"The level of the entries."`
	Body    bool     `json:"body" doc:"Whether entries have what is in the stanza too. It is what people write to each other; they may have to be told."`
}

type teller struct {
	env     module.Env
	stanzas []string
	level   slog.Level
	body    bool
}

// New makes a handler.
func New(env module.Env, a args) (packet.Handler, error) {
	for _, name := range a.Stanzas {
		if name != entry.Message && name != entry.Presence && name != entry.IQ {
			return nil, module.BadArg("stanzas", "%q is no stanza; there are message, presence and iq", name)
		}
	}
	return &teller{env, a.Stanzas, entry.Level(a.Level), a.Body}, nil
}

// Handle tells of a stanza. One that may have been told of before is marked.
func (t *teller) Handle(ctx context.Context, p *packet.Packet) (packet.Verdict, error) {
	if !t.tells(p) {
		return packet.Pass, nil
	}
	way := "to"
	if p.Kind == packet.Session {
		way = "from"
	}
	fields := []any{
		entry.Event, p.Name, "host", p.Branch(), "way", way, "sender", p.From, "receiver", p.To, "kind", p.Type, "stanza", p.ID,
		"bytes", strconv.Itoa(len(p.Body)),
	}
	if p.Flags&packet.Redelivered != 0 {
		fields = append(fields, "again", "true")
	}
	if t.body {
		fields = append(fields, "body", string(p.Body))
	}
	t.env.Log().Log(ctx, t.level, p.Name, fields...)
	return packet.Pass, nil
}

// tells reports whether an entry tells of p: a stanza that is on its way to an
// account, or from a client.
func (t *teller) tells(p *packet.Packet) bool {
	return p.NS == "" && p.Flags&packet.Down == 0 && slices.Contains(t.stanzas, p.Name)
}

// Explain says what Handle would do.
func (t *teller) Explain(_ context.Context, p *packet.Packet) (packet.Verdict, string) {
	if !t.tells(p) {
		return packet.Pass, "nothing is told of it"
	}
	return packet.Pass, "an entry of the log tells of it: event " + p.Name
}
