package tree

import (
	"context"
	"fmt"
	"sync"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
)

// A Report is what the tree would do with a packet, and why.
type Report struct {
	Kind     string          `json:"kind"`
	Host     string          `json:"host"`              // the host level that the packet takes
	Matched  string          `json:"matched,omitempty"` // the name that is attached; "" with a section is the uplink
	Sections []SectionReport `json:"sections"`
	Outcome  string          `json:"outcome"`
}

// A SectionReport is what one section would do.
type SectionReport struct {
	ID       string `json:"id"`
	Place    string `json:"place"`
	Observer bool   `json:"observer,omitempty"`
	Steps    []Step `json:"steps"`
	Verdict  string `json:"verdict"` // claim, pass, skip or the condition of a Reject
}

// Explain says what the tree would do with a packet. It has no effects.
func (e *Engine) Explain(ctx context.Context, p *packet.Packet) (Report, error) {
	r := Report{Kind: p.Kind.String(), Host: p.Branch()}
	b := e.branchOf(p)
	if b == nil {
		r.Outcome = "no section has host " + r.Host + ": " + unclaimedText(p)
		return r, nil
	}
	r.Matched = b.host
	claimed := false
	for _, s := range b.sections {
		if p.Section != "" && p.Section != s.id {
			continue
		}
		sr, err := e.explainSection(ctx, s, *p)
		if err != nil {
			return r, err
		}
		r.Sections = append(r.Sections, sr)
		if sr.Verdict == packet.Claim.String() && !s.observe {
			claimed = true
			if p.Kind == packet.XDB {
				break
			}
		}
	}
	r.Outcome = "claimed"
	if !claimed {
		r.Outcome = "nobody claims it: " + unclaimedText(p)
	}
	return r, nil
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
			x, err := st.remote.explain(ctx, &Explain{Section: s.index, Link: uint16(st.link), Packet: p})
			if err != nil {
				return sr, fmt.Errorf("explain in process %s: %w", st.remote.name, err)
			}
			steps, p = x.Steps, x.Packet
		} else {
			steps = []Step{explainLink(ctx, &s.links[st.link], &p, e.config.Process)}
		}
		sr.Steps = append(sr.Steps, steps...)
		if n := len(steps); n > 0 && steps[n-1].Verdict != packet.Pass.String() {
			sr.Verdict = steps[n-1].Verdict
			return sr, nil
		}
	}
	return sr, nil
}

func explainLink(ctx context.Context, l *link, p *packet.Packet, process string) Step {
	step := Step{Module: l.Module, Label: l.Label, Place: l.Place, Process: process, Verdict: packet.Claim.String()}
	x, ok := l.handler.(module.Explainer)
	if !ok {
		step.Why = "asked here; it cannot say beforehand"
		return step
	}
	v, why := x.Explain(ctx, p)
	step.Asked, step.Verdict, step.Why = true, v.String(), why
	return step
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
			wait <- &c
		}
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
			if step.Verdict != packet.Pass.String() {
				break
			}
		}
	}
	e.core.mu.Lock()
	defer e.core.mu.Unlock()
	if e.core.peer != nil {
		e.core.peer.Explain(a)
	}
}
