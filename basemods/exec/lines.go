package exec

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/xmpp/jid"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

const (
	mostAsked   = 64 // questions of a process at once
	mostDeaths  = 3  // of processes that had a packet, until it is refused
	someDeaths  = 2  // until it goes alone, so that it is known whose fault it is
	mostQuoted  = 80 // bytes of a line in a complaint
	lineSpacing = 1000
)

// lines is the form json.
type lines struct {
	env     module.Env
	program *program
	backlog *backlog
	hearer  hearer
	limit   int
	ping    time.Duration
	window  int64
	places  *semaphore.Weighted

	mu      sync.Mutex
	number  uint64
	waiting map[uint64]*waiting
	strange uint64 // lines that made no sense
}

// waiting is a packet that the program has.
type waiting struct {
	on      *process
	since   time.Time
	verdict chan reply // has room for it
}

func newLines(env module.Env, g *program, b *backlog, a args) *lines {
	return &lines{
		env: env, program: g, backlog: b, limit: int(a.Limit), ping: a.Ping.Std(),
		hearer: hearer{names: jid.NewCache(addresses), limits: xml.Limits{Bytes: int(a.Limit)}},
		window: int64(a.Window), places: semaphore.NewWeighted(int64(a.Window)), waiting: map[uint64]*waiting{},
	}
}

func (x *lines) would() (packet.Verdict, string) { return packet.Unknown, "asks " + x.program.name }

// handle gets a verdict on a packet. If a process ends without one, the next
// process is asked, and told that the packet may have been handled before.
func (x *lines) handle(ctx context.Context, p *packet.Packet) (packet.Verdict, error) {
	question := say(p)
	for deaths := 0; deaths < mostDeaths; {
		r, err := x.ask(ctx, question, deaths >= someDeaths)
		switch {
		case err == nil:
			return x.obey(ctx, p, question, r)
		case errors.Is(err, errEnded):
			question.Redelivered = true
			deaths++
		case !errors.Is(err, errUnread):
			return packet.Pass, err
		}
	}
	return packet.Pass, fmt.Errorf("%s ended %d times while it had this packet", x.program.name, mostDeaths)
}

// errUnread says that the process has ended before it got the packet.
var errUnread = errors.New("the program has not got it")

// ask has the process that runs give a verdict, alone or beside others. The
// error is errEnded if that ended without one, errUnread if it has not got the
// packet.
func (x *lines) ask(ctx context.Context, question *said, alone bool) (reply, error) {
	places := int64(1)
	if alone {
		places = x.window
	}
	if err := x.places.Acquire(ctx, places); err != nil {
		return reply{}, err
	}
	defer x.places.Release(places)
	c, err := x.program.process(ctx)
	if err != nil {
		return reply{}, err
	}
	w := &waiting{on: c, since: time.Now(), verdict: make(chan reply, 1)}
	n := x.wait(w)
	defer x.forget(n)
	err = c.stdin.write(ctx, encode(request{ID: n, Packet: question}))
	if err != nil && !errors.Is(err, errEnded) {
		return reply{}, err
	}
	unread := err != nil
	select {
	case r := <-w.verdict:
		return r, nil
	case <-c.ended:
	case <-ctx.Done():
		return reply{}, ctx.Err()
	}
	select {
	case r := <-w.verdict: // its last words
		return r, nil
	default:
	}
	if unread {
		return reply{}, errUnread
	}
	return reply{}, errEnded
}

func encode(r request) []byte {
	b, err := json.Marshal(r)
	if err != nil { // there is nothing in it that JSON lacks
		return nil
	}
	return append(b, '\n')
}

func (x *lines) wait(w *waiting) (n uint64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.number++
	x.waiting[x.number] = w
	return x.number
}

func (x *lines) forget(n uint64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	delete(x.waiting, n)
}

// late returns how long the oldest packet that c has waits for its verdict.
func (x *lines) late(c *process) time.Duration {
	x.mu.Lock()
	defer x.mu.Unlock()
	var most time.Duration
	for _, w := range x.waiting {
		if w.on == c {
			most = max(most, time.Since(w.since))
		}
	}
	return most
}

// obey does what a verdict says, as one transaction.
func (x *lines) obey(ctx context.Context, p *packet.Packet, question *said, r reply) (packet.Verdict, error) {
	switch r.Verdict {
	case "reject":
		if r.Condition == "" {
			r.Condition = "undefined-condition"
		}
		return packet.Pass, &packet.Reject{Condition: r.Condition, Text: r.Text, Type: r.Type}
	case "pass", "claim", "skip":
	default:
		return packet.Pass, fmt.Errorf("%s gave the verdict %q, which is none of pass, claim, skip, reject", x.program.name, r.Verdict)
	}
	if err := x.carryOut(ctx, p, question, r); err != nil {
		return packet.Pass, fmt.Errorf("verdict of %s: %w", x.program.name, err)
	}
	switch r.Verdict {
	case "claim":
		return packet.Claim, nil
	case "skip":
		return packet.Skip, nil
	}
	return packet.Pass, nil
}

// carryOut does what goes with a verdict.
func (x *lines) carryOut(ctx context.Context, p *packet.Packet, question *said, r reply) error {
	for i := range r.Deliver {
		own, err := x.hearer.hear(&r.Deliver[i])
		if err != nil {
			return fmt.Errorf("deliver %d: %v", i, err) // a mistake of the program, not of the sender
		}
		if why := x.backlog.prepare(&own); why != nil {
			return fmt.Errorf("deliver %d: %v", i, why)
		}
		if err := x.env.Deliver(ctx, &own); err != nil {
			return err
		}
	}
	if r.Answer != nil {
		r.Answer.Kind = packet.XDB.String()
		answer, err := x.hearer.hear(r.Answer)
		if err != nil {
			return fmt.Errorf("answer: %v", err)
		}
		if err := x.env.Answer(ctx, p, &answer); err != nil {
			return err
		}
	}
	if r.Verdict != "pass" || len(r.Packet) == 0 {
		return nil
	}
	changed := *question
	if err := json.Unmarshal(r.Packet, &changed); err != nil {
		return fmt.Errorf("packet: %w", err)
	}
	changed.Kind = p.Kind.String()
	now, err := x.hearer.hear(&changed)
	if err != nil {
		return fmt.Errorf("packet: %v", err)
	}
	now.Flags, now.Hops = p.Flags, p.Hops
	*p = now
	return nil
}

// listen reads lines of a process until it ends.
func (x *lines) listen(c *process) error {
	h := &hearing{lines: x, c: c, asked: make(chan struct{}, mostAsked), heard: make(chan struct{}, 1)}
	if x.ping > 0 {
		go h.keepPinging(x.ping)
	}
	in := bufio.NewScanner(output{c, c.stdout})
	in.Buffer(nil, x.limit)
	for in.Scan() {
		select {
		case h.heard <- struct{}{}:
		default:
		}
		line := bytes.TrimSpace(in.Bytes())
		if len(line) == 0 {
			continue
		}
		var r reply
		if err := json.Unmarshal(line, &r); err != nil {
			x.complain(line, err)
			continue
		}
		h.busy.Store(true)
		h.hear(&r, line)
		h.busy.Store(false)
	}
	if errors.Is(in.Err(), bufio.ErrTooLong) {
		return fmt.Errorf("it printed a line of more than %v, the limit", module.Size(x.limit))
	}
	return in.Err()
}

// complain logs a line that makes no sense: the first, and every thousandth.
func (x *lines) complain(line []byte, why error) {
	x.mu.Lock()
	x.strange++
	n := x.strange
	x.mu.Unlock()
	if n%lineSpacing == 1 {
		x.env.Log().Warn("program said what makes no sense", "program", x.program.name,
			"error", why.Error(), "line", string(line[:min(len(line), mostQuoted)]), "so_far", n)
	}
}
