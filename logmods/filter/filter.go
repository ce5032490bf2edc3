// Package filter is the log module that chooses which entries a section gets.
package filter

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sdk/entry"
	"github.com/jabberii/server/plugins/sdk/hosts"
)

type args struct {
	Level string   `json:"level" default:"debug" enum:"debug,info,warn,error" doc:"Keep entries of this level and above."`
	Type  []string `json:"type" doc:"Keep entries of exactly these levels, also such as other programs invent. Empty is any."`
	Host  []string `json:"host" doc:"Keep entries of these hosts: a name, \"*.suffix\" or \"*\". Empty is any."`
	Event []string `json:"event" doc:"Keep entries that tell of these events: a name, or the beginning of one and *, such as \"session.*\". Empty is any entry. See docs/events.md."`
	Rate  int      `json:"rate" doc:"Keep at most so many entries a second, and as many at once. The others are dropped, and an entry says how many there were. 0 is no limit."`
}

// Module is filter {}.
var Module = define()

func define() module.Module {
	m := module.Define("filter",
		"Chooses which entries a section gets. An entry has to meet all conditions that are given; for one that does not, the chain ends.",
		module.On(packet.Log), New)
	m.Claims = module.ClaimsNone
	return m
}

// noteAfter is how long entries are dropped before an entry says how many.
const noteAfter = time.Second

// dropped is the field of the entry that says how many there were.
const dropped = "dropped"

// A filter is the handler.
type filter struct {
	env     module.Env
	level   slog.Level
	types   []string
	hosts   []string
	events  []string
	limit   *rate.Limiter // nil without one
	perSec  int
	waiting chan struct{} // has one element while count is not 0

	mu    sync.Mutex
	count int    // entries dropped since the last note
	host  string // of the last of them
}

// New makes a handler. It is a Runner, for the notes.
func New(env module.Env, a args) (packet.Handler, error) {
	f := &filter{
		env: env, level: entry.Level(a.Level), types: a.Type, events: a.Event,
		perSec: a.Rate, waiting: make(chan struct{}, 1),
	}
	for _, name := range a.Host {
		prepared, err := hosts.Prepare(name)
		if err != nil {
			return nil, module.BadArg("host", "%v", err)
		}
		f.hosts = append(f.hosts, prepared)
	}
	if a.Rate < 0 {
		return nil, module.BadArg("rate", "is less than 0")
	}
	if a.Rate > 0 {
		f.limit = rate.NewLimiter(rate.Limit(a.Rate), a.Rate)
	}
	return f, nil
}

// Handle passes what is kept and skips what is not. What is over the rate is
// claimed, lest it floods the place for entries that nobody takes.
func (f *filter) Handle(_ context.Context, p *packet.Packet) (packet.Verdict, error) {
	if f.isNote(p) {
		return packet.Pass, nil
	}
	if f.unwanted(p) != "" {
		return packet.Skip, nil
	}
	if f.limit != nil && !f.limit.Allow() {
		f.drop(p)
		return packet.Claim, nil
	}
	return packet.Pass, nil
}

// Explain says what Handle would do but for the rate.
func (f *filter) Explain(_ context.Context, p *packet.Packet) (packet.Verdict, string) {
	if why := f.unwanted(p); why != "" {
		return packet.Skip, why
	}
	if f.limit != nil {
		return packet.Pass, fmt.Sprintf("kept, unless there are more than %d a second", f.perSec)
	}
	return packet.Pass, "kept"
}

// unwanted says why an entry is not kept, "" if it is.
func (f *filter) unwanted(p *packet.Packet) string {
	switch {
	case entry.Level(p.Type) < f.level:
		return fmt.Sprintf("level %q is below %s", p.Type, strings.ToLower(f.level.String()))
	case len(f.types) > 0 && !slices.Contains(f.types, p.Type):
		return fmt.Sprintf("type %q is not in the list", p.Type)
	case len(f.hosts) > 0 && !hosts.MatchAny(f.hosts, p.Branch()):
		return fmt.Sprintf("host %q is not in the list", p.Branch())
	case len(f.events) == 0:
		return ""
	}
	event := entry.Value(p, entry.Event)
	for _, want := range f.events {
		if begin, open := strings.CutSuffix(want, "*"); event == want || open && event != "" && strings.HasPrefix(event, begin) {
			return ""
		}
	}
	if event == "" {
		return "it tells of no event"
	}
	return fmt.Sprintf("event %q is not in the list", event)
}

func (f *filter) drop(p *packet.Packet) {
	f.mu.Lock()
	f.count++
	f.host = p.Branch()
	f.mu.Unlock()
	select {
	case f.waiting <- struct{}{}:
	default:
	}
}

// Run writes a note for what is dropped within a second. It goes to this
// section only, and past the conditions.
func (f *filter) Run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-f.waiting:
		}
		select {
		case <-ctx.Done():
		case <-time.After(noteAfter):
		}
		f.mu.Lock()
		n, host := f.count, f.host
		f.count = 0
		f.mu.Unlock()
		if n == 0 {
			continue
		}
		if err := f.env.Deliver(ctx, f.note(n, host)); err != nil {
			return fmt.Errorf("note that %d entries were dropped: %w", n, err)
		}
	}
}

func (f *filter) note(n int, host string) *packet.Packet {
	text := strconv.Itoa(n) + " entries dropped"
	if n == 1 {
		text = "1 entry dropped"
	}
	return &packet.Packet{
		Kind: packet.Log, Host: host, Section: f.env.Section(), From: f.env.Section(),
		Name: entry.Name, Type: "warn",
		Attrs: entry.WithField("", dropped, strconv.Itoa(n)), Body: entry.Body(text),
	}
}

// isNote reports whether p is a note of a filter of this section.
func (f *filter) isNote(p *packet.Packet) bool {
	return f.limit != nil && p.Section == f.env.Section() && p.From == p.Section &&
		slices.ContainsFunc(entry.Fields(p), func(e entry.Field) bool { return e.Name == dropped })
}
