// Package to is the log module that sends entries to somebody as messages.
package to

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"golang.org/x/time/rate"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sdk/entry"
	"github.com/jabberii/server/plugins/xmpp/jid"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

type args struct {
	JID       string `json:"jid" required:"true" doc:"Who gets the messages."`
	From      string `json:"from" doc:"Who the messages are from, and who is told if they cannot be delivered. Without it, the domain of jid."`
	Type      string `json:"type" default:"normal" enum:"normal,chat,headline" doc:"The type of the messages. A headline is not kept for somebody who is offline."`
	PerMinute int    `json:"per_minute" default:"20" doc:"At most so many messages a minute, and as many at once. Other entries are dropped, and the next message says how many."`
}

// Module is to {}.
var Module = define()

func define() module.Module {
	m := module.Define("to", "Sends each entry to an address as a message, and claims it.", module.On(packet.Log), New)
	m.Claims = module.ClaimsAll
	return m
}

// longest is how much of an entry is sent, in bytes.
const longest = 4000

// A messenger is the handler.
type messenger struct {
	env     module.Env
	message packet.Packet // but for the body
	limit   *rate.Limiter
	dropped atomic.Uint64 // since the last message
}

// New makes a handler.
func New(env module.Env, a args) (packet.Handler, error) {
	to, err := address("jid", a.JID)
	if err != nil {
		return nil, err
	}
	from := to.Server()
	if a.From != "" {
		if from, err = address("from", a.From); err != nil {
			return nil, err
		}
	}
	if a.PerMinute < 1 {
		return nil, module.BadArg("per_minute", "is less than 1")
	}
	return &messenger{
		env:     env,
		message: packet.Packet{Kind: packet.Normal, To: to.String(), From: from.String(), Name: "message", Type: a.Type},
		limit:   rate.NewLimiter(rate.Every(time.Minute/time.Duration(a.PerMinute)), a.PerMinute),
	}, nil
}

func address(arg, text string) (jid.JID, error) {
	j, err := jid.Parse(text)
	if err != nil {
		return jid.JID{}, module.BadArg(arg, "%q is no address: %v", text, err)
	}
	return j, nil
}

// Handle sends an entry. What the message causes to be logged does not come
// back here: the tree keeps such entries to the server's stderr.
func (m *messenger) Handle(ctx context.Context, p *packet.Packet) (packet.Verdict, error) {
	if !m.limit.Allow() {
		m.dropped.Add(1)
		return packet.Claim, nil
	}
	text := shorten(entry.AppendLine(nil, p))
	dropped := m.dropped.Swap(0)
	if dropped > 0 {
		text = fmt.Appendf(text, "\n(entries dropped before this one: %d)", dropped)
	}
	message := m.message
	message.Body = xml.AppendElement(nil, "body", "", text)
	if err := m.env.Deliver(ctx, &message); err != nil {
		m.dropped.Add(dropped)
		return packet.Pass, fmt.Errorf("send to %s: %w", message.To, err)
	}
	return packet.Claim, nil
}

// shorten cuts a text between two characters.
func shorten(text []byte) []byte {
	if len(text) <= longest {
		return text
	}
	end := longest
	for !utf8.RuneStart(text[end]) {
		end--
	}
	return append(text[:end], "..."...)
}

// Explain says whom Handle would write to.
func (m *messenger) Explain(context.Context, *packet.Packet) (packet.Verdict, string) {
	if m.limit.Tokens() < 1 {
		return packet.Claim, fmt.Sprintf("drops it: %s got as many messages as are allowed", m.message.To)
	}
	return packet.Claim, "sends it to " + m.message.To
}
