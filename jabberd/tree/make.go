package tree

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
)

// Made is what the making of handlers came to in one process.
type Made struct {
	Hosts    []HostChange `json:"hosts,omitempty"`    // what New attached
	Passive  []LinkRef    `json:"passive,omitempty"`  // links that take no packets
	Watchers []LinkRef    `json:"watchers,omitempty"` // links that want to see answers
}

// Join adds what another process made.
func (m *Made) Join(o Made) {
	m.Hosts = append(m.Hosts, o.Hosts...)
	m.Passive = append(m.Passive, o.Passive...)
	m.Watchers = append(m.Watchers, o.Watchers...)
}

// A LinkRef names a link by the index of its section and its own.
type LinkRef struct {
	Section int `json:"section"`
	Link    int `json:"link"`
}

// A LinkError says what is wrong with one link.
type LinkError struct {
	LinkRef
	Path []string `json:"path,omitempty"` // of the argument, as in module.ArgError; empty is the whole block
	Text string   `json:"text"`
}

// Error returns where and what.
func (e *LinkError) Error() string {
	where := fmt.Sprintf("section %d, link %d", e.Section, e.Link)
	if len(e.Path) > 0 {
		where += ", " + strings.Join(e.Path, ".")
	}
	return where + ": " + e.Text
}

// Make makes the handlers of those links that run in this process. sections is
// the whole plan: the index of a section is its number in all that processes
// tell each other. It has no effects beyond the engine.
func (e *Engine) Make(sections []module.Section) (Made, []LinkError) {
	var wrong []LinkError
	for i := range sections {
		s := newSection(i, &sections[i])
		e.sections = append(e.sections, s)
		for j := range s.links {
			l := &s.links[j]
			if l.Process != e.config.Process {
				continue
			}
			if err := e.makeLink(s, j, l); err != nil {
				wrong = append(wrong, linkError(i, j, err))
			}
		}
	}
	return e.made, wrong
}

func linkError(section, link int, err error) LinkError {
	l := LinkError{LinkRef: LinkRef{section, link}, Text: err.Error()}
	var arg *module.ArgError
	if errors.As(err, &arg) {
		l.Path, l.Text = arg.Path, arg.Text
	}
	return l
}

func (e *Engine) makeLink(s *section, j int, l *link) (err error) {
	m := module.Find(e.config.Modules, l.Module, s.kinds)
	if m == nil {
		return fmt.Errorf("there is no module %q for this kind of section in this process", l.Module)
	}
	m, err = m.Pick(l.Label)
	if err != nil {
		return err
	}
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%s: panic: %v", m.Name, r)
		}
	}()
	l.handler, err = m.New(&env{e: e, s: s, l: l}, l.Args)
	if err != nil {
		return err
	}
	l.claims = m.Claims
	ref := LinkRef{int(s.index), j}
	if m.Passive || l.handler == nil {
		l.passive = true
		e.made.Passive = append(e.made.Passive, ref)
		return nil
	}
	if f, ok := l.handler.(module.Finisher); ok {
		l.gathering = &gathering{finisher: f}
		all := append(slices.Clip(*e.gatherings.Load()), l.gathering)
		e.gatherings.Store(&all)
	}
	if w, ok := l.handler.(module.Watcher); ok {
		l.watcher = w
		e.made.Watchers = append(e.made.Watchers, ref)
	}
	return nil
}

// Arrange builds the tree from what all processes have made.
func (e *Engine) Arrange(all Made) error {
	for _, ref := range slices.Concat(all.Passive, all.Watchers) {
		if ref.Section >= len(e.sections) || ref.Link >= len(e.sections[ref.Section].links) {
			return fmt.Errorf("there is no link %d in section %d", ref.Link, ref.Section)
		}
	}
	for _, ref := range all.Passive {
		e.sections[ref.Section].links[ref.Link].passive = true
	}
	for _, ref := range all.Watchers {
		e.sections[ref.Section].links[ref.Link].watches = true
	}
	for _, s := range e.sections {
		s.compile(e)
		if s.on(packet.Session) && !s.on(packet.Normal) {
			e.attach(s, s.id) // towards a connection the host level is the section's id
		}
		if s.uplink {
			for _, k := range s.kinds {
				e.kinds[k].uplink.Store(e.kinds[k].uplink.Load().with("", s))
			}
		}
	}
	for _, h := range all.Hosts {
		if int(h.Section) >= len(e.sections) {
			return fmt.Errorf("there is no section %d", h.Section)
		}
		if h.Host == packet.ServerHost {
			return errServerHost
		}
		e.attach(e.sections[h.Section], h.Host)
	}
	return nil
}

// attach makes s a branch of host in all its kinds.
func (e *Engine) attach(s *section, host string) {
	for _, k := range s.kinds {
		e.kinds[k].change(host, func(b *branch) *branch { return b.with(host, s) })
	}
}

func (e *Engine) detach(s *section, host string) {
	for _, k := range s.kinds {
		e.kinds[k].change(host, func(b *branch) *branch {
			if b == nil {
				return nil
			}
			return b.without(s)
		})
	}
}

// Start starts the handlers of this process in the order of the file, each
// within its section's timeout. One that does not start ends it with a
// *LinkError; one of an optional block is logged and its packets are refused.
func (e *Engine) Start(ctx context.Context) error {
	for i, s := range e.sections {
		for j := range s.links {
			l := &s.links[j]
			if l.handler == nil {
				continue
			}
			if err := start(ctx, s, l); err != nil {
				if !l.Optional {
					wrong := linkError(i, j, err)
					return &wrong
				}
				e.log.unstarted(s, l, err)
				l.handler = refusing{err}
				s.compile(e)
				continue
			}
			r := Rank(s.kinds)
			e.started[r] = append(e.started[r], l.handler)
		}
	}
	return nil
}

func start(ctx context.Context, s *section, l *link) error {
	h, ok := l.handler.(module.Starter)
	if !ok {
		return nil
	}
	timeout := s.timeout
	if l.Timeout > 0 {
		timeout = l.Timeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if err := h.Start(ctx); err != nil {
		return err
	}
	return ctx.Err()
}

// refusing stands for the handler of an optional block that did not start.
type refusing struct{ err error }

func (r refusing) Explain(context.Context, *packet.Packet) (packet.Verdict, string) {
	return packet.Refuses, "service-unavailable, since it did not start: " + r.err.Error()
}

func (r refusing) Handle(context.Context, *packet.Packet) (packet.Verdict, error) {
	return packet.Pass, packet.Refuse("service-unavailable", "it did not start")
}
