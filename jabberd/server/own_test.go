package server_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sdk/halt"
)

// Orders to end are taken from the server's commands and from hosts with sessions.
func TestOrders(t *testing.T) {
	b := newBench(t)
	orders := make(chan halt.Order, 1)
	turning := func(id, host string, kinds ...packet.Kind) module.Section {
		return module.Section{ID: id, Kinds: kinds, Chain: []module.Link{attach(host), link("turn", "", struct{}{})}}
	}
	plan := b.plan(turning("users", "example.org", packet.Normal, packet.Session), turning("component", "irc.example.org", packet.Normal))
	plan.Halt = func(_ context.Context, o halt.Order) error {
		if o.Restart {
			return packet.Refuse("not-acceptable", "no")
		}
		orders <- o
		return nil
	}
	s := b.start(plan)
	if err := halt.Ask(t.Context(), b.client(), "", halt.Order{After: time.Minute}); err != nil || <-orders != (halt.Order{After: time.Minute}) {
		t.Errorf("by command: %v", err)
	}
	var no *packet.Reject
	if err := halt.Ask(t.Context(), b.client(), "", halt.Order{Restart: true}); !errors.As(err, &no) || no.Condition != "not-acceptable" {
		t.Errorf("refused with %v", err)
	}
	for name, x := range map[string]struct {
		from, after string
		want        packet.Verdict
	}{
		"the server":         {packet.ServerHost + "/x", "0", packet.Claim},
		"a host of sessions": {"example.org/x", "0", packet.Claim},
		"at another time":    {"example.org/x", "x", packet.Refuses},
		"a client":           {"ann@example.org/x", "0", packet.Refuses},
		"a component":        {"irc.example.org/x", "0", packet.Refuses},
		"another server":     {"elsewhere.example/x", "0", packet.Refuses},
	} {
		r, err := s.Explain(t.Context(), &packet.Packet{
			Kind: packet.Normal, Name: "iq", Type: "set", ID: "1", To: packet.ServerHost, From: x.from,
			Body: []byte("<stop xmlns='" + halt.NS + "' after='" + x.after + "'/>"),
		})
		if err != nil || len(r.Sections) != 1 || r.Sections[0].Steps[0].Verdict != x.want.String() {
			t.Errorf("%s: %+v, %v; want %v", name, r, err, x.want)
		}
	}
	if len(orders) > 0 {
		t.Error("explaining has given an order")
	}
}
