// Package cache is the xdb module cache: it remembers the answers to get that
// pass it on their way back, and gives them itself the next time.
package cache

import (
	"context"
	"time"

	"github.com/maypok86/otter/v2"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
)

type args struct {
	TTL  module.Duration `json:"ttl" default:"10m" doc:"How long an answer is remembered at most."`
	Size module.Size     `json:"size" default:"16MiB" doc:"What all answers may take together in memory. Beyond it those go that are used least."`
}

// Module is the module cache.
var Module = module.Define("cache",
	"Remembers the answers to get that pass it on their way back, and gives them itself the next time. What is changed is forgotten.",
	module.On(packet.XDB), New)

// New makes the handler.
func New(env module.Env, a args) (packet.Handler, error) {
	switch {
	case a.TTL < module.Duration(time.Second):
		return nil, module.BadArg("ttl", "must be at least 1s")
	case a.Size < 64<<10:
		return nil, module.BadArg("size", "must be at least 64KiB")
	}
	return &cache{env: env, ttl: a.TTL.Std(), size: int64(a.Size)}, nil
}

type cache struct {
	env     module.Env
	ttl     time.Duration
	size    int64
	guard   *guard
	answers *otter.Cache[place, answer]
}

// Start makes the cache's room.
func (c *cache) Start(context.Context) (err error) {
	c.guard = newGuard()
	c.answers, err = otter.New(&otter.Options[place, answer]{
		MaximumWeight:    uint64(c.size),
		Weigher:          weight,
		ExpiryCalculator: otter.ExpiryWriting[place, answer](c.ttl),
	})
	return err
}

// Close lets go of what was remembered.
func (c *cache) Close() error {
	if c.answers != nil {
		c.answers.StopAllGoroutines()
		c.answers.InvalidateAll()
	}
	return nil
}

// Handle answers a get whose answer it has, and passes everything else.
func (c *cache) Handle(ctx context.Context, p *packet.Packet) (packet.Verdict, error) {
	switch p.Type {
	case "set":
		c.changing(ctx, p)
	case "get":
		if at, ok := placeOf(p); ok {
			return c.get(ctx, p, at)
		}
	}
	return packet.Pass, nil
}

func (c *cache) get(ctx context.Context, p *packet.Packet, at place) (packet.Verdict, error) {
	s := c.guard.shard(p.To)
	if a, ok := c.answers.GetIfPresent(at); ok && a.epoch == s.epoch.Load() {
		return packet.Claim, c.env.Answer(ctx, p, &packet.Packet{
			Kind: packet.XDB, To: p.From, From: p.To, Name: p.Name, Type: "result", ID: p.ID, NS: p.NS, Body: a.body,
		})
	}
	p.Seq = c.guard.mark(s, p)
	return packet.Pass, nil
}

// changing forgets what a change is about, before and after it is made. Until
// it is answered nothing is remembered about the owner.
func (c *cache) changing(ctx context.Context, p *packet.Packet) {
	until, ok := ctx.Deadline()
	if !ok {
		until = time.Now().Add(time.Minute)
	}
	s := c.guard.shard(p.To)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.begin(askedBy(p), until)
	c.forget(s, p)
}

// Watch is shown the answers to what was passed.
func (c *cache) Watch(_ context.Context, question, got *packet.Packet) {
	s := c.guard.shard(question.To)
	switch question.Type {
	case "set":
		s.mu.Lock()
		defer s.mu.Unlock()
		s.end(askedBy(question))
		s.generation++ // also if it was thought to be over
		c.forget(s, question)
	case "get":
		at, ok := placeOf(question)
		if !ok || got.Type != "result" || !worth(at, got.Body) {
			return
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if c.guard.current(s, question.Seq) {
			c.answers.Set(at.clone(), newAnswer(got.Body, s.epoch.Load()))
		}
	}
}

// Explain says whether the answer is there.
func (c *cache) Explain(_ context.Context, p *packet.Packet) (packet.Verdict, string) {
	if p.Type == "set" {
		return packet.Pass, "passes changes, and forgets what they are about"
	}
	at, ok := placeOf(p)
	switch {
	case !ok:
		return packet.Pass, "remembers only gets of one key or of a whole namespace"
	case c.answers == nil:
		return packet.Pass, "gives the answer if it remembers it"
	}
	if e, ok := c.answers.GetEntryQuietly(at); ok && e.Value.epoch == c.guard.shard(p.To).epoch.Load() {
		return packet.Claim, "remembers the answer until " + e.ExpiresAt().UTC().Format(time.RFC3339)
	}
	return packet.Pass, "does not remember the answer; will when it has passed"
}
