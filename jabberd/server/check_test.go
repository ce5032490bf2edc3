package server_test

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/jabberd/server"
)

// curious asks storage before it explains.
type curious struct{ env module.Env }

func newCurious(env module.Env, _ struct{}) (packet.Handler, error) { return curious{env}, nil }

func (c curious) Handle(context.Context, *packet.Packet) (packet.Verdict, error) {
	return packet.Pass, nil
}

func (c curious) Explain(ctx context.Context, _ *packet.Packet) (packet.Verdict, string) {
	answer, err := c.env.Ask(ctx, ask("get"))
	if err != nil {
		return packet.Pass, "storage says " + err.Error()
	}
	return packet.Claim, "storage says " + answer.Name
}

// TestExplainStartsNothing explains a plan whose handlers would die if they were
// started, while a server runs in the same folder.
func TestExplainStartsNothing(t *testing.T) {
	b := newBench(t)
	running := b.start(b.plan(xdb()))
	tomb := xdb()
	tomb.Chain[2] = link("tell", "teller", tellArgs{Word: "dies at the start"})
	plan := b.plan(tomb, module.Section{ID: "people", Kinds: module.On(packet.Normal), Chain: []module.Link{
		attach("*.org"), link("curious", "asker", struct{}{}), link("mark", "marker", struct{}{})}})
	r, err := server.Explain(t.Context(), plan, ask("get"))
	if err != nil || r.Matched != "*" || len(r.Sections) != 1 || len(r.Sections[0].Steps) != 2 {
		t.Fatalf("%+v, %v", r, err)
	}
	if steps := r.Sections[0].Steps; steps[0].Process != "marker" || steps[0].Why != "marks with its pid" || steps[1].Asked || steps[1].Verdict != "unknown" {
		t.Errorf("%+v", steps)
	}
	r, err = server.Explain(t.Context(), plan, &packet.Packet{Kind: packet.Normal, Name: "message", To: "ann@example.org"})
	if err != nil || len(r.Sections) != 1 || len(r.Sections[0].Steps) != 2 {
		t.Fatalf("%+v, %v", r, err)
	}
	if why := r.Sections[0].Steps[0].Why; why != "storage says service-unavailable" {
		t.Errorf("%q", why)
	}
	if answer, err := running.Ask(t.Context(), ask("get")); err != nil || answer.Name != "hello" {
		t.Errorf("the running server: %+v, %v", answer, err)
	}
	if left, err := os.ReadDir(b.dir); err != nil || len(left) != 2 {
		t.Errorf("%v, there is %v", err, left)
	}
}

func TestExplainOfAWrongPlan(t *testing.T) {
	b := newBench(t)
	s := xdb()
	s.Chain[1] = link("emit", "p", reportArgs{Count: -1})
	s.Kinds = module.On(packet.Normal)
	var wrong server.LinkErrors
	if _, err := server.Explain(t.Context(), b.plan(s), ask("get")); !errors.As(err, &wrong) || !strings.Contains(err.Error(), "link") {
		t.Errorf("%v", err)
	}
}
