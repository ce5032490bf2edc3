package main

import (
	"bytes"
	"context"
	"encoding/xml"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sdk/xdb"
)

// args are the arguments of the block: its schema and its documentation.
type args struct {
	Words  []string `json:"words" default:"hello,hi" doc:"What is a greeting: messages with one of these words, in capitals or not."`
	Answer string   `json:"answer" default:"Hello {name}, this is greeting {times}." doc:"What is answered: {name} is who has greeted, {times} how often by now."`
}

// Module is the block type greeter.
var Module = module.Define("greeter", "Greets whoever says hello, and counts.", module.On(packet.Normal), New)

// namespace is where the counts are kept: an item for each greeter, of the
// person who greets.
const namespace = "urn:example:greeter"

type greeter struct {
	env module.Env
	args
}

var placeholder = regexp.MustCompile(`\{[^{}]*\}?`)

// New makes the handler of one block. It is also called to check a
// configuration, so it has no effects.
func New(env module.Env, a args) (packet.Handler, error) {
	for _, word := range a.Words {
		if word == "" || strings.ContainsFunc(word, notInWord) {
			return nil, module.BadArg("words", "%q is no word", word)
		}
	}
	for _, p := range placeholder.FindAllString(a.Answer, -1) {
		if p != "{name}" && p != "{times}" {
			return nil, module.BadArg("answer", "%s is neither {name} nor {times}", p)
		}
	}
	return &greeter{env, a}, nil
}

// Handle answers a greeting and passes everything else on.
//
// The answer enters the tree when Handle returns, together with the claim. If
// the process dies before that, the packet comes again; what storage was told
// stays, so that the count may be one higher than the greetings answered.
func (g *greeter) Handle(ctx context.Context, p *packet.Packet) (packet.Verdict, error) {
	if g.greeting(p) == "" {
		return packet.Pass, nil
	}
	times, err := g.count(ctx, p)
	if err != nil {
		return packet.Pass, err // a *packet.Reject is what the sender is told
	}
	log := g.env.Log().With("who", packet.Bare(p.From), "times", times)
	if p.Flags&packet.Redelivered != 0 {
		log.Warn("greeted after a death; it may have been counted before")
	} else {
		log.Info("greeted")
	}
	return packet.Claim, g.env.Deliver(ctx, &packet.Packet{
		Kind: packet.Normal, Name: "message", Type: p.Type, To: p.From, From: p.To, Body: g.answer(p, times),
	})
}

// Explain says what Handle would do.
func (g *greeter) Explain(_ context.Context, p *packet.Packet) (packet.Verdict, string) {
	if word := g.greeting(p); word != "" {
		return packet.Claim, fmt.Sprintf("answers %q", word)
	}
	return packet.Pass, "not a message with one of " + strings.Join(g.Words, ", ")
}

// greeting returns the word in p that is a greeting, "" if there is none.
func (g *greeter) greeting(p *packet.Packet) string {
	if p.Name != "message" || p.Type != "" && p.Type != "normal" && p.Type != "chat" {
		return ""
	}
	for _, said := range strings.FieldsFunc(text(p), notInWord) {
		for _, word := range g.Words {
			if strings.EqualFold(said, word) {
				return word
			}
		}
	}
	return ""
}

func notInWord(r rune) bool { return !unicode.IsLetter(r) }

// text returns what a message says. Body is the content of the stanza without
// its tags.
func text(p *packet.Packet) string {
	var message struct {
		Body string `xml:"jabber:client body"`
	}
	stanza := "<message xmlns='jabber:client'>" + string(p.Body) + "</message>"
	if err := xml.Unmarshal([]byte(stanza), &message); err != nil {
		return ""
	}
	return message.Body
}

// count counts a greeting and returns how many there were.
func (g *greeter) count(ctx context.Context, p *packet.Packet) (times int, err error) {
	store := xdb.New(g.env, packet.Domain(p.To))
	_, err = store.Update(ctx, packet.Bare(p.From), namespace, packet.Bare(p.To), func(old *xdb.Item) ([]byte, error) {
		times = 1
		if old != nil {
			n, err := strconv.Atoi(string(old.Value))
			if err != nil {
				return nil, fmt.Errorf("the count of %s: %w", packet.Bare(p.From), err)
			}
			times += n
		}
		return strconv.AppendInt(nil, int64(times), 10), nil
	})
	return times, err
}

func (g *greeter) answer(p *packet.Packet, times int) []byte {
	name := packet.Local(p.From)
	if name == "" {
		name = packet.Domain(p.From)
	}
	said := strings.NewReplacer("{name}", name, "{times}", strconv.Itoa(times)).Replace(g.Answer)
	var body bytes.Buffer
	body.WriteString("<body>")
	_ = xml.EscapeText(&body, []byte(said)) // a buffer takes everything
	body.WriteString("</body>")
	return body.Bytes()
}
