package tree

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
)

// A Report is what the tree would do with a packet, and why.
type Report struct {
	Kind     string          `json:"kind"`
	Host     string          `json:"host"`              // the host level that the packet takes
	Matched  string          `json:"matched,omitempty"` // the name that is attached; "" with a section is the uplink
	Why      string          `json:"why,omitempty"`     // that name matched
	Sections []SectionReport `json:"sections"`
	Missed   []Missed        `json:"missed,omitempty"`
	Outcome  string          `json:"outcome"`
}

// A SectionReport is what one section would do.
type SectionReport struct {
	ID       string `json:"id"`
	Place    string `json:"place"`
	Observer bool   `json:"observer,omitempty"`
	Gets     string `json:"gets"` // what comes to it: a copy of its own, a look ...
	Steps    []Step `json:"steps"`
	Verdict  string `json:"verdict"` // claim, pass, skip, refuse or unknown
}

// A Missed is a section that the packet passes by, since a more specific host
// goes before the one that the section is on.
type Missed struct {
	ID       string `json:"id"`
	Place    string `json:"place"`
	Observer bool   `json:"observer,omitempty"`
	On       string `json:"on"` // the wider name; "" is the uplink
}

// unknown is the verdict of a link that says nothing beforehand.
const unknown = "unknown" // packet.Unknown

// Explain says what the tree would do with a packet. It has no effects.
func (e *Engine) Explain(ctx context.Context, p *packet.Packet) (Report, error) {
	r := Report{Kind: p.Kind.String(), Host: p.Branch()}
	matching := e.kinds[p.Kind].matching(r.Host)
	if len(matching) == 0 {
		r.Outcome = "no section has host " + r.Host + ": " + unclaimedText(p)
		return r, nil
	}
	b := matching[0]
	r.Matched, r.Why, r.Missed = b.host, b.why(p), missed(matching)
	claimed, refused, maybe := "", "", "" // sections that do, or may claim
	falls := false                        // the store that claims falls back to the next
	for _, s := range b.sections {
		if p.Section != "" && p.Section != s.id {
			continue
		}
		q := *p
		if claimed != "" && p.Kind == packet.XDB && !s.observe && !b.asksAll(p) {
			switch {
			case p.Type == "set":
				q.Section, q.Attrs = s.id, q.Attrs+replicaMark
			case !falls:
				continue // the answer is there
			}
		}
		sr, err := e.explainSection(ctx, s, q)
		if err != nil {
			return r, err
		}
		sr.Gets = gets(b, s, p, claimed)
		r.Sections = append(r.Sections, sr)
		switch {
		case s.observe:
		case sr.Verdict == packet.Claim.String():
			claimed, falls = s.id, s.falls
		case sr.Verdict == unknown && maybe == "":
			maybe = s.id
		case sr.Verdict == packet.Refuses.String() && refused == "":
			refused = s.id
		}
		if sr.Verdict == packet.Refuses.String() && b.errorEnds(p, claimed) {
			claimed, maybe = "", ""
			break
		}
	}
	r.Outcome = outcomeText(p, claimed, refused, maybe)
	return r, nil
}

// why says why the branch is that of a packet.
func (b *branch) why(p *packet.Packet) string {
	switch {
	case b.host == packet.ServerHost:
		return "the server itself"
	case b.host == "":
		return "neither the name, nor a suffix of it, nor * has a section"
	case b.host == "*":
		return "neither the name nor a suffix of it has a section"
	case strings.HasPrefix(b.host, "*."):
		return "the longest suffix that has a section"
	case p.Kind == packet.Session && len(b.sections) == 1 && b.sections[0].id == b.host:
		return "the section that holds the connection"
	}
	return "the name itself"
}

// missed lists the sections that a packet would come to if nobody had the
// first of the branches that match.
func missed(matching []*branch) (list []Missed) {
	if matching[0].host == packet.ServerHost {
		return nil // nobody could have it
	}
	for _, wider := range matching[1:] {
		for _, s := range wider.sections {
			seen := slices.Contains(matching[0].sections, s) || slices.ContainsFunc(list, func(m Missed) bool { return m.ID == s.id })
			if !seen {
				list = append(list, Missed{ID: s.id, Place: s.place, Observer: s.observe, On: wider.host})
			}
		}
	}
	return list
}

// gets says what comes to a section of the branch. claimed is the section
// before it that claims.
func gets(b *branch, s *section, p *packet.Packet, claimed string) string {
	switch {
	case s.observe:
		return "observes: a copy that never counts"
	case b.asksAll(p):
		return "the question: each store has its part"
	case p.Kind == packet.XDB && claimed != "" && p.Type != "set":
		return fmt.Sprintf("the question, if section %q has nothing", claimed)
	case p.Kind == packet.XDB && claimed != "":
		return fmt.Sprintf("a copy of what section %q has changed", claimed)
	case p.Kind == packet.XDB && b.counted > 1 && p.Section == "":
		return "the question, if no section before it takes it"
	case b.counted > 1 && p.Section == "":
		return "a copy of its own"
	}
	return "the packet"
}

// errorEnds reports whether an error of a store is the answer to a question,
// which no other is asked then. claimed is the store before it that claims.
func (b *branch) errorEnds(p *packet.Packet, claimed string) bool {
	switch {
	case p.Kind != packet.XDB:
		return false
	case b.asksAll(p):
		return p.Name != "drop"
	}
	return claimed == ""
}

func outcomeText(p *packet.Packet, claimed, refused, maybe string) string {
	switch {
	case claimed != "":
		return "claimed"
	case maybe != "":
		return fmt.Sprintf("claimed if section %q claims it; else %s", maybe, unclaimedText(p))
	case refused != "":
		return fmt.Sprintf("section %q refuses it: %s", refused, refusedText(p))
	}
	return "nobody claims it: " + unclaimedText(p)
}

// refusedText says what a handler's refusal leads to.
func refusedText(p *packet.Packet) string {
	if isStanza(p) {
		return "the client gets an error for this stanza; one of " + strings.Join(unreachable, ", ") + " ends its session"
	}
	return unclaimedText(p)
}

func unclaimedText(p *packet.Packet) string {
	switch p.Kind {
	case packet.Normal:
		if why := unanswerable(p); why != "" {
			return "dropped, " + why
		}
		return "the sender gets an error"
	case packet.Session:
		return "the session ends"
	case packet.XDB:
		return "the asker gets an error"
	}
	return "it goes to stderr"
}

func (e *Engine) explainSection(ctx context.Context, s *section, p packet.Packet) (SectionReport, error) {
	sr := SectionReport{ID: s.id, Place: s.place, Observer: s.observe, Verdict: packet.Skip.String()}
	for i := 0; i < len(s.steps); i++ {
		st := &s.steps[i]
		var steps []Step
		if st.remote != nil {
			for i+1 < len(s.steps) && s.steps[i+1].remote == st.remote {
				i++ // the process asks all links up to the next that is not its own
			}
			x, err := st.remote.explain(ctx, &Explain{Section: s.index, Link: uint16(st.link), Packet: p})
			if err != nil {
				return sr, fmt.Errorf("explain in process %s: %w", st.remote.name, err)
			}
			steps, p = x.Steps, x.Packet
		} else {
			steps = []Step{explainLink(ctx, &s.links[st.link], &p, e.config.Process)}
		}
		sr.Steps = append(sr.Steps, steps...)
		for _, x := range steps {
			if x.Verdict == unknown {
				sr.Verdict = unknown
			}
		}
		if n := len(steps); n > 0 && !goesOn(&steps[n-1]) {
			if last := steps[n-1].Verdict; last == packet.Claim.String() || sr.Verdict != unknown {
				sr.Verdict = last
			}
			return sr, nil
		}
	}
	return sr, nil
}

// goesOn reports whether the next link would be asked, as far as one knows.
func goesOn(s *Step) bool { return s.Verdict == packet.Pass.String() || s.Verdict == unknown }

func explainLink(ctx context.Context, l *link, p *packet.Packet, process string) (step Step) {
	step = Step{Module: l.Module, Label: l.Label, Place: l.Place, Process: process}
	x, ok := l.handler.(module.Explainer)
	if !ok {
		step.Verdict, step.Why = declared(l.claims)
		return step
	}
	defer func() {
		if r := recover(); r != nil {
			step.Asked = false
			step.Verdict, step.Why = declared(l.claims)
			step.Why += fmt.Sprintf(" (its explanation panics: %v)", r)
		}
	}()
	v, why := x.Explain(ctx, p)
	step.Asked, step.Verdict, step.Why = true, v.String(), why
	return step
}

// declared is what is known of a handler that cannot explain itself.
func declared(c module.Claims) (verdict, why string) {
	switch c {
	case module.ClaimsAll:
		return packet.Claim.String(), "asked here; declares that it claims all packets"
	case module.ClaimsRest:
		return packet.Claim.String(), "asked here; declares that it answers what nobody in front has claimed"
	case module.ClaimsNone:
		return packet.Pass.String(), "asked here; declares that it claims no packets"
	}
	return unknown, "asked here; declares that it claims some packets"
}

// explains are the questions to other processes that are under way.
type explains struct {
	mu   sync.Mutex
	next uint64
	wait map[uint64]chan *Explain
}

func (r *Remote) explain(ctx context.Context, x *Explain) (*Explain, error) {
	w := &r.e.explains
	answer := make(chan *Explain, 1)
	w.mu.Lock()
	w.next++
	x.ID = w.next
	if w.wait == nil {
		w.wait = map[uint64]chan *Explain{}
	}
	w.wait[x.ID] = answer
	w.mu.Unlock()
	defer func() {
		w.mu.Lock()
		delete(w.wait, x.ID)
		w.mu.Unlock()
	}()
	r.mu.Lock()
	peer := r.peer
	if peer != nil {
		peer.Explain(x)
		peer.Flush()
	}
	r.mu.Unlock()
	if peer == nil {
		return nil, fmt.Errorf("the process is away")
	}
	select {
	case a := <-answer:
		return a, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// OnExplain takes a question, or the answer to one.
func (r *Remote) OnExplain(x *Explain) {
	e := r.e
	if x.Answer {
		e.explains.mu.Lock()
		wait := e.explains.wait[x.ID]
		e.explains.mu.Unlock()
		if wait != nil {
			c := *x
			c.Steps = append([]Step(nil), x.Steps...)
			select {
			case wait <- &c:
			default: // it was answered before
			}
		}
		return
	}
	if r.stray("explain") {
		return
	}
	a := *x
	go func() { // an Explainer may ask storage
		ctx, cancel := context.WithTimeout(context.Background(), defaultTimeout)
		defer cancel()
		e.answerExplain(ctx, &a)
	}()
}

func (e *Engine) answerExplain(ctx context.Context, a *Explain) {
	a.Answer, a.Steps = true, nil
	if int(a.Section) < len(e.sections) {
		s := e.sections[a.Section]
		links := s.run(int(a.Link), e.config.Process)
		for i := range links {
			if links[i].handler == nil || links[i].passive {
				continue
			}
			step := explainLink(ctx, &links[i], &a.Packet, e.config.Process)
			a.Steps = append(a.Steps, step)
			if !goesOn(&step) {
				break
			}
		}
	}
	e.core.mu.Lock()
	defer e.core.mu.Unlock()
	if e.core.peer != nil {
		e.core.peer.Explain(a)
		e.core.peer.Flush()
	}
}
