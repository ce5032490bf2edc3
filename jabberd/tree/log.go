package tree

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jabberii/server/jabberd/packet"
)

// Of entries maxEntries are in the tree at once, and maxBacklog wait to be; of
// more the oldest that wait are dropped. Fallback entries above fallbackRate a
// second are dropped.
const (
	maxEntries   = 256
	maxBacklog   = 10000 - maxEntries
	fallbackRate = 1000
	fewEntries   = 32 // in the tree, that may wait until something else is sent
)

// logs makes log packets of what handlers and the engine itself have to say.
type logs struct {
	e *Engine

	mu      sync.Mutex
	under   int       // entries in the tree
	first   *delivery // waits to enter it, linked by next
	last    *delivery
	waiting int
	empty   chan struct{} // if somebody waits until no entry is in the tree; closed then
	second  int64         // of the last fallback entry
	count   int           // of them in that second
}

// of returns the logger of one link.
func (g *logs) of(s *section, l *link) *slog.Logger {
	h := &logHandler{logs: g, from: s.id, inLog: s.on(packet.Log), host: s.host()}
	return slog.New(h).With("module", l.Module, "place", l.Place)
}

// host returns the host of a section that is for one, as its entries have it.
func (s *section) host() string {
	if strings.Contains(s.id, ".") || s.id == "localhost" {
		return s.id
	}
	return ""
}

// Logger returns a logger for what the process itself has to say; from names
// the writer.
func (e *Engine) Logger(from string) *slog.Logger {
	return slog.New(&logHandler{logs: &e.log, from: from})
}

// A logHandler is a slog.Handler whose records become log packets.
type logHandler struct {
	logs  *logs
	from  string
	host  string
	inLog bool // its section handles log packets: its own entries must not go round
	attrs string
	group string
}

func (h *logHandler) Enabled(context.Context, slog.Level) bool { return true }

func (h *logHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	c := *h
	for _, a := range attrs {
		c.attrs = withAttribute(c.attrs, c.group, a)
	}
	return &c
}

func (h *logHandler) WithGroup(name string) slog.Handler {
	c := *h
	c.group += name + "."
	return &c
}

// written is the attribute of an entry that says when, in RFC 3339.
const written = "time"

// own are the names that a field cannot have, since an entry has them already
// when it is written as XML.
var own = []string{written, "from", "to", "type", "id", "host", "xmlns"}

// withAttribute adds a field to the attributes of an entry. One whose name is
// taken has an underscore behind it.
func withAttribute(attrs, group string, a slog.Attr) string {
	if a.Key == "" {
		return attrs
	}
	name := strings.Map(func(r rune) rune {
		if r == '.' || r == '-' || r == '_' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return '_'
	}, group+a.Key)
	if name[0] < 'A' {
		name = "_" + name
	}
	for slices.Contains(own, name) || strings.Contains(attrs, " "+name+"='") {
		name += "_"
	}
	return attrs + " " + name + "='" + escapeAttr.Replace(clean(a.Value.Resolve().String())) + "'"
}

var escapeAttr = strings.NewReplacer("&", "&amp;", "<", "&lt;", "'", "&apos;", "\n", "&#10;", "\t", "&#9;")

// clean drops what XML cannot carry.
func clean(s string) string {
	return strings.ToValidUTF8(strings.Map(func(r rune) rune {
		if r < ' ' && r != '\n' && r != '\t' || r == 0xfffe || r == 0xffff {
			return -1
		}
		return r
	}, s), "\uFFFD")
}

func levelName(l slog.Level) string {
	switch {
	case l < slog.LevelInfo:
		return "debug"
	case l < slog.LevelWarn:
		return "info"
	case l < slog.LevelError:
		return "warn"
	}
	return "error"
}

func (h *logHandler) Handle(ctx context.Context, r slog.Record) error {
	attrs, host := h.attrs, h.host
	r.Attrs(func(a slog.Attr) bool {
		if a.Key == "host" && h.group == "" { // the entry is of that host
			host = clean(a.Value.Resolve().String())
			return true
		}
		attrs = withAttribute(attrs, h.group, a)
		return true
	})
	if r.Time.IsZero() {
		r.Time = time.Now()
	}
	p := packet.Packet{
		Kind: packet.Log, Name: "entry", Type: levelName(r.Level), From: h.from, Host: host,
		Attrs: " " + written + "='" + r.Time.UTC().Format(time.RFC3339Nano) + "'" + attrs,
		Body:  []byte(escapeText.Replace(clean(r.Message))),
	}
	t := txnOf(ctx)
	h.logs.entry(&p, h.inLog || t != nil && t.d.fromLog())
	return nil
}

// entry puts a log packet into the tree, or, if a log packet is its cause, to
// where those go that nobody claims.
func (g *logs) entry(p *packet.Packet, loop bool) {
	e := g.e
	switch {
	case loop || e.stopping.Load():
		g.fallback(p)
		return
	}
	now, patient := g.admit(p)
	if !now {
		return
	}
	d := e.pool.get(p)
	d.entry, d.patient = true, patient
	w := e.worker()
	e.deliver(w, d)
	w.handOff()
	e.release(w)
}

// admit reports whether an entry may enter the tree now. Otherwise it waits
// until others have ended: the writers of entries do not wait, and what takes
// them may be slow. When too many wait the oldest is dropped.
//
// patient says that it may be a tick late: to wake two processes for each entry
// costs more than to write it. What warns, or comes in numbers, leaves at once.
func (g *logs) admit(p *packet.Packet) (now, patient bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.under < maxEntries {
		g.under++
		return true, g.under <= fewEntries && (p.Type == "info" || p.Type == "debug")
	}
	d := g.e.pool.get(p)
	d.entry = true
	if g.first == nil {
		g.first = d
	} else {
		g.last.next = d
	}
	g.last = d
	if g.waiting++; g.waiting > maxBacklog {
		oldest := g.oldest()
		g.e.counts.entered(&oldest.p)
		g.e.counts.dropped[packet.Log].Add(1)
		g.e.pool.put(oldest)
	}
	return false, false
}

// oldest takes the entry that has waited longest; the lock is held.
func (g *logs) oldest() *delivery {
	d := g.first
	if d != nil {
		g.first, d.next = d.next, nil
		g.waiting--
	}
	return d
}

// settled is called when an entry has left the tree: the next may enter it. The
// lock is held meanwhile, so that those of one writer enter in order.
func (g *logs) settled() {
	g.mu.Lock()
	defer g.mu.Unlock()
	d := g.oldest()
	if d == nil {
		if g.under--; g.under == 0 && g.empty != nil {
			close(g.empty)
			g.empty = nil
		}
		return
	}
	d.key = g.e.keys.of(&d.p)
	g.e.counts.entered(&d.p)
	g.e.workers.submit(g.e.keys.enter(d, g.e.pipeOf))
}

// DrainLog sends the entries that could wait, and waits until those that are in the
// tree have ended or ctx is done.
func (e *Engine) DrainLog(ctx context.Context) {
	e.flushSoon()
	g := &e.log
	g.mu.Lock()
	if g.under == 0 {
		g.mu.Unlock()
		return
	}
	if g.empty == nil {
		g.empty = make(chan struct{})
	}
	empty := g.empty
	g.mu.Unlock()
	select {
	case <-empty:
	case <-ctx.Done():
	}
}

// fallback is where entries go that no section claims. It reports whether p could go
// there: not if there are too many.
func (g *logs) fallback(p *packet.Packet) bool {
	if g.e.config.Fallback == nil {
		return true
	}
	now := time.Now().Unix()
	g.mu.Lock()
	if g.second != now {
		g.second, g.count = now, 0
	}
	g.count++
	over := g.count > fallbackRate
	g.mu.Unlock()
	if over {
		return false
	}
	g.e.config.Fallback(p)
	return true
}

// say logs what the engine has to say about a link.
func (g *logs) say(level slog.Level, loop bool, s *section, l *link, text string, args ...any) {
	h := &logHandler{logs: g, from: "tree", inLog: loop}
	log := slog.New(h)
	if s != nil {
		log = log.With("section", s.id)
	}
	if l != nil {
		log = log.With("module", l.Module, "place", l.Place)
	}
	log.Log(context.Background(), level, text, args...)
}

// failed is the event of a module that fails; see plugins/sdk/entry.
const failed = "module.error"

// failure logs the error of a handler, once. A Reject is no failure.
func (g *logs) failure(d *delivery, s *section, l *link, err error) {
	if _, ok := err.(*packet.Reject); ok {
		return
	}
	g.say(slog.LevelError, d.fromLog(), s, l, err.Error(), "event", failed,
		"kind", d.p.Kind.String(), "host", d.p.Branch(), "receiver", d.p.To, "sender", d.p.From)
}

func (g *logs) panicked(l *link, what any) {
	g.say(slog.LevelError, false, nil, l, "panic while it was shown an answer", "event", failed, "panic", what)
}

func (g *logs) loop(d *delivery) {
	g.say(slog.LevelWarn, d.fromLog(), nil, nil, "packet dropped after 32 hops: it goes round in a loop", "kind", d.p.Kind.String(), "receiver", d.p.To, "sender", d.p.From)
}

func (g *logs) unstarted(s *section, l *link, err error) {
	g.say(slog.LevelWarn, s.on(packet.Log), s, l, "optional block did not start: "+err.Error(), "event", failed)
}

func (g *logs) stopped(s *section, l *link, err error) {
	text := "stopped before its time; it is started again"
	if err != nil {
		text = err.Error() + "; it is started again"
	}
	g.say(slog.LevelError, s.on(packet.Log), s, l, text, "event", failed)
}

func (g *logs) buried(process string, k *walk) {
	g.say(slog.LevelError, k.d.fromLog(), k.s, nil, "packet bounced: a process died with it three times; see jabberd dead", "process", process, "receiver", k.p.To, "sender", k.p.From, "stanza", k.p.ID)
}

func (g *logs) stray(process, record string) {
	g.say(slog.LevelError, false, nil, nil, "process sends what only the core may send; that is ignored", "process", process, "record", record)
}

func (g *logs) stale(s *Stale) {
	if s.Reason == Asked {
		g.say(slog.LevelInfo, false, nil, nil, "a store is being copied anew, as was asked for", "section", s.Section)
		return
	}
	g.say(slog.LevelError, false, nil, nil, "a store could not copy what another has changed; "+s.what()+" is stale there until it is copied anew: "+s.Reason,
		"section", s.Section, "owner", s.Owner, "namespace", s.NS)
}

func (g *logs) disagree(d *delivery, err error) {
	g.say(slog.LevelError, false, nil, nil, "the answers of several stores cannot be made one: "+err.Error(), "operation", d.p.Name, "owner", d.p.To)
}
